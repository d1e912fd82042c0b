package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"sort"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"
)

// Snapshot finds and reads the chunks of the packs that were there when it
// was taken. It reads no index before it must, the most recently used packs'
// first. A pack in which it finds a chunk is kept from eviction until Close.
// It is safe for concurrent use, Close excepted.
type Snapshot struct {
	d *Dir

	mu      sync.RWMutex
	pending []string // names of packs that are not loaded, the next one first
	bad     map[string]bool
	packs   []*openPack
	runs    [][]slot // each ordered by key
}

// slot is where a chunk is. There is one for every chunk of the store, so it
// is small: half an ID tells chunks apart, the record has it whole.
type slot struct {
	key    key
	offset int64
	stored uint32
	pack   uint32 // an index of Snapshot.packs, or dropped
}

type key struct{ hi, lo uint64 }

const dropped = math.MaxUint32

func keyOf(id ID) key { return key{le.Uint64(id[:]), le.Uint64(id[8:])} }

func (a key) compare(b key) int {
	switch {
	case a.hi < b.hi, a.hi == b.hi && a.lo < b.lo:
		return -1
	case a == b:
		return 0
	}
	return 1
}

// openPack is a pack whose index is loaded.
type openPack struct {
	name string
	mark mark

	mu   sync.Mutex
	f    *os.File // with a shared lock, as soon as a chunk is found in it
	gone bool
}

// Snapshot lists the packs. The caller closes the Snapshot.
func (d *Dir) Snapshot() (*Snapshot, error) {
	s := &Snapshot{d: d, bad: map[string]bool{}}
	items, err := d.list(packsDir, Packs)
	if err != nil {
		return nil, fmt.Errorf("list the packs: %w", err)
	}
	slices.Reverse(items)
	for _, item := range items {
		s.pending = append(s.pending, item.Name)
		s.bad[item.Name] = item.bad
	}
	return s, nil
}

// Close lets go of the packs.
func (s *Snapshot) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.packs {
		p.mu.Lock()
		if p.gone = true; p.f != nil {
			p.f.Close()
		}
		p.mu.Unlock()
	}
	s.runs, s.pending = nil, nil
}

// Has reports whether the store has a chunk, and from then on keeps it from
// being evicted. It does not read it.
func (s *Snapshot) Has(id ID) bool {
	f, _, _, err := s.find(id)
	return err == nil && f != nil
}

// ReadChunk reads the stored bytes of a chunk into buf, or into a new one if
// buf is too small; give the result as the next call's buf.
//
// ErrNotFound: the store does not have it, or has it no more. ErrCorrupt: it
// was damaged, and is noted so that nobody finds it again. Both mean that it
// must be fetched. The bytes are those that were put; whether the ID is right
// is seen once they are decoded, see Reject.
func (s *Snapshot) ReadChunk(id ID, buf []byte) ([]byte, error) {
	var damage error
	for {
		f, at, p, err := s.find(id)
		switch {
		case err != nil:
			return nil, fmt.Errorf("chunk %x: %w", id, err)
		case f == nil && damage != nil:
			return nil, fmt.Errorf("chunk %x: %w", id, damage)
		case f == nil:
			return nil, fmt.Errorf("chunk %x: %w", id, ErrNotFound)
		}
		encoded, err := readRecord(f, p.mark, id, at.offset, at.stored, buf)
		switch {
		case err == nil:
			return encoded, nil
		case errors.Is(err, ErrNotFound):
			p.lose()
		case errors.Is(err, ErrCorrupt):
			damage = fmt.Errorf("pack %s: %w", p.name, err)
			s.drop(at)
			if !errors.Is(err, errTransient) {
				s.d.noteBad(p.name, id)
			}
		default:
			return nil, fmt.Errorf("chunk %x: %w", id, err)
		}
	}
}

// Reject notes that a chunk which ReadChunk has served is damaged after all:
// it cannot be decoded, or its content has another ID. Nobody finds it again.
func (s *Snapshot) Reject(id ID) {
	if f, at, p, err := s.find(id); err == nil && f != nil {
		s.drop(at)
		s.d.noteBad(p.name, id)
	}
}

// find looks a chunk up and keeps its pack open; a nil file says that there
// is none. Indexes are loaded as long as it is in none of those that are.
func (s *Snapshot) find(id ID) (*os.File, slot, *openPack, error) {
	k := keyOf(id)
	for from := 0; ; {
		s.mu.RLock()
		at, p, next := s.lookup(k, from)
		runs := len(s.runs)
		more := len(s.pending) > 0
		s.mu.RUnlock()
		switch {
		case p != nil:
			f, err := p.open(s.d)
			if f != nil || err != nil {
				return f, at, p, err
			}
			from = next // its pack is gone: look further
		case more:
			s.load(runs)
			from = runs
		default:
			return nil, at, nil, nil
		}
	}
}

