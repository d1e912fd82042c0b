package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/stock"
	"github.com/clipperregistry/runner/runnerimage/store"
)

type storeCommand struct {
	Ls     storeLs     `cmd:"" help:"List the images whose content is kept, and what the store takes: store ls --json"`
	Verify storeVerify `cmd:"" help:"Read the whole store, and drop what is damaged: store verify"`
	Prune  storePrune  `cmd:"" help:"Remove what was not used for longest: store prune --max 5GiB"`
}

// storeFlag says which store is meant.
type storeFlag struct {
	rootFlag
	Store string `placeholder:"DIR" help:"The store; default: CLIPPER_STORE, in a container the volume at /.clipper-runner/store, else store below --root."`
}

func (f storeFlag) path() (string, error) { return storePath(f.Store, f.rootFlag) }

// storePath is where the store is, by what is said first: the flag, the
// variable, the volume of a container, and where else `run` keeps things.
func storePath(flag string, root rootFlag) (string, error) {
	if flag == "" {
		flag = os.Getenv("CLIPPER_STORE")
	}
	if flag != "" {
		return filepath.Abs(flag)
	}
	if info, err := os.Stat(runnerimage.StorePath); err == nil && info.IsDir() {
		return runnerimage.StorePath, nil
	}
	dir, err := root.dir()
	return filepath.Join(dir, "store"), err
}

// storeMax is how many bytes `run` lets the store take, where CLIPPER_STORE_MAX
// does not say it.
const storeMax = "10GiB"

func storeLimit() (int64, error) {
	value := os.Getenv("CLIPPER_STORE_MAX")
	if value == "" {
		value = storeMax
	}
	limit, err := runnerimage.ParseSize(value)
	if err != nil {
		err = fmt.Errorf("%w: CLIPPER_STORE_MAX: %w", runnerimage.ErrSettings, err)
	}
	return limit, err
}

// open opens a store that is there: it never makes one.
func (f storeFlag) open(readOnly bool) (*store.Dir, string, error) {
	path, err := f.path()
	if err != nil {
		return nil, "", err
	}
	dir, err := store.Open(path, store.Options{ReadOnly: true})
	if err == nil && !readOnly {
		dir, err = store.Open(path, store.Options{})
	}
	if err != nil && !errors.Is(err, store.ErrVersion) {
		err = fmt.Errorf("%w: %w", runnerimage.ErrSettings, err)
	}
	return dir, path, err
}

func printJSON(v any) error {
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(v)
}

type storeLs struct {
	storeFlag
	JSON bool `help:"Print one JSON object."`
}

// stored is what `store ls` tells; its JSON is for machines.
type stored struct {
	Path   string        `json:"path"`
	Images []stock.Image `json:"images"`
	Packs  int           `json:"packs"`
	Chunks int           `json:"chunks"`
	Blobs  int           `json:"blobs"`
	// Unfinished packs and blobs are in writing, or left of a killed run,
	// which the next one makes use of.
	Unfinished int   `json:"unfinished"`
	Bytes      int64 `json:"bytes"`
	// Limit is that of `run`, 0 for none.
	Limit int64 `json:"limit"`
}

func (c *storeLs) Run(*int) error {
	dir, path, err := c.open(true) // looking is no use
	if err != nil {
		return err
	}
	s := stored{Path: path, Images: []stock.Image{}}
	if s.Limit, err = storeLimit(); err != nil {
		return err
	}
	if err := s.count(dir); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s)
	}
	return s.print(os.Stdout)
}

func (s *stored) count(dir *store.Dir) error {
	items, err := dir.List()
	if err != nil {
		return err
	}
	for _, item := range items {
		s.Bytes += item.Size
		switch item.Kind {
		case store.Packs:
			s.Packs++
			s.Chunks += dir.Chunks(item)
		case store.Blobs:
			s.Blobs++
		case store.Unfinished:
			s.Unfinished++
		}
	}
	images, err := stock.Images(dir)
	s.Images = append(s.Images, images...)
	return err
}

func (s *stored) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(s.Images) > 0 {
		fmt.Fprintln(w, "IMAGE\tPLATFORM\tDIGEST\tLAST USED\tIN REGISTRY")
	}
	for _, image := range s.Images {
		size := "?"
		if image.Layers > 0 {
			size = runnerimage.Size(image.Layers)
		}
		fmt.Fprintf(w, "%s\t%s\t%.19s\t%s\t%s\n", image.Reference, image.Platform, image.Digest, minutes(image.LastUsed), size)
	}
	if len(s.Images) > 0 {
		fmt.Fprintln(w)
	}
	limit := "without a limit"
	if s.Limit > 0 {
		limit = "which `run` keeps within " + runnerimage.Size(s.Limit)
	}
	fmt.Fprintf(w, "%s in %s, %s: %d images, %d chunks in %d packs, %d blobs, %d unfinished\n",
		runnerimage.Size(s.Bytes), s.Path, limit, len(s.Images), s.Chunks, s.Packs, s.Blobs, s.Unfinished)
	return w.Flush()
}

func minutes(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

type storePrune struct {
	storeFlag
	Max  string `xor:"amount" required:"" placeholder:"SIZE" help:"What the store may take afterwards, such as 5GiB, 500MB or 0; this or --all."`
	All  bool   `xor:"amount" required:"" help:"Remove all that is not in use."`
	JSON bool   `help:"Print one JSON object."`
}

// pruned is what `store prune` tells.
type pruned struct {
	Path    string             `json:"path"`
	Removed map[store.Kind]int `json:"removed"`
	Freed   int64              `json:"freed"`
	Left    int64              `json:"left"`
}

func (c *storePrune) Run(*int) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	max, err := c.max()
	if err != nil {
		return err
	}
	dir, path, err := c.open(false)
	if err != nil {
		return err
	}
	did, err := dir.Prune(ctx, max)
	if err != nil {
		return err
	}
	p := pruned{Path: path, Removed: map[store.Kind]int{store.Packs: 0, store.Blobs: 0, store.Unfinished: 0}, Freed: did.Freed, Left: did.Left}
	for _, item := range did.Removed {
		p.Removed[item.Kind]++
	}
	if c.JSON {
		return printJSON(p)
	}
	fmt.Printf("%s: removed %d packs, %d blobs, %d unfinished; %s freed, %s left", p.Path,
		p.Removed[store.Packs], p.Removed[store.Blobs], p.Removed[store.Unfinished], runnerimage.Size(p.Freed), runnerimage.Size(p.Left))
	if p.Left > max {
		fmt.Print(", which is in use")
	}
	fmt.Println()
	return nil
}

func (c *storePrune) max() (int64, error) {
	if c.All {
		return 0, nil
	}
	max, err := runnerimage.ParseSize(strings.TrimSpace(c.Max))
	if err != nil {
		err = fmt.Errorf("%w: --max: %w", runnerimage.ErrSettings, err)
	}
	return max, err
}
