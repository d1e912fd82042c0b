// Package cache makes GitHub's Actions cache a second tier of the store, for
// jobs that run on a machine of their own and start with an empty one.
//
// In come a store's directory and the name of an image; what goes out is the
// same directory with the packs and blobs in it that earlier jobs have saved
// (Restore), and an entry of the cache with those that this job has added
// (Save).
//
//	before the run   newest entry of the image ─▶ its index ─▶ what the store lacks, by ranges
//	after the run    what the store has got since ─▶ one entry, or none
//
// Promised: at most one entry per run, and none that another job has saved
// already; an entry that would be larger than MaxEntry is not made; nobody
// waits longer than the context says. The format of an entry is in entry.go.
//
// A cache is a help and never a need: every error here is one to warn about. A
// job goes on without, and what was restored until then stays.
//
// Trust: chunks are held against their IDs and documents against their digests
// whenever they are read, so that wrong bytes of those harm nobody. The tables
// of layers are the word of the job that saved them, as everything in a store
// is: whoever may write to a branch's cache decides what later jobs of the
// branch lay out for an image. GitHub keeps the caches of pull requests apart.
// That is the trust that all uses of the Actions cache share, and why it is
// asked for (input cache) and not the default.
//
// The protocol's three calls are in service.go, and Azure's own library moves
// the bytes. github.com/tonistiigi/go-actions-cache, which BuildKit uses, reads
// an entry by one stream and not by several ranges at once, sends blocks of one
// MiB one by one, waits for minutes where a service is down, and panics when an
// entry was evicted while its URL is renewed.
package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/store"
)

const (
	// MaxEntry is the largest entry that is saved. GitHub gives all caches of a
	// repository 10 GB together.
	MaxEntry = 2 << 30
	// worthwhile is what an entry must bring that adds to others: less is
	// fetched from the registry as fast as from the cache.
	worthwhile = 256 << 10
	// maxBases is on how many older entries an entry may build. One more, and
	// it is made of everything, so that the older ones may be evicted.
	maxBases = 4
)

// Cache is the cache of one image. It is for one run and one goroutine.
type Cache struct {
	service *Service
	dir     *store.Dir
	// family is how the keys of all tags of an image begin, own those of the
	// reference.
	family, own string

	begun    time.Time
	before   map[name]bool // what the store had
	restored []entry       // the newest first
	failed   bool          // what there is could not be read
}

// New returns the cache of the image ref on a platform, for the store in dir as
// it is before the run.
func New(s *Service, dir *store.Dir, ref oci.Reference, platform oci.Platform) (*Cache, error) {
	family := fmt.Sprintf("clipper-runner-%.200s-%s-", strings.ReplaceAll(ref.Name(), ",", "_"), short(ref.Name()+" "+platform.String()))
	c := &Cache{service: s, dir: dir, family: family, own: family + short(ref.String()) + "-", begun: time.Now(), before: map[name]bool{}}
	items, err := dir.List()
	for _, item := range items {
		c.before[name{item.Kind, item.Name}] = true
	}
	return c, err
}

// short is enough of a digest to tell names apart.
func short(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}

// entry is an entry of the cache that was looked at.
type entry struct {
	key string
	index
}

// aged is how long ago what is restored was last used, as far as the store is
// told. It notes a use of what is an hour old (see store.Item), so that what is
// younger afterwards was used since.
const aged = 2 * time.Hour

// usedSince reports whether the item was used since the run began, or within
// the hour before.
func (c *Cache) usedSince(item store.Item) bool {
	return item.LastUsed.After(c.begun.Add(-time.Hour - time.Minute))
}

// concerns reports whether an item is this image's, as far as can be told: the
// run has used it, and what was there before an entry has as well. The rest is
// another image's; or it is this one's, and then the next job will bring it.
func (c *Cache) concerns(item store.Item) bool {
	if item.Kind == store.Unfinished || !c.usedSince(item) {
		return false
	}
	n := name{item.Kind, item.Name}
	return !c.before[n] || slices.ContainsFunc(c.restored, func(e entry) bool {
		return slices.ContainsFunc(e.Files, func(f file) bool { return f.name == n })
	})
}

// Restored says what Restore did.
type Restored struct {
	// Entries were found, Files of them were brought into the store, Bytes came
	// over the network for it.
	Entries, Files int
	Bytes          int64
}

// Restore brings into the store what the image's entries have and the store
// lacks. What could be had before an error is in the store.
func (c *Cache) Restore(ctx context.Context) (r Restored, err error) {
	if !c.service.Mode.reads() {
		return r, nil
	}
	defer func() {
		// An entry that is none, or damaged, is mended by the next one.
		c.failed = err != nil && !errors.Is(err, errForm) && !errors.Is(err, store.ErrCorrupt)
	}()
	wanted, err := c.look(ctx)
	if err != nil {
		return r, fmt.Errorf("restore from the Actions cache: %w", err)
	}
	defer func() {
		for _, b := range wanted {
			r.Bytes += b.blob.fetched.Load()
		}
	}()
	r.Entries = len(wanted)
	if r.Files, err = c.fetch(ctx, wanted); err != nil {
		return r, fmt.Errorf("restore from the Actions cache: %w", err)
	}
	return r, nil
}

