package toc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// The language of the tables.

func of(entries ...layer.Entry) []layer.Entry { return entries }

func file(name string) layer.Entry { return layer.Entry{Name: name, Type: layer.Regular} }

// dir makes a directory of mode 0700, so that it differs from an implied one.
func dir(name string) layer.Entry { return mode(name, 0o700) }

func mode(name string, mode uint32) layer.Entry {
	return layer.Entry{Name: name, Type: layer.Directory, Mode: mode, ModTime: time.Unix(1e9, 0)}
}

func symlink(name, to string) layer.Entry {
	return layer.Entry{Name: name, Type: layer.Symlink, Link: to}
}

func hardLink(name, to string) layer.Entry {
	return layer.Entry{Name: name, Type: layer.HardLink, Link: to}
}

func whiteout(name string) layer.Entry { return layer.Entry{Name: name, Type: layer.Whiteout} }

func opaque(name string) layer.Entry { return layer.Entry{Name: name, Type: layer.Opaque} }

// shown writes a tree down: "path/" for an implied directory, "path/700" for
// one with a mode, "path@1" for what layer 1 has put there; "path@1=name" if
// its entry has another name.
func shown(t *Tree) string {
	var words []string
	for n := range t.Walk {
		word := n.Path
		switch {
		case n.Type == layer.Directory && n.Entry.ModTime.IsZero():
			word += "/"
		case n.Type == layer.Directory:
			word += fmt.Sprintf("/%o", n.Entry.Mode)
		default:
			word += fmt.Sprintf("@%d", n.Rank)
			if n.Entry.Name != n.Path {
				word += "=" + n.Entry.Name
			}
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

var mergeTests = []struct {
	name   string
	layers stack
	want   string
	err    error
}{
	{name: "no layers"},
	{name: "empty layers", layers: stack{{}, {}}},
	{
		name:   "directories merge, the higher attributes win",
		layers: stack{of(mode("d", 0o711), file("d/low")), of(mode("d", 0o750), file("d/new"))},
		want:   "d/750 d/low@0 d/new@1",
	},
	{
		name:   "an implied directory leaves attributes alone",
		layers: stack{of(dir("d"), file("d/low")), of(file("d/new"), file("e/f/g"))},
		want:   "d/700 d/low@0 d/new@1 e/ e/f/ e/f/g@1",
	},
	{
		name:   "an entry after what is in it",
		layers: stack{of(file("d/f"), dir("d"))},
		want:   "d/700 d/f@0",
	},

	// What Docker was seen to do.
	{
		name:   "a lower symlink among the parents gives way, with a directory entry",
		layers: stack{of(dir("t"), dir("t/real"), file("t/real/y"), symlink("t/lnk", "real")), of(dir("t/lnk"), file("t/lnk/x"))},
		want:   "t/700 t/lnk/700 t/lnk/x@1 t/real/700 t/real/y@0",
	},
	{
		name:   "a lower symlink among the parents gives way, without one",
		layers: stack{of(dir("t"), dir("t/real"), file("t/real/y"), symlink("t/lnk", "real")), of(file("t/lnk/x"))},
		want:   "t/700 t/lnk/ t/lnk/x@1 t/real/700 t/real/y@0",
	},
	{
		name:   "a symlink of the same layer is followed",
		layers: stack{of(dir("t"), file("t/a/low")), of(dir("t/a"), symlink("t/b", "a"), file("t/b/x"))},
		want:   "t/700 t/a/700 t/a/low@0 t/a/x@1=t/b/x t/b@1",
	},
	{
		name:   "a whiteout that a directory undoes",
		layers: stack{of(mode("foo", 0o711), file("foo/low")), of(whiteout("foo"), dir("foo"), file("foo/new"))},
		want:   "foo/700 foo/low@0 foo/new@1",
	},
	{
		name:   "a whiteout and something beneath",
		layers: stack{of(dir("foo"), file("foo/low")), of(whiteout("foo"), file("foo/new"))},
		want:   "foo/ foo/new@1",
	},
	{
		name:   "something beneath and a whiteout",
		layers: stack{of(dir("foo"), file("foo/low")), of(file("foo/new"), whiteout("foo"))},
		want:   "foo/ foo/new@1",
	},
	{
		name:   "an opaque whiteout at the end of the layer",
		layers: stack{of(dir("op"), file("op/low"), dir("op/sub"), file("op/sub/low")), of(dir("op"), file("op/sub/new"), opaque("op"))},
		want:   "op/700 op/sub/ op/sub/new@1",
	},
	{
		name:   "a hard link to what only a lower layer has",
		layers: stack{of(file("low")), of(hardLink("link", "low"))},
		want:   "link@1=low low@0",
	},
	{
		name:   "a hard link to a lower thing, twice",
		layers: stack{of(file("low")), of(hardLink("link", "low"), hardLink("link", "low"))},
		want:   "link@1=low low@0",
	},
	{
		name:   "a hard link to nothing",
		layers: stack{of(file("low")), of(hardLink("link", "none"))},
		err:    ErrLink,
	},
	{
		name:   "a hard link to what only a higher layer has",
		layers: stack{of(hardLink("link", "high")), of(file("high"))},
		err:    ErrLink,
	},
	{
		name:   "a hard link to a lower thing that is hidden",
		layers: stack{of(file("low")), of(hardLink("link", "low"), whiteout("low"))},
		err:    ErrLink,
	},
	{
		name:   "a hard link to a lower thing, both hidden in the end",
		layers: stack{of(file("low")), of(hardLink("link", "low")), of(whiteout("link"), whiteout("low"))},
		want:   "",
	},
	{
		name:   "a hard link to a directory",
		layers: stack{of(dir("d"), hardLink("link", "d"))},
		err:    ErrLink,
	},
	{
		name:   "a hard link to itself",
		layers: stack{of(file("f"), hardLink("f", "f"))},
		err:    ErrLink,
	},
	{
		name:   "hard links to absolute names",
		layers: stack{of(file("t/f"), hardLink("t/dot", "t/f"), symlink("s", "/t"), hardLink("t/abs", "s/f"))},
		want:   "s@0 t/ t/abs@0=t/f t/dot@0=t/f t/f@0",
	},
	{
		name:   "a hard link to a symlink, and one to that",
		layers: stack{of(symlink("s", "gone"), hardLink("h", "s"), hardLink("hh", "h"))},
		want:   "h@0=s hh@0=s s@0",
	},
	{
		name:   "a file over a lower directory",
		layers: stack{of(dir("d"), dir("d/e"), file("d/e/f")), of(file("d"))},
		want:   "d@1",
	},
	{
		name:   "something beneath a lower file",
		layers: stack{of(file("filetodir")), of(file("filetodir/x"))},
		want:   "filetodir/ filetodir/x@1",
	},
	{
		name:   "whiteouts and opaque whiteouts imply their parents",
		layers: stack{of(symlink("s", "x")), of(whiteout("absent/x"), opaque("o/p"), whiteout("s/y"))},
		want:   "absent/ o/ o/p/ s/",
	},

	// Three layers.
	{
		name:   "what a whiteout hid stays hidden when the directory comes back",
		layers: stack{of(dir("d"), file("d/low")), of(whiteout("d")), of(file("d/new"))},
		want:   "d/ d/new@2",
	},
	{
		name:   "the same with an entry for the directory",
		layers: stack{of(dir("d"), file("d/low")), of(whiteout("d")), of(mode("d", 0o711), file("d/new"))},
		want:   "d/711 d/new@2",
	},
	{
		name:   "what a file hid stays hidden",
		layers: stack{of(dir("d"), file("d/low")), of(file("d")), of(file("d/new"))},
		want:   "d/ d/new@2",
	},
	{
		name:   "a whiteout does not hide what is higher",
		layers: stack{of(dir("d"), file("d/low")), of(dir("d"), file("d/mid")), of(whiteout("d/low"))},
		want:   "d/700 d/mid@1",
	},
	{
		name:   "a lower whiteout is nothing to a higher layer",
		layers: stack{of(file("f")), of(whiteout("f")), of(file("f"))},
		want:   "f@2",
	},
	{
		name:   "a superseded file with a hard link that is shown",
		layers: stack{of(file("a"), hardLink("b", "a")), of(file("a"))},
		want:   "a@1 b@0=a",
	},
	{
		name:   "a superseded symlink still leads its own layer",
		layers: stack{of(symlink("s", "to"), file("s/x")), of(dir("s"), file("s/y"))},
		want:   "s/700 s/y@1 to/ to/x@0=s/x",
	},

	// The root.
	{name: "an opaque root hides nothing", layers: stack{of(dir(""), file("low"), file("d/low")), of(opaque(""), file("d/new"))}, want: "d/ d/low@0 d/new@1 low@0"},
	{name: "a whiteout of the root", layers: stack{of(file("low"), file("d/low")), of(file("d/new"), whiteout(""))}, want: "d/ d/new@1"},
	{name: "a root that is a file", layers: stack{of(file(""))}, err: ErrEntry},
	{name: "a root that is a symlink", layers: stack{of(symlink("", "x"))}, err: ErrEntry},
	{name: "a root that is a hard link", layers: stack{of(file("f"), hardLink("", "f"))}, err: ErrEntry},

	// Names.
	{
		name:   "symlinks stay beneath the root",
		layers: stack{of(symlink("a/up", "../../../../x"), file("a/up/f"), symlink("abs", "/../y/."), file("abs/f"), symlink("self", "."), file("self/g"))},
		want:   "a/ a/up@0 abs@0 g@0=self/g self@0 x/ x/f@0=a/up/f y/ y/f@0=abs/f",
	},
	{name: "a loop", layers: stack{of(symlink("a", "b"), symlink("b", "a"), file("a/x"))}, err: ErrEntry},
	{name: "a loop of one", layers: stack{of(symlink("a", "a"), hardLink("x", "a/b"))}, err: ErrEntry},
	{name: "40 symlinks", layers: stack{append(chain(40), file("s40/f"))}, want: chained + " to/ to/f@0=s40/f"},
	{name: "41 symlinks", layers: stack{append(chain(41), file("s41/f"))}, err: ErrEntry},
	{name: "a file among the parents", layers: stack{of(file("f"), file("f/x"))}, err: ErrEntry},
	{name: "a file among the parents of a symlink's target", layers: stack{of(file("f"), symlink("l", "f/../d"), file("l/x"))}, err: ErrEntry},
	{name: "a file as an opaque directory", layers: stack{of(file("f"), opaque("f"))}, err: ErrEntry},
	{name: "an opaque directory behind a symlink", layers: stack{of(file("d/low")), of(symlink("s", "d"), opaque("s"))}, want: "d/ s@1"},
	{name: "a long name", layers: stack{of(file(strings.Repeat("x", 256)))}, err: ErrEntry},
	{name: "a long path", layers: stack{of(file(strings.Repeat("x/", 2048)))}, err: ErrEntry},
	{
		name:   "a long path behind symlinks",
		layers: stack{of(symlink("s", strings.Repeat("x/", 1500)), file("s/"+strings.Repeat("x/", 1500)+"f"))},
		err:    ErrEntry,
	},
	{name: "a long symlink", layers: stack{of(symlink("s", strings.Repeat("x", 4096)))}, err: ErrEntry},
	{name: "an unknown type", layers: stack{of(layer.Entry{Name: "x", Type: 99})}, err: ErrEntry},

	// The same path twice in one layer.
	{name: "a file twice", layers: stack{of(file("f"), symlink("f", "x"))}, want: "f@0"},
	{name: "a directory twice", layers: stack{of(dir("d"), file("d/f"), mode("d", 0o711))}, want: "d/711 d/f@0"},
	{name: "a file over a directory", layers: stack{of(dir("d"), file("d/e/f"), file("d"))}, want: "d@0"},
	{name: "a directory over a file", layers: stack{of(file("d"), dir("d"), file("d/f"))}, want: "d/700 d/f@0"},
	{name: "a file over one with a hard link", layers: stack{of(symlink("a", "x"), hardLink("b", "a"), file("a"))}, want: "a@0 b@0=a"},
	{
		name:   "a symlink that is gone is not followed",
		layers: stack{of(symlink("d/s", "/x"), file("d"), dir("d"), file("d/s/f"))},
		want:   "d/700 d/s/ d/s/f@0",
	},
}

func chain(n int) []layer.Entry {
	links := of(symlink("s01", "to"))
	for i := 2; i <= n; i++ {
		links = append(links, symlink(fmt.Sprintf("s%02d", i), fmt.Sprintf("s%02d", i-1)))
	}
	return links
}

// chained is what shown makes of chain(40).
const chained = "s01@0 s02@0 s03@0 s04@0 s05@0 s06@0 s07@0 s08@0 s09@0 s10@0 " +
	"s11@0 s12@0 s13@0 s14@0 s15@0 s16@0 s17@0 s18@0 s19@0 s20@0 " +
	"s21@0 s22@0 s23@0 s24@0 s25@0 s26@0 s27@0 s28@0 s29@0 s30@0 " +
	"s31@0 s32@0 s33@0 s34@0 s35@0 s36@0 s37@0 s38@0 s39@0 s40@0"

func TestMerge(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, test := range mergeTests {
		t.Run(test.name, func(t *testing.T) {
			tree, err := Merge(test.layers)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if err == nil {
				if got := shown(tree); got != test.want {
					t.Errorf("got  %s\nwant %s", got, test.want)
				}
			}
			// Limits are no matter of the oracle.
			if strings.Contains(test.name, "long") || strings.Contains(test.name, "unknown") {
				return
			}
			if err := test.layers.check(test.layers.orders(50, rng)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestChanges looks at the steps themselves where the end does not tell them.
func TestChanges(t *testing.T) {
	tests := []struct {
		name   string
		layers stack
		order  order
		want   string
	}{
		{
			name:   "a file whose layer has ended is unlinked",
			layers: stack{of(file("d/f")), of(file("d/f"))},
			order:  order{0, 0, 1, 1},
			want:   "mkdir d, create d/f 1; ; unlink d/f, create d/f 2; ; ",
		},
		{
			name:   "a file that its own layer replaces is unlinked",
			layers: stack{of(file("f"), file("f"))},
			order:  order{0, 0, 0},
			want:   "create f 1; unlink f, create f 2; ; ",
		},
		{
			name:   "a file that its own layer replaces is retired for a link",
			layers: stack{of(file("f"), hardLink("g", "f"), file("f"))},
			order:  order{0, 0, 0, 0},
			want:   "create f 1; ; retire f 1, create f 2; link g 1, release 1; ",
		},
		{
			name:   "a file whose layer goes on is retired",
			layers: stack{of(file("f"), hardLink("g", "f")), of(file("f"))},
			order:  order{0, 1, 0, 0, 1},
			want:   "create f 1; retire f 1, create f 2; ; link g 1, release 1; ; ",
		},
		{
			name:   "a file that comes late is stashed",
			layers: stack{of(file("f"), hardLink("g", "f")), of(file("f"))},
			order:  order{1, 0, 0, 0, 1},
			want:   "create f 1; stash f 2; ; link g 2, release 2; ; ",
		},
		{
			name:   "a link takes from the path while there is one",
			layers: stack{of(file("f"), hardLink("g", "f"))},
			order:  order{0, 0, 0},
			want:   "create f 1; ; link g<f 1; ",
		},
		{
			name:   "a link that is superseded before its end only gives its attributes",
			layers: stack{of(file("f"), hardLink("g", "f")), of(symlink("g", "x"))},
			order:  order{0, 0, 1, 0, 1},
			want:   "create f 1; ; create g 2; dress<f 1; ; ",
		},
		{
			name:   "children go first",
			layers: stack{of(file("d/e/f"), file("d/g")), of(file("d"))},
			order:  order{0, 0, 0, 1, 1},
			want:   "mkdir d, mkdir d/e, create d/e/f 1; create d/g 2; ; unlink d/g, unlink d/e/f, rmdir d/e, rmdir d, create d 3; ; ",
		},
		{
			name:   "a whiteout waits for the end and stays",
			layers: stack{of(file("f"), file("d/g")), of(whiteout("f"), whiteout("d"))},
			order:  order{0, 1, 1, 1, 0, 0},
			want:   "create f 1; ; ; retire f 1; stash d/g 2; release 1, release 2; ",
		},
		{
			name:   "an opaque whiteout does not wait",
			layers: stack{of(file("d/f")), of(opaque("d"))},
			order:  order{0, 0, 1, 1},
			want:   "mkdir d, create d/f 1; ; unlink d/f; ; ",
		},
		{
			name:   "a link to a lower layer waits for all",
			layers: stack{of(file("f")), of(hardLink("g", "f"))},
			order:  order{1, 1, 0, 0},
			want:   "; ; create f 2; link g<f 2; ",
		},
	}
	ops := []string{"", "mkdir", "create", "stash", "unlink", "retire", "rmdir", "link", "dress", "release"}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got strings.Builder
			steps := test.layers.steps(test.order, func(changes []Change) {
				for i, c := range changes {
					if i > 0 {
						got.WriteString(", ")
					}
					fmt.Fprint(&got, ops[c.Op])
					if c.Path != "" {
						fmt.Fprint(&got, " ", c.Path)
					}
					if c.From != "" {
						fmt.Fprint(&got, "<", c.From)
					}
					if c.File != 0 {
						fmt.Fprint(&got, " ", c.File)
					}
				}
				got.WriteString("; ")
			})
			if steps != nil {
				t.Fatal(steps)
			}
			if got.String() != test.want {
				t.Errorf("got  %s\nwant %s", got.String(), test.want)
			}
		})
	}
}

// steps settles the stack in one order and hands over the changes of each
// step.
func (s stack) steps(o order, each func([]Change)) error {
	tree, at := NewTree(len(s)), make([]int, len(s))
	for _, rank := range o {
		changes, err := s.step(tree, rank, at)
		if err != nil {
			return err
		}
		each(changes)
	}
	return nil
}

func TestDirectories(t *testing.T) {
	root := layer.Entry{Type: layer.Directory, Mode: 0o1777, UID: 3, GID: 4, ModTime: time.Unix(7, 9)}
	var with, without []string
	for _, test := range []struct {
		layers stack
		got    *[]string
	}{
		{stack{of(root, dir("b/a"), file("c/f"))}, &with},
		{stack{of(root, dir("b/a"), file("c/f")), of(whiteout(""), file("b/a/x"))}, &without},
	} {
		tree, err := Merge(test.layers)
		if err != nil {
			t.Fatal(err)
		}
		tree.Directories(func(p string, e *layer.Entry) {
			*test.got = append(*test.got, fmt.Sprintf("/%s %o %d:%d", e.Name, e.Mode, e.UID, e.GID))
			if e.Name != p || p == "" && !e.ModTime.Equal(root.ModTime) {
				t.Errorf("entry %+v of %q", e, p)
			}
		})
	}
	if got, want := fmt.Sprint(with), "[/b/a 700 0:0 /b 755 0:0 /c 755 0:0 / 1777 3:4]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(without), "[/b/a 755 0:0 /b 755 0:0]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLookup(t *testing.T) {
	tree, err := Merge(stack{of(file("d/f"), symlink("s", "d"), hardLink("h", "s"))})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]layer.Type{
		"": layer.Directory, "d": layer.Directory, "d/f": layer.Regular, "s": layer.Symlink, "h": layer.Symlink,
		"s/f": 0, "x": 0, "d/f/x": 0, "/d": 0,
	} {
		if got, ok := tree.Lookup(path); got != want || ok != (want != 0) {
			t.Errorf("Lookup(%q) = %v, %v, want %v", path, got, ok, want)
		}
	}
}

func TestTooMany(t *testing.T) {
	l := NewTree(maxLayers + 1).Layer(0)
	if _, err := l.Add(&layer.Entry{Name: "f", Type: layer.Regular}); !errors.Is(err, ErrTooMany) {
		t.Errorf("layers: error %v", err)
	}
	e := dir("d")
	tree := NewTree(1)
	tree.added = maxEntries - 1
	if _, err := tree.Layer(0).Add(&e); err != nil {
		t.Errorf("entry %d: %v", maxEntries, err)
	}
	if _, err := tree.Layer(0).Add(&e); !errors.Is(err, ErrTooMany) {
		t.Errorf("entry %d: error %v", maxEntries+1, err)
	}
	tree = NewTree(1)
	tree.limit = 3
	e = file("a/b/c")
	if _, err := tree.Layer(0).Add(&e); err != nil {
		t.Errorf("path 3: %v", err)
	}
	e = file("a/b/d")
	if _, err := tree.Layer(0).Add(&e); !errors.Is(err, ErrTooMany) {
		t.Errorf("path 4: error %v", err)
	}
}

func TestEnded(t *testing.T) {
	l := NewTree(1).Layer(0)
	if _, err := l.End(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.End(); err == nil {
		t.Error("a layer ends twice")
	}
	if _, err := l.Add(&layer.Entry{Name: "f", Type: layer.Regular}); err == nil {
		t.Error("a layer goes on after its end")
	}
}

// TestMemory settles 500,000 entries as a layer of packages has them.
func TestMemory(t *testing.T) {
	const entries, most = 500_000, 60 << 20
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	tree := NewTree(2)
	l := tree.Layer(1)
	names := 0
	for i := range entries {
		e := layer.Entry{Name: fmt.Sprintf("usr/lib/python3/dist-packages/package%d/module%d/some_file_%d.py", i/200, i/20, i), Type: layer.Regular}
		switch {
		case i%20 == 0:
			e = dir(e.Name)
		case i%25 == 0:
			e.Type, e.Link = layer.Symlink, "../module/some_file.py"
		}
		names += len(e.Name)
		if _, err := l.Add(&e); err != nil {
			t.Fatal(err)
		}
	}
	used := heap() - before
	t.Logf("%d bytes for each of %d paths with %d bytes of name: %d MiB", used/uint64(tree.Len()), tree.Len(), names/entries, used>>20)
	if used > most {
		t.Errorf("%d MiB are too much", used>>20)
	}
	runtime.KeepAlive(tree)
}

func BenchmarkAdd(b *testing.B) {
	b.ReportAllocs()
	var l *Layer
	for i := range b.N {
		if i%500_000 == 0 {
			l = NewTree(1).Layer(0)
		}
		e := layer.Entry{Name: fmt.Sprintf("usr/lib/python3/dist-packages/package%d/module%d/some_file_%d.py", i/200, i/20, i), Type: layer.Regular}
		if _, err := l.Add(&e); err != nil {
			b.Fatal(err)
		}
	}
}
