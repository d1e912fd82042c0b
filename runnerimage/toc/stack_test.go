package toc

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// stack is the layers of an image, lowest first.
type stack [][]layer.Entry

func (s stack) String() string {
	var b strings.Builder
	types := []string{"?", "file", "dir", "symlink", "hardlink", "char", "block", "fifo", "whiteout", "opaque"}
	for rank, entries := range s {
		for i, e := range entries {
			fmt.Fprintf(&b, "%d.%d %s %q", rank, i, types[e.Type], e.Name)
			if e.Link != "" {
				fmt.Fprintf(&b, " -> %q", e.Link)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// order is an interleaving: each element is the rank of the layer that takes
// its next step. A layer has one step more than entries, its end.
type order []int

// inOrder lets the layers come one after the other, as ranks says.
func (s stack) inOrder(ranks ...int) order {
	var o order
	for _, rank := range ranks {
		o = append(o, slices.Repeat([]int{rank}, len(s[rank])+1)...)
	}
	return o
}

// orders returns all layers upwards, all downwards, and n shuffled.
func (s stack) orders(n int, rng *rand.Rand) []order {
	ranks := make([]int, len(s))
	for i := range ranks {
		ranks[i] = i
	}
	up := s.inOrder(ranks...)
	slices.Reverse(ranks)
	orders := []order{up, s.inOrder(ranks...)}
	for range n {
		o := slices.Clone(up)
		rng.Shuffle(len(o), func(i, j int) { o[i], o[j] = o[j], o[i] })
		orders = append(orders, o)
	}
	return orders
}

// stream settles the stack in one order and carries the changes out.
func (s stack) stream(o order) (*Tree, *target, error) {
	tree, to := NewTree(len(s)), newTarget()
	at := make([]int, len(s))
	for _, rank := range o {
		i := at[rank]
		changes, err := s.step(tree, rank, at)
		if err != nil {
			return nil, nil, err
		}
		if err := to.apply(changes); err != nil {
			return nil, nil, fmt.Errorf("step %d.%d: %w: %w", rank, i, errTarget, err)
		}
		if i < len(s[rank]) && s[rank][i].Type == layer.Regular {
			last := changes[len(changes)-1]
			if (last.Op != Create && last.Op != Stash) || last.Entry != &s[rank][i] {
				return nil, nil, fmt.Errorf("step %d.%d: %w: %+v", rank, i, errTarget, last)
			}
		}
	}
	return tree, to, nil
}

// step has a layer take its next step; at holds how far all are.
func (s stack) step(tree *Tree, rank int, at []int) ([]Change, error) {
	i := at[rank]
	at[rank]++
	if i < len(s[rank]) {
		return tree.Layer(rank).Add(&s[rank][i])
	}
	return tree.Layer(rank).End()
}

var errTarget = errors.New("a change that cannot be carried out")

// want asks the oracle.
func (s stack) want() (tree, dresses map[string]*layer.Entry, err error) {
	uppers := make([]*upper, len(s))
	for rank := range s {
		uppers[rank] = newUpper()
		for i := range s[rank] {
			if err := uppers[rank].add(&s[rank][i]); err != nil {
				return nil, nil, err
			}
		}
	}
	return overlay(uppers)
}

// shape writes a tree down, one line for a path. A directory is told by its
// attributes, anything else by the place in the stack of the entry it is from.
func (s stack) shape(tree map[string]*layer.Entry) string {
	places := map[*layer.Entry]string{}
	for rank := range s {
		for i := range s[rank] {
			places[&s[rank][i]] = fmt.Sprintf("%d.%d", rank, i)
		}
	}
	var b strings.Builder
	for _, p := range slices.Sorted(maps.Keys(tree)) {
		e := tree[p]
		if e.Type == layer.Directory {
			fmt.Fprintf(&b, "%s/ %o %d:%d %d %v\n", p, e.Mode, e.UID, e.GID, e.ModTime.UnixNano(), e.Xattrs)
			continue
		}
		fmt.Fprintf(&b, "%s = %s\n", p, places[e])
	}
	return b.String()
}

// check compares Merge and the streams of all orders with the oracle.
func (s stack) check(orders []order) error {
	want, dresses, wantErr := s.want()
	wanted := s.shape(want)
	merged, err := Merge(s)
	if (err != nil) != (wantErr != nil) {
		return fmt.Errorf("Merge: error %v, oracle's %v", err, wantErr)
	}
	if err == nil {
		if got := s.shape(walked(merged)); got != wanted {
			return fmt.Errorf("Merge:\n%swant:\n%s", got, wanted)
		}
	}
	for _, o := range orders {
		tree, to, err := s.stream(o)
		switch {
		case errors.Is(err, errTarget):
			return fmt.Errorf("order %v: %w", o, err)
		case (err != nil) != (wantErr != nil):
			return fmt.Errorf("order %v: error %v, oracle's %v", o, err, wantErr)
		case err != nil:
			if !errors.Is(err, ErrEntry) {
				return fmt.Errorf("order %v: error %w", o, err)
			}
			continue
		}
		got, err := to.tree(tree)
		if err != nil {
			return fmt.Errorf("order %v: %w", o, err)
		}
		if got := s.shape(got); got != wanted {
			return fmt.Errorf("order %v:\n%swant:\n%s", o, got, wanted)
		}
		for p, i := range to.paths {
			if want := dresses[p]; want != nil && (i.dress == nil || i.dress.UID != want.UID) {
				return fmt.Errorf("order %v: %q has not the attributes of the link %+v but %+v", o, p, want, i.dress)
			}
		}
		if err := agree(tree, merged); err != nil {
			return fmt.Errorf("order %v: %w", o, err)
		}
	}
	return nil
}

// walked is what Walk and Directories say.
func walked(t *Tree) map[string]*layer.Entry {
	tree := map[string]*layer.Entry{}
	for n := range t.Walk {
		tree[n.Path] = n.Entry
	}
	t.Directories(func(p string, e *layer.Entry) { tree[p] = e })
	return tree
}

// tree is what the target has, with the attributes of directories as the tree
// gives them.
func (t *target) tree(tree *Tree) (map[string]*layer.Entry, error) {
	if len(t.spare) != 0 {
		return nil, fmt.Errorf("not released: %v", t.spare)
	}
	got := map[string]*layer.Entry{}
	inodes := map[*layer.Entry]*inode{}
	for p, i := range t.paths {
		if i.directory {
			continue
		}
		if other, ok := inodes[i.entry]; ok && other != i {
			return nil, fmt.Errorf("%q is a copy, not a hard link", p)
		}
		inodes[i.entry] = i
		got[p] = i.entry
	}
	var err error
	dressed := map[string]bool{}
	tree.Directories(func(p string, e *layer.Entry) {
		if dressed[parent(p)] || dressed[p] {
			err = fmt.Errorf("directory %q comes twice or after its parent", p)
		}
		if t.paths[p] == nil || !t.paths[p].directory {
			err = fmt.Errorf("directory %q was never made", p)
		}
		dressed[p] = true
		got[p] = e
	})
	for p, i := range t.paths {
		if i.directory && p != "" && !dressed[p] {
			err = fmt.Errorf("directory %q has no attributes", p)
		}
	}
	return got, err
}

// agree compares what the tree says of itself with the merged tree.
func agree(tree, merged *Tree) error {
	var got, want []string
	files := map[File]File{}
	for n := range tree.Walk {
		if kind, ok := tree.Lookup(n.Path); !ok || kind != n.Type {
			return fmt.Errorf("Lookup(%q) = %v, %v", n.Path, kind, ok)
		}
		got = append(got, fmt.Sprint(n.Path, " ", n.Type, " ", n.Rank))
	}
	for n := range merged.Walk {
		if n.Type != layer.Directory && n.Entry.Type != n.Type {
			return fmt.Errorf("%q: type %v of %v", n.Path, n.Type, n.Entry.Type)
		}
		want = append(want, fmt.Sprint(n.Path, " ", n.Type, " ", n.Rank))
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("Walk: %q, want %q", got, want)
	}
	i := 0
	byPath := map[string]File{}
	for n := range merged.Walk {
		byPath[n.Path] = n.File
	}
	for n := range tree.Walk {
		if other, ok := files[n.File]; ok && other != byPath[n.Path] {
			return fmt.Errorf("%q: hard links differ", n.Path)
		}
		files[n.File] = byPath[n.Path]
		i++
	}
	if tree.Len() != i || merged.Len() != i {
		return fmt.Errorf("Len %d and %d, want %d", tree.Len(), merged.Len(), i)
	}
	if tree.Superseded() != merged.Superseded() {
		return fmt.Errorf("Superseded %d, in order %d", tree.Superseded(), merged.Superseded())
	}
	return nil
}

// source makes choices from bytes; without any left it chooses 0.
type source []byte

func (s *source) choose(n int) int {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return int(b) % n
}

var (
	elements = []string{"a", "b", "c"}
	pointers = []string{"a", "b", "c", "a/b", "../a", "/b", "..", "/", "c/..", "./b/", "/a/../c", "../../c/a", "b/a/c", "/a/a", ""}
)

func (s *source) name() string {
	name := elements[s.choose(3)]
	for s.choose(5) < 3 && len(name) < 5 {
		name += "/" + elements[s.choose(3)]
	}
	return name
}

// stack decodes a stack. Most entries that the oracle refuses are left out,
// so that most stacks come to an end.
func (s *source) stack() stack {
	layers := make(stack, 2+s.choose(3))
	serial := 0
	for rank := range layers {
		u := newUpper()
		for range s.choose(13) {
			serial++
			e := s.entry(u, serial)
			if err := u.add(&e); err != nil && s.choose(64) != 1 {
				continue
			}
			layers[rank] = append(layers[rank], e)
		}
	}
	return layers
}

// entry decodes an entry for a layer that is unpacked in u so far.
func (s *source) entry(u *upper, serial int) layer.Entry {
	e := layer.Entry{Name: s.name()}
	switch s.choose(16) {
	case 0, 1, 2:
		e.Type = layer.Regular
	case 3, 4, 5, 6:
		e.Type = layer.Directory
		e.Mode, e.UID, e.GID = 0o700, uint32(serial), uint32(serial)
		e.ModTime = time.Unix(int64(serial), 5)
		if s.choose(16) == 1 {
			e.Name = ""
		}
	case 7, 8:
		e.Type, e.Link = layer.Symlink, pointers[s.choose(len(pointers))]
	case 9, 10, 11:
		var targets []string
		for p, m := range u.things {
			if !m.directory {
				targets = append(targets, p)
			}
		}
		slices.Sort(targets)
		e.Type, e.Link = layer.HardLink, s.name()
		e.UID = uint32(serial)
		if len(targets) > 0 && s.choose(16) != 1 {
			e.Link = targets[s.choose(len(targets))]
		} else if s.choose(4) != 1 {
			e.Type, e.Link = layer.CharDevice, ""
		}
	case 12:
		e.Type = layer.FIFO
	case 13, 14:
		e.Type = layer.Whiteout
	case 15:
		e.Type = layer.Opaque
	}
	if (e.Type == layer.Whiteout || e.Type == layer.Opaque) && s.choose(32) == 1 {
		e.Name = ""
	}
	return e
}

var (
	stacks = flag.Int("stacks", 1000, "how many random stacks TestRandom settles")
	seed   = flag.Uint64("seed", 0, "what TestRandom starts from; 0 for another every time")
)

// TestRandom compares random stacks in random orders with the oracle.
func TestRandom(t *testing.T) {
	seed := *seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("again with: -seed %d -stacks %d", seed, *stacks)
	rng := rand.New(rand.NewPCG(seed, 0))
	refused, links := 0, 0
	for range *stacks {
		data := make(source, 400)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		s := data.stack()
		if err := s.check(s.orders(6, rng)); err != nil {
			t.Fatalf("%v\nstack:\n%v", err, s)
		}
		tree, err := Merge(s)
		if err != nil {
			refused++
			continue
		}
		files := map[File]int{}
		for n := range tree.Walk {
			if files[n.File]++; n.File != 0 && files[n.File] == 2 {
				links++
			}
		}
	}
	t.Logf("%d stacks, %d refused, %d files with hard links", *stacks, refused, links)
	if refused > *stacks/2 || links < *stacks/10 {
		t.Error("the stacks are not what they should be")
	}
}

// FuzzMerge does the same for what the fuzzer finds.
func FuzzMerge(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		data := make([]byte, 200)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		f.Add(data, uint64(0))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		d := source(data)
		s := d.stack()
		if err := s.check(s.orders(3, rand.New(rand.NewPCG(seed, 0)))); err != nil {
			t.Fatalf("%v\nstack:\n%v", err, s)
		}
	})
}