// batch are the files of one entry that the store lacks.
type batch struct {
	blob  *blob
	files []placed
}

// look finds the newest entry and those on which it builds.
func (c *Cache) look(ctx context.Context) ([]*batch, error) {
	// No entry has the key itself: the newest is wanted that begins with it.
	newest, err := c.service.find(ctx, c.own, c.own, c.family)
	if newest == nil || err != nil {
		return nil, err
	}
	head, err := c.open(ctx, newest)
	if err != nil {
		return nil, err
	}
	batches := []*batch{head}
	for _, key := range c.restored[0].Bases {
		base, err := c.service.find(ctx, key)
		if err != nil {
			return batches, err
		}
		if base == nil {
			continue // evicted
		}
		b, err := c.open(ctx, base)
		if errors.Is(err, errEvicted) {
			continue
		}
		if err != nil {
			return batches, err
		}
		batches = append(batches, b)
	}
	return batches, nil
}

// open reads the index of an entry.
func (c *Cache) open(ctx context.Context, b *blob) (*batch, error) {
	ix, files, err := readIndex(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("entry %s: %w", b.key, err)
	}
	for _, key := range ix.Bases {
		if !strings.HasPrefix(key, c.family) {
			return nil, fmt.Errorf("entry %s: %w: it builds on another image's", b.key, errForm)
		}
	}
	c.restored = append(c.restored, entry{b.key, ix})
	files = slices.DeleteFunc(files, func(f placed) bool { return c.dir.Has(f.item()) })
	return &batch{b, files}, nil
}

// Saved says what Save did; of the zero value, that there was nothing to save.
type Saved struct {
	Key   string
	Files int
	Bytes int64
}

// Save makes an entry of what the run has put into the store and no entry has.
// Nothing is saved where that is little, or another job did it meanwhile, or
// this one may not; nor after a Restore that failed, which says that the service
// does not answer, or leaves open what it has.
func (c *Cache) Save(ctx context.Context) (Saved, error) {
	if c.failed || !c.service.Mode.writes() || !c.service.mayWrite() {
		return Saved{}, nil
	}
	saved, err := c.save(ctx)
	if err != nil {
		return Saved{}, fmt.Errorf("save to the Actions cache: %w", err)
	}
	return saved, nil
}

func (c *Cache) save(ctx context.Context) (Saved, error) {
	items, err := c.dir.List()
	if err != nil {
		return Saved{}, err
	}
	plan := c.plan(slices.DeleteFunc(items, func(item store.Item) bool { return !c.concerns(item) }))
	if len(plan.Files) == 0 {
		return Saved{}, nil
	}
	a, err := newArchive(c.dir, plan)
	if err != nil {
		return Saved{}, err
	}
	defer a.Close()
	if a.size > MaxEntry {
		return Saved{}, fmt.Errorf("%d bytes are more than an entry may have (%d): the image is too large for this cache; leave the input cache away", a.size, int64(MaxEntry))
	}
	key := c.own + plan.identity()
	done, err := c.service.create(ctx, key, a)
	if err != nil || !done {
		return Saved{}, err
	}
	return Saved{Key: key, Files: len(plan.Files), Bytes: a.size}, nil
}

// plan decides what an entry is made of: what of the image's items no restored
// entry has; or all of them, where the chain of entries has become long or half
// of it was of no use. No files: nothing is worth saving.
func (c *Cache) plan(items []store.Item) index {
	all, more := newIndex(items), index{}
	known := map[name]bool{}
	var had, useful int64
	for _, e := range c.restored {
		more.Bases = append(more.Bases, e.key)
		for _, f := range e.Files {
			if !known[f.name] {
				had += f.Size
			}
			known[f.name] = true
		}
	}
	for _, f := range all.Files {
		if known[f.name] {
			useful += f.Size
		} else {
			more.Files = append(more.Files, f)
		}
	}
	switch {
	case len(c.restored) == 0:
		return all
	case more.size() < worthwhile:
		return index{}
	case len(more.Bases) > maxBases || had > 2*useful:
		return all
	}
	return more
}

// identity is the same for two jobs that save the same: the second one finds
// that the entry is there. A blob's name says what it is, a pack's does not.
func (ix index) identity() string {
	text := strings.Join(ix.Bases, "\n") + "\n"
	for _, f := range ix.Files {
		if f.Kind == store.Blobs {
			text += f.Name + "\n"
		}
	}
	return short(text)
}
