package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/chunk"
	"github.com/clipperregistry/runner/runnerimage/store"
)

type storeVerify struct {
	storeFlag
	JSON bool `help:"Print one JSON object."`
}

// verified is what `store verify` tells.
type verified struct {
	Path   string `json:"path"`
	Packs  int    `json:"packs"`
	Chunks int    `json:"chunks"`
	Blobs  int    `json:"blobs"`
	Bytes  int64  `json:"bytes"`
	// Salvaged chunks were left by runs that were killed, and are of use again.
	Salvaged int `json:"salvaged_chunks"`
	// Dropped chunks were found damaged before and take space until they are
	// evicted.
	Dropped int      `json:"dropped_chunks"`
	Damage  []damage `json:"damage"`
}

type damage struct {
	Kind     store.Kind `json:"kind"`
	Name     string     `json:"name"`
	Chunk    string     `json:"chunk,omitempty"`
	Error    string     `json:"error"`
	Repaired bool       `json:"repaired"`
}

func (c *storeVerify) Run(exit *int) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	dir, path, err := c.open(false)
	if err != nil {
		return err
	}
	v := verified{Path: path, Damage: []damage{}}
	report := func(d damage) {
		v.Damage = append(v.Damage, d)
		if !c.JSON {
			fmt.Println(d)
		}
	}
	if err := v.read(ctx, dir, report); err != nil {
		return err
	}
	if len(v.Damage) > 0 {
		*exit = runnerimage.ExitMismatch
	}
	if c.JSON {
		return printJSON(v)
	}
	fmt.Println(v)
	return nil
}

func (v *verified) read(ctx context.Context, dir *store.Dir, report func(damage)) error {
	salvaged, err := dir.Salvage(ctx)
	if err != nil && !errors.Is(err, store.ErrReadOnly) {
		return err
	}
	var content []byte // of one chunk after the other
	sum, err := dir.Verify(ctx, func(encoded []byte, length int) (_ []byte, err error) {
		content, err = chunk.Decode(content[:0], encoded, length)
		return content, err
	}, func(d store.Damage) {
		found := damage{Kind: d.Kind, Name: d.Name, Error: d.Err.Error(), Repaired: d.Repaired}
		if d.Chunk != (store.ID{}) {
			found.Chunk = hex.EncodeToString(d.Chunk[:])
		}
		report(found)
	})
	v.Packs, v.Chunks, v.Blobs, v.Bytes, v.Dropped, v.Salvaged = sum.Packs, sum.Chunks, sum.Blobs, sum.Bytes, sum.Dropped, salvaged.Chunks
	return err
}

func (d damage) String() string {
	what, done := fmt.Sprintf("%s %s", d.Kind, d.Name), "repaired"
	switch {
	case d.Chunk != "":
		what, done = "chunk "+d.Chunk, "dropped, so it is fetched again"
	case d.Kind == store.Blobs:
		done = "removed, so it is fetched again"
	}
	if !d.Repaired {
		done = "left as it is: the store is read-only, or this is in use or cannot be read just now"
	}
	return fmt.Sprintf("%s: %s; %s", what, d.Error, done)
}

func (v verified) String() string {
	line := fmt.Sprintf("%s: %d chunks in %d packs and %d blobs are sound, %s", v.Path, v.Chunks, v.Packs, v.Blobs, runnerimage.Size(v.Bytes))
	if v.Salvaged > 0 {
		line += fmt.Sprintf("; %d chunks of killed runs are of use again", v.Salvaged)
	}
	if v.Dropped > 0 {
		line += fmt.Sprintf("; %d chunks were dropped before and wait for eviction", v.Dropped)
	}
	if n := len(v.Damage); n > 0 {
		line += fmt.Sprintf("; %d found damaged", n)
	}
	return line
}
