package cache

import (
	"context"
	"io"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/clipperregistry/runner/runnerimage/store"
)

const (
	// partSize is how much one request reads: one stream of the blob service
	// is slower than a runner's network, and many short ones cost time, too.
	partSize = 8 << 20
	// partsAtOnce bounds requests and with them memory: 64 MiB.
	partsAtOnce = 8
)

// fetch brings files into the store, several parts of them at once, and counts
// those that came whole.
func (c *Cache) fetch(ctx context.Context, batches []*batch) (count int, err error) {
	f := fetcher{dir: c.dir, parts: semaphore.NewWeighted(partsAtOnce)}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(partsAtOnce)
	var whole atomic.Int64
	for _, b := range batches {
		for _, p := range b.files {
			item := p.item()
			item.LastUsed = c.begun.Add(-aged)
			group.Go(func() error {
				if err := f.file(ctx, b.blob, p, item); err != nil {
					return err
				}
				whole.Add(1)
				return nil
			})
		}
	}
	err = group.Wait()
	return int(whole.Load()), err
}

type fetcher struct {
	dir   *store.Dir
	parts *semaphore.Weighted
}

// file brings one file into the store, part by part.
func (f fetcher) file(ctx context.Context, b *blob, p placed, item store.Item) error {
	return f.dir.Adopt(item, func(w io.WriterAt) error {
		group, reading := errgroup.WithContext(ctx)
		for at := int64(0); at < p.Size; at += partSize {
			if f.parts.Acquire(reading, 1) != nil {
				break // a part has failed, or the caller has ended it
			}
			group.Go(func() error {
				defer f.parts.Release(1)
				part := make([]byte, min(partSize, p.Size-at))
				if err := b.read(reading, part, p.offset+at); err != nil {
					return err
				}
				_, err := w.WriteAt(part, at)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		return ctx.Err()
	})
}