// lookup finds a chunk in the runs from a given one on, and says from which
// run on to look if its pack turns out to be gone. The caller holds s.mu.
func (s *Snapshot) lookup(k key, from int) (slot, *openPack, int) {
	for i := from; i < len(s.runs); i++ {
		run := s.runs[i]
		n := sort.Search(len(run), func(n int) bool { return run[n].key.compare(k) >= 0 })
		for ; n < len(run) && run[n].key == k; n++ {
			if run[n].pack == dropped {
				continue
			}
			if p := s.packs[run[n].pack]; !p.isGone() {
				return run[n], p, i
			}
		}
	}
	return slot{}, nil, 0
}

// drop forgets one copy of a chunk.
func (s *Snapshot) drop(at slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, run := range s.runs {
		n := sort.Search(len(run), func(n int) bool { return run[n].key.compare(at.key) >= 0 })
		for ; n < len(run) && run[n].key == at.key; n++ {
			if run[n].pack == at.pack {
				run[n].pack = dropped
			}
		}
	}
}

// A round of loading takes firstRound packs, each further one twice as many
// as the one before: an image that was used of late is found in the first,
// and there are few runs to search however many packs there are. At most
// atOnce are read at the same time, for a network file system's sake.
const (
	firstRound = 16
	atOnce     = 16
)

// load makes the next run of slots, unless another goroutine has.
func (s *Snapshot) load(runs int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.runs) != runs {
		return
	}
	n := min(firstRound<<runs, len(s.pending))
	names := s.pending[:n]
	s.pending = s.pending[n:]
	packs := make([]*openPack, n)
	entries := make([][]entry, n)
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, name := range names {
		group.Go(func() error {
			packs[i], entries[i] = s.d.loadPack(name, s.bad[name])
			return nil
		})
	}
	_ = group.Wait() // they return none
	total := 0
	for _, e := range entries {
		total += len(e)
	}
	run := make([]slot, 0, total)
	for i, p := range packs {
		for _, e := range entries[i] {
			run = append(run, slot{keyOf(e.id), e.offset, e.stored, uint32(len(s.packs))})
		}
		s.packs = append(s.packs, p)
	}
	slices.SortFunc(run, func(a, b slot) int { return a.key.compare(b.key) })
	s.runs = append(s.runs, run)
}

// loadPack reads a pack's index, without the chunks that are known to be bad.
// A pack that is gone or cannot be read has no entries.
func (d *Dir) loadPack(name string, hasBad bool) (*openPack, []entry) {
	p := &openPack{name: name}
	f, err := openPackFile(d.packPath(name))
	if err != nil {
		return p, nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return p, nil
	}
	m, entries, err := readIndex(f, info.Size())
	if errors.Is(err, ErrCorrupt) {
		m, entries, _, _ = walk(f, info.Size(), false)
	}
	if p.mark = m; hasBad {
		bad := d.readBad(name)
		entries = slices.DeleteFunc(entries, func(e entry) bool { return bad[e.id] })
	}
	return p, entries
}

func openPackFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// open opens and locks the pack, once; neither file nor error: it is gone.
func (p *openPack) open(d *Dir) (*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone || p.f != nil {
		return p.f, nil
	}
	f, err := openPackFile(d.packPath(p.name))
	if err == nil {
		// A file system without locks evicts nothing either: go on.
		if errors.Is(lock(f, syscall.LOCK_SH), ErrBusy) {
			f.Close()
			err = fs.ErrNotExist // it is about to be removed
		}
	}
	if vanished(err) {
		p.gone = true
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil {
		d.used(d.packPath(p.name), info)
	}
	p.f = f
	return f, nil
}

// lose gives up a pack that is gone under its open descriptor. The descriptor
// stays open until Close, as others may be reading.
func (p *openPack) lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
}

func (p *openPack) isGone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
}

// A bad list is a text file beside its pack: one ID in hexadecimal digits per
// line. It only saves looking for what cannot be served, as each read checks
// its record anyway. So nobody syncs it, a line that is lost to a race is
// written again, and one that makes no sense is passed over.

const maxBad = 16 << 20

func (d *Dir) badPath(name string) string { return d.join(packsDir, name+badExt) }

func (d *Dir) noteBad(pack string, id ID) (noted bool) {
	if d.readOnly {
		return false
	}
	f, err := os.OpenFile(d.badPath(pack), os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() >= maxBad {
		return false
	}
	_, err = f.WriteString(hex.EncodeToString(id[:]) + "\n")
	return err == nil
}

func (d *Dir) readBad(pack string) map[ID]bool {
	f, err := openPackFile(d.badPath(pack))
	if err != nil {
		return nil
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, maxBad))
	return parseBad(text)
}

// isBadList gives the pack to which a bad list belongs.
func isBadList(file string) (pack string, ok bool) { return strings.CutSuffix(file, badExt) }

func parseBad(text []byte) map[ID]bool {
	bad := map[ID]bool{}
	for line := range bytes.Lines(text) {
		raw, err := hex.DecodeString(strings.TrimSuffix(string(line), "\n"))
		if err == nil && len(raw) == len(ID{}) {
			bad[ID(raw)] = true
		}
	}
	return bad
}
