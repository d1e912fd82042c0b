package rootfs

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"

	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

// Entries is a layer: Next returns its entries in order and io.EOF at the
// end, Read the content of the one that Next returned last. Next passes over
// content that was not read.
type Entries interface {
	Next() (*layer.Entry, error)
	io.Reader
}

// Stats counts what a Writer has done so far.
type Stats struct {
	// Entries is the number of entries read, Files that of files written,
	// Bytes that of their content bytes.
	Entries, Files, Bytes int64
	// Superseded is the number of writes that a higher layer made vain.
	Superseded int64
}

// A Writer lays a tree out in a root, several layers at once.
//
// The tree is changed under one lock, and each change is queued in that order
// to the worker that its directory belongs to. So one path sees its changes
// in order, and one directory is written by one worker. What concerns several
// directories (hard links, removed directories) is done under the lock once
// all queues have run empty. Content follows without the lock.
type Writer struct {
	root   *Root
	tree   *toc.Tree
	places *places
	// volumes holds the volumes being filled, by path.
	volumes map[string]*volume
	seed    maphash.Seed

	queues  []chan job
	workers sync.WaitGroup
	// room bounds the content in the queues.
	room   *semaphore.Weighted
	chunks [len(chunkSizes)]sync.Pool
	// missing holds the locations (location → true) that could not be made.
	missing sync.Map
	// removals counts removed directories, for hands.
	removals atomic.Uint64

	entries, files, bytes, superseded atomic.Int64

	mu sync.Mutex
	// front works for whoever holds mu.
	front worker
	// queued says that something was queued since the queues ran empty.
	queued bool
	// vacated holds the paths whose removal is queued.
	vacated map[string]bool
	// aside holds the names in the spare directory of what the tree has at
	// paths that it does not get: a hard link may still name it, and graft
	// wants the symlinks.
	aside  map[string]string
	asides int
	// appeared says that nothing is withheld any more.
	appeared bool
	// moved holds the directories that graft has made symlinks, touched those
	// that something was made in after their attributes were set.
	moved, touched map[string]bool

	// warnedKept says that a path in Options.Keep was warned of.
	warnedKept bool

	failure struct {
		sync.Mutex
		err      error
		warnings int
	}
}

// job is one step of a worker.
type job struct {
	do    func(*worker) error
	chunk *chunk
	done  *sync.WaitGroup
}

// worker is one of the goroutines that write, with what it holds open.
type worker struct {
	w     *Writer
	hands hands
	open  map[*file]bool
}

func (k *worker) dir(at location) (int, error) { return k.hands.dir(at, k.w.removals.Load()) }

const (
	queueLength = 256
	// roomBytes bounds the content that waits to be written. More takes
	// memory and gains no time.
	roomBytes = 8 << 20
	// warningsTold is how many warnings of one layout are told.
	warningsTold = 20
)

// NewWriter returns a Writer of the tree, after it has taken the volumes that
// are to be filled; it waits for another runner that fills one. The caller
// must call Close.
func (r *Root) NewWriter(ctx context.Context, tree *toc.Tree) (*Writer, error) {
	w := &Writer{
		root: r, tree: tree, places: r.places(), seed: maphash.MakeSeed(), room: semaphore.NewWeighted(roomBytes),
		volumes: map[string]*volume{}, aside: map[string]string{}, vacated: map[string]bool{}, moved: map[string]bool{}, touched: map[string]bool{},
	}
	w.front = worker{w: w, open: map[*file]bool{}}
	if err := r.makeSpare(); err != nil {
		return nil, err
	}
	if r.opts.AtOnce {
		if err := r.makeParents(r.withheld("any")); err != nil {
			return nil, failed("make directory", r.opts.Spare+withhold, err)
		}
	}
	if err := w.takeVolumes(ctx); err != nil {
		w.closeVolumes()
		return nil, err
	}
	for range r.opts.Workers {
		queue := make(chan job, queueLength)
		w.queues = append(w.queues, queue)
		w.workers.Go(func() { w.work(queue) })
	}
	return w, nil
}

// Close ends the workers. No call of Layer may be under way.
func (w *Writer) Close() {
	for _, queue := range w.queues {
		close(queue)
	}
	w.queues = nil
	w.workers.Wait()
	w.front.hands.drop()
	w.closeVolumes()
	if w.root.opts.AtOnce && !w.appeared {
		// Others go on in the root, and may need the room. What cannot be
		// removed is removed by the next layout.
		_ = w.root.removeSpare()
	}
}

// Stats returns the counts so far.
func (w *Writer) Stats() Stats {
	return Stats{Entries: w.entries.Load(), Files: w.files.Load(), Bytes: w.bytes.Load(), Superseded: w.superseded.Load()}
}

// work does the jobs of one queue. After a failure of any worker jobs are
// only taken off, so that nobody waits for them.
func (w *Writer) work(queue <-chan job) {
	k := &worker{w: w, open: map[*file]bool{}}
	for job := range queue {
		if job.do != nil && w.err() == nil {
			if err := job.do(k); err != nil {
				w.fail(err)
			}
		}
		if job.chunk != nil {
			w.release(job.chunk)
		}
		if job.done != nil {
			job.done.Done()
		}
	}
	for f := range k.open {
		unix.Close(f.fd)
	}
	k.hands.drop()
}

// Layer writes the layer of the given rank; entries that a higher layer
// hides are passed over. It may run for several layers at once, and must have
// returned nil for all of them before Finish.
func (w *Writer) Layer(ctx context.Context, rank int, entries Entries) error {
	w.mu.Lock()
	l := w.tree.Layer(rank)
	w.mu.Unlock()
	for {
		if err := errors.Join(ctx.Err(), w.err()); err != nil {
			return err
		}
		e, err := entries.Next()
		if err == io.EOF { // itself: a broken connection's error may wrap one
			break
		}
		if err != nil {
			return err
		}
		w.entries.Add(1)
		if err := w.add(ctx, l, e, entries); err != nil {
			return err
		}
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	changes, err := l.End()
	if err != nil {
		return err
	}
	for _, change := range changes {
		if err := w.apply(change, nil, nil, true); err != nil {
			w.fail(err)
			return err
		}
	}
	return w.err()
}

// add takes one entry with its content.
func (w *Writer) add(ctx context.Context, l *toc.Layer, e *layer.Entry, content io.Reader) error {
	var whole *chunk
	if e.Type == layer.Regular && e.Size > 0 && e.Size <= largestChunk {
		var err error
		if whole, err = w.read(ctx, e, content, e.Size); err != nil {
			return err
		}
	}
	f, err := w.settle(l, e, whole)
	if f == nil && whole != nil {
		w.release(whole)
	}
	if err != nil || f == nil || f.entry.Size <= largestChunk {
		return err
	}
	return w.stream(ctx, f, content)
}

// settle puts an entry into the tree and queues what follows from it. It
// returns the file that has the content whole in the queue, or wants it; or
// nil.
func (w *Writer) settle(l *toc.Layer, e *layer.Entry, whole *chunk) (*file, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	changes, err := l.Add(e)
	if err != nil {
		return nil, err
	}
	var f *file
	for _, change := range changes {
		var made *file
		if (change.Op == toc.Create || change.Op == toc.Stash) && change.Entry.Type == layer.Regular {
			made = &file{entry: change.Entry, path: change.Path}
			f = made
		}
		if err := w.apply(change, made, whole, false); err != nil {
			w.fail(err)
			return f, err
		}
	}
	return f, nil
}

// stream reads a big file piece by piece.
func (w *Writer) stream(ctx context.Context, f *file, content io.Reader) error {
	queue := w.queueOf(f.path)
	for left := f.entry.Size; left > 0; {
		if err := w.err(); err != nil {
			return err
		}
		n := min(left, largestChunk)
		c, err := w.read(ctx, f.entry, content, n)
		if err != nil {
			return err
		}
		left -= n
		last := left == 0
		queue <- job{chunk: c, do: func(k *worker) error {
			if err := f.append(c.data); err != nil || !last {
				return err
			}
			return k.finish(f)
		}}
	}
	return nil
}

// apply carries a change out: queued, or at once when now is set. A regular
// file comes as f, with its content if that is whole. The caller holds mu.
func (w *Writer) apply(change toc.Change, f *file, whole *chunk, now bool) error {
	path := change.Path
	switch change.Op {
	case toc.Mkdir:
		return w.mkdir(path)
	case toc.Create:
		at, free := w.place(path)
		return w.create(change, f, at, !free, whole, now)
	case toc.Stash:
		w.superseded.Add(1)
		return w.create(change, f, w.spare(change.File), true, whole, now)
	case toc.Unlink:
		w.superseded.Add(1)
		at := w.take(path)
		w.vacated[path] = true
		return w.do(path, now, nil, func(k *worker) error { return k.unlink(at, path) })
	case toc.Retire:
		w.superseded.Add(1)
		from, to := w.take(path), w.spare(change.File)
		w.vacated[path] = true
		return w.do(path, now, nil, func(k *worker) error { return k.move(from, to, path) })
	case toc.Rmdir:
		return w.rmdir(path)
	case toc.Link:
		from := w.source(change)
		to, _ := w.place(path)
		return w.do(path, true, nil, func(k *worker) error {
			if err := k.link(from, to, path); err != nil {
				return err
			}
			return k.dress(from, change.Entry, path)
		})
	case toc.Dress:
		from := w.source(change)
		return w.do(path, true, nil, func(k *worker) error { return k.dress(from, change.Entry, change.From) })
	case toc.Release:
		at := w.spare(change.File)
		return w.do(path, true, nil, func(k *worker) error { return k.unlink(at, path) })
	}
	return fmt.Errorf("change %d of %q is unknown", change.Op, path)
}

// source is where the file that a link names is.
func (w *Writer) source(change toc.Change) location {
	if change.From != "" {
		return w.where(change.From)
	}
	return w.spare(change.File)
}

// create queues the making of a non-directory.
func (w *Writer) create(change toc.Change, f *file, at location, quiet bool, whole *chunk, now bool) error {
	if f == nil {
		f = &file{entry: change.Entry, path: change.Path}
	}
	f.at, f.quiet = at, quiet
	if f.entry.Type == layer.Regular && now && f.entry.Size > 0 {
		return fmt.Errorf("create %q: its content does not follow", "/"+f.path)
	}
	w.files.Add(1)
	if f.entry.Type == layer.Regular {
		w.bytes.Add(f.entry.Size)
	}
	return w.do(f.path, now, whole, func(k *worker) error {
		if err := k.make(f); err != nil || f.entry.Type != layer.Regular {
			return err
		}
		if whole != nil {
			if err := f.write(whole.data); err != nil {
				return failed("write", f.path, err)
			}
		}
		if f.entry.Size <= largestChunk {
			return k.finish(f)
		}
		return nil
	})
}

// do queues a step to the worker of path, or does it at once when all that
// was queued is done. The chunk belongs to the step.
func (w *Writer) do(path string, now bool, c *chunk, step func(*worker) error) error {
	if now {
		w.drain()
		if err := w.err(); err != nil {
			return err
		}
		return step(&w.front)
	}
	w.queued = true
	w.queueOf(path) <- job{do: step, chunk: c}
	return nil
}

func (w *Writer) queueOf(path string) chan job {
	dir, _ := split(path)
	return w.queues[maphash.String(w.seed, dir)%uint64(len(w.queues))]
}

// drain waits until all that was queued under mu is done. Content that
// follows later counts for nothing: its file is there.
func (w *Writer) drain() {
	if !w.queued {
		return
	}
	var done sync.WaitGroup
	done.Add(len(w.queues))
	for _, queue := range w.queues {
		queue <- job{done: &done}
	}
	done.Wait()
	w.queued = false
	clear(w.vacated)
}

// mkdir makes a directory at once, so that it is there for what is queued
// next.
func (w *Writer) mkdir(path string) error {
	at, ok := w.directory(path)
	if !ok {
		return nil
	}
	if k, _ := w.places.of(path); w.root.opts.AtOnce && k == leading {
		// What is made in it is withheld.
		if err := w.root.makeParents(w.root.withheld(join(path, "any"))); err != nil {
			return failed("make directory", path, err)
		}
	}
	if w.vacated[path] {
		w.drain()
		if err := w.err(); err != nil {
			return err
		}
	}
	dir, err := w.front.dir(at)
	if err != nil {
		return failed("open directory of", path, err)
	}
	err = unix.Mkdirat(dir, at.name, 0o700)
	if errors.Is(err, unix.EEXIST) {
		if isDirectory(dir, at.name) {
			return nil
		}
		// Nothing of the tree is here: it was found.
		if err = unix.Unlinkat(dir, at.name, 0); err == nil {
			err = unix.Mkdirat(dir, at.name, 0o700)
		}
	}
	return failedNil("make directory", path, err)
}

func isDirectory(dir int, name string) bool {
	var st unix.Stat_t
	err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// rmdir removes a directory that is empty once the queues are.
func (w *Writer) rmdir(path string) error {
	at, ok := w.directory(path)
	if k, _ := w.places.of(path); !ok || k == leading {
		return nil
	}
	return w.do(path, true, nil, func(k *worker) error {
		dir, err := k.dir(at)
		if err != nil {
			return failed("open directory of", path, err)
		}
		if err := unix.Unlinkat(dir, at.name, unix.AT_REMOVEDIR); err != nil {
			return failed("remove directory", path, err)
		}
		w.removals.Add(1)
		return nil
	})
}

// directory returns the location of a directory of the tree, and whether the
// tree's directory is there at all.
func (w *Writer) directory(path string) (location, bool) {
	k, volume := w.places.of(path)
	if k != free && k != leading {
		return location{}, false
	}
	return w.in(volume, path), true
}

// in returns the location of a path of the root, or of the given volume.
func (w *Writer) in(volume, path string) location {
	at := w.root.realm
	switch {
	case volume != "":
		at, path = w.volumes[volume].realm, path[len(volume)+1:]
	case w.renamed(path):
		path = w.root.withheld(path)
	}
	dir, name := split(path)
	return location{at, dir, name}
}

// place returns where the tree's non-directory at path is to be made, and
// whether that is at path.
func (w *Writer) place(path string) (at location, there bool) {
	k, volume := w.places.of(path)
	if k == free {
		return w.in(volume, path), true
	}
	if k == kept {
		w.warnKept(path)
	}
	if w.aside[path] == "" {
		w.asides++
		w.aside[path] = fmt.Sprintf("path-%d", w.asides)
	}
	return location{w.root.realm, w.root.opts.Spare, w.aside[path]}, false
}

// where returns where the tree's non-directory at path is.
func (w *Writer) where(path string) location {
	if name := w.aside[path]; name != "" {
		return location{w.root.realm, w.root.opts.Spare, name}
	}
	k, volume := w.places.of(path)
	if k != free {
		return location{w.root.realm, w.root.opts.Spare, "nothing"}
	}
	return w.in(volume, path)
}

// take is where for a path that loses what it has.
func (w *Writer) take(path string) location {
	at := w.where(path)
	delete(w.aside, path)
	return at
}

// spare is where a file is that lost its path.
func (w *Writer) spare(file toc.File) location {
	return location{w.root.realm, w.root.opts.Spare, fmt.Sprintf("file-%d", file)}
}

// fail remembers the first error.
func (w *Writer) fail(err error) {
	w.failure.Lock()
	defer w.failure.Unlock()
	if w.failure.err == nil {
		w.failure.err = err
	}
}

func (w *Writer) err() error {
	w.failure.Lock()
	defer w.failure.Unlock()
	return w.failure.err
}

// warn tells a warning, unless there were many.
func (w *Writer) warn(text string) {
	w.failure.Lock()
	defer w.failure.Unlock()
	if w.failure.warnings++; w.failure.warnings <= warningsTold {
		w.root.opts.Warn(text)
	}
}

func (w *Writer) warnKept(path string) {
	if !w.warnedKept {
		w.warnedKept = true
		w.warn(fmt.Sprintf("the image's %q is left out: the place is the runner's", "/"+path))
	}
}
