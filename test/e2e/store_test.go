package e2e

import (
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/faultproxy"
	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/treediff"
)

// shared is a store in a directory of this machine, as a volume for runners.
type shared struct{ dir string }

func newStore(t *testing.T) shared { return shared{lab.Scratch(t)} }

// flags mount the store.
func (s shared) flags() []string { return []string{"--volume", s.dir + ":/.clipper-runner/store"} }

// snapshot runs ref with the store and returns its tree, and what the runner
// said about it.
func (s shared) snapshot(t *testing.T, ref string, env ...string) ([]treediff.Node, summary) {
	t.Helper()
	spec := snapshotSpec(t, ref)
	spec.Flags = append(spec.Flags, s.flags()...)
	spec.RunnerEnv = append([]string{"CLIPPER_LOG=json"}, env...)
	result := lab.Run(t, spec)
	if result.Exit != 0 {
		t.Fatalf("%s: exit %d: %s", ref, result.Exit, result.Stderr)
	}
	nodes, err := treediff.Read(strings.NewReader(result.Stdout))
	if err != nil {
		t.Fatal(err)
	}
	return nodes, readSummary(t, result.Stderr)
}

// verify runs `clipper-runner store verify`, which finds nothing wrong.
func (s shared) verify(t *testing.T) {
	t.Helper()
	if out := output(t, lab.Program(t, "cmd/clipper-runner"), "store", "verify", "--store", s.dir); !strings.Contains(string(out), "sound") {
		t.Errorf("store verify: %s", out)
	}
}

// packs are the paths of the store's packs.
func (s shared) packs(t *testing.T) []string {
	t.Helper()
	packs, err := filepath.Glob(filepath.Join(s.dir, "packs", "*.pack"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("the store has no packs: %v", err)
	}
	return packs
}

// summary is the last line of a layout, as JSON.
type summary struct {
	Message  string `json:"msg"`
	Digest   string `json:"digest"`
	Pulled   int64  `json:"bytes_pulled"`
	Reused   int64  `json:"bytes_reused"`
	Claimed  int64  `json:"layers_by_toc_alone"`
	warnings []string
}

func readSummary(t *testing.T, log string) (s summary) {
	t.Helper()
	for line := range strings.Lines(log) {
		var l struct {
			Level string `json:"level"`
			summary
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("a line of the log is not JSON: %q", line)
		}
		switch {
		case l.Level == "warning":
			s.warnings = append(s.warnings, l.Message)
		case l.Message == "ready":
			l.summary.warnings = s.warnings
			s = l.summary
		}
	}
	if s.Message != "ready" {
		t.Fatalf("no summary: %s", log)
	}
	return s
}

// TestSecondRun: what a store has is not pulled again.
func TestSecondRun(t *testing.T) {
	image := push(t, "store/second", debian(t))
	proxy, store := lab.Proxy(t), newStore(t)
	ref := proxy.Through(image.ref)

	tree, first := store.snapshot(t, ref)
	compare(t, image.snapped, tree)
	if first.Pulled < image.total || first.Reused != 0 {
		t.Errorf("the first run pulled %d bytes of %d, reused %d", first.Pulled, image.total, first.Reused)
	}
	for _, c := range []struct {
		policy    string
		manifests int64
	}{{"always", 1}, {"if-not-present", 0}, {"never", 0}} {
		manifests, blobs := proxy.Counts()
		tree, again := store.snapshot(t, ref, "CLIPPER_PULL_POLICY="+c.policy)
		compare(t, image.snapped, tree)
		m, b := proxy.Counts()
		if b != blobs || m-manifests != c.manifests {
			t.Errorf("%s: the second run asked for %d manifests and %d blobs, want %d and 0", c.policy, m-manifests, b-blobs, c.manifests)
		}
		if again.Reused == 0 || len(again.warnings) > 0 || again.Claimed != 0 {
			t.Errorf("%s: %+v", c.policy, again)
		}
	}
	store.verify(t)
}

// TestPullPolicy: who is asked, and what an answer means.
func TestPullPolicy(t *testing.T) {
	image := push(t, "store/policy", probeImage(t, nil))
	store := newStore(t)
	proxy := lab.Proxy(t)
	ref := proxy.Through(image.ref)
	_, first := store.snapshot(t, ref)
	byDigest := strings.TrimSuffix(ref, ":e2e") + "@" + first.Digest
	refuse := faultproxy.Rule{Kind: faultproxy.Manifest, Fault: faultproxy.Status(http.StatusForbidden)}

	run := func(t *testing.T, ref string, store shared, env ...string) stack.Result {
		spec := stack.RunSpec{Image: ref, Via: stack.Runner, Flags: store.flags(), RunnerEnv: env, Args: []string{"sh", "-c", "echo started"}}
		return lab.Run(t, spec)
	}

	t.Run("refused", func(t *testing.T) {
		other := lab.Proxy(t, refuse)
		for _, ref := range []string{other.Through(image.ref), strings.TrimSuffix(other.Through(image.ref), ":e2e") + "@" + first.Digest} {
			for _, policy := range []string{"always", "if-not-present"} {
				want := 81
				if policy == "if-not-present" && strings.Contains(ref, "@") {
					want = 0 // nobody is asked for what is stored
				}
				if r := run(t, ref, store, "CLIPPER_PULL_POLICY="+policy); r.Exit != want {
					t.Errorf("%s %s: exit %d, want %d: %s%s", policy, ref, r.Exit, want, r.Stdout, r.Stderr)
				}
			}
		}
	})
	t.Run("out of reach", func(t *testing.T) {
		// The store knows the image by the name that it was pulled by.
		proxy.Add(faultproxy.Rule{Kind: faultproxy.Manifest, Fault: faultproxy.Status(http.StatusServiceUnavailable)})
		for _, ref := range []string{ref, byDigest} {
			if r := run(t, ref, store); r.Exit != 0 || r.Stdout != "started\n" || !strings.Contains(r.Stderr, "warning") || !strings.Contains(r.Stderr, first.Digest) {
				t.Errorf("%s: exit %d: %s%s", ref, r.Exit, r.Stdout, r.Stderr)
			}
		}
		if r := run(t, ref, newStore(t)); r.Exit != 85 {
			t.Errorf("with nothing stored: exit %d, want 85: %s", r.Exit, r.Stderr)
		}
	})
	t.Run("never", func(t *testing.T) {
		for name, ref := range map[string]string{"another host": image.ref, "another tag": strings.TrimSuffix(ref, "e2e") + "other"} {
			if r := run(t, ref, store, "CLIPPER_PULL_POLICY=never"); r.Exit != 82 || !strings.Contains(r.Stderr, "not stored") {
				t.Errorf("%s: exit %d, want 82: %s", name, r.Exit, r.Stderr)
			}
		}
		if r := run(t, ref, newStore(t), "CLIPPER_PULL_POLICY=never"); r.Exit != 82 {
			t.Errorf("an empty store: exit %d, want 82: %s", r.Exit, r.Stderr)
		}
		if r := lab.Run(t, stack.RunSpec{Image: ref, Via: stack.Runner, RunnerEnv: []string{"CLIPPER_PULL_POLICY=never"}}); r.Exit != 82 || !strings.Contains(r.Stderr, "no store") {
			t.Errorf("no store: exit %d, want 82: %s", r.Exit, r.Stderr)
		}
	})
}

// TestMovedTag: always notices a tag that names another image, if-not-present
// does not ask.
func TestMovedTag(t *testing.T) {
	store := newStore(t)
	before := push(t, "store/moved", mountImage(t))
	_, first := store.snapshot(t, before.ref)
	after := push(t, "store/moved", probeImage(t, nil))
	if _, s := store.snapshot(t, before.ref, "CLIPPER_PULL_POLICY=if-not-present"); s.Digest != first.Digest {
		t.Errorf("if-not-present runs %s, %s is stored", s.Digest, first.Digest)
	}
	tree, s := store.snapshot(t, before.ref)
	if s.Digest == first.Digest {
		t.Error("always runs what the tag named before")
	}
	compare(t, after.snapped, tree)
}

// TestSharedContent: layers that differ in their compression alone share their
// chunks.
func TestSharedContent(t *testing.T) {
	img := debian(t)
	image := push(t, "store/share", img)
	store := newStore(t)
	_, _ = store.snapshot(t, image.ref)
	before := onDisk(t, filepath.Join(store.dir, "packs"))
	for compression, name := range map[stack.Compression]string{stack.Zstd: "zstd", stack.Plain: "plain"} {
		tree, _ := store.snapshot(t, lab.Push(t, "store/share-"+name, img.With(compression)))
		compare(t, image.snapped, tree)
	}
	if after := onDisk(t, filepath.Join(store.dir, "packs")); after > before+before/1000 {
		t.Errorf("the packs grew from %d to %d bytes by the same layers, compressed otherwise", before, after)
	}
}

// TestStoreOfNoUse: a store is a help and never a need.
func TestStoreOfNoUse(t *testing.T) {
	image := push(t, "store/nouse", interrupted(t, nil))
	filled := newStore(t)
	filled.snapshot(t, image.ref)

	check := func(t *testing.T, store shared, flags []string, warning string) {
		t.Helper()
		spec := snapshotSpec(t, image.ref)
		spec.Flags = append(spec.Flags, flags...)
		spec.RunnerEnv = []string{"CLIPPER_LOG=json"}
		result := lab.Run(t, spec)
		tree, err := treediff.Read(strings.NewReader(result.Stdout))
		if result.Exit != 0 || err != nil {
			t.Fatalf("exit %d: %s", result.Exit, result.Stderr)
		}
		compare(t, image.snapped, tree)
		s := readSummary(t, result.Stderr)
		if all := strings.Join(s.warnings, "\n"); warning == "" && all != "" || !strings.Contains(all, warning) {
			t.Errorf("warnings %q, want %q", s.warnings, warning)
		}
	}
	readOnly := func(s shared) []string { return []string{"--volume", s.dir + ":/.clipper-runner/store:ro"} }

	t.Run("read-only and filled", func(t *testing.T) { check(t, filled, readOnly(filled), "") })
	t.Run("read-only and empty", func(t *testing.T) {
		store := newStore(t)
		check(t, store, readOnly(store), "store")
	})
	t.Run("full", func(t *testing.T) {
		disk := lab.Scratch(t)
		mountSmall(t, disk)
		fill(t, filepath.Join(disk, "full"), 2<<20)
		store := shared{filepath.Join(disk, "store")}
		check(t, store, store.flags(), "no space")
		check(t, store, store.flags(), "no space")
	})
	t.Run("something else", func(t *testing.T) {
		store := newStore(t)
		if err := os.WriteFile(filepath.Join(store.dir, "mine"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		check(t, store, store.flags(), "without a store")
	})
	t.Run("on no volume", func(t *testing.T) {
		check(t, filled, []string{"--env", "CLIPPER_STORE=/cache"}, "on no volume")
	})
	t.Run("elsewhere", func(t *testing.T) {
		check(t, filled, []string{"--env", "CLIPPER_STORE=/cache", "--volume", filled.dir + ":/cache"}, "")
	})
	t.Run("limited", func(t *testing.T) {
		store := newStore(t)
		check(t, store, append(store.flags(), "--env", "CLIPPER_STORE_MAX=1MiB"), "no space")
		if bytes := onDisk(t, store.dir); bytes > 2<<20 {
			t.Errorf("a store of 1 MiB takes %d bytes", bytes)
		}
	})
}

// fill writes a file until the disk has but so many bytes left.
func fill(t *testing.T, path string, left int64) {
	t.Helper()
	f, err := os.Create(path)
	try(t, err)
	defer f.Close()
	n, err := io.Copy(f, endless{})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk takes %d bytes: %v", n, err)
	}
	try(t, f.Truncate(n-left))
}

// endless are zeros.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestDamagedStore: damaged bytes are noticed, fetched again and never served;
// clocks that jump change nothing.
func TestDamagedStore(t *testing.T) {
	image := push(t, "store/damaged", debian(t))
	store := newStore(t)
	store.snapshot(t, image.ref)
	r := rand.New(rand.NewPCG(1, 2))
	for name, damage := range map[string]func(t *testing.T, path string, size int64){
		"flipped": func(t *testing.T, path string, size int64) {
			for range 20 {
				flip(t, path, r.Int64N(size))
			}
		},
		"torn":  func(t *testing.T, path string, size int64) { try(t, os.Truncate(path, size/2)) },
		"empty": func(t *testing.T, path string, size int64) { try(t, os.Truncate(path, 0)) },
		"gone":  func(t *testing.T, path string, size int64) { try(t, os.Remove(path)) },
		"from the future": func(t *testing.T, path string, size int64) {
			later := time.Now().Add(1000 * time.Hour)
			try(t, os.Chtimes(path, later, later))
		},
		"from the past": func(t *testing.T, path string, size int64) {
			try(t, os.Chtimes(path, time.Unix(0, 0), time.Unix(0, 0)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			blobs, err := filepath.Glob(filepath.Join(store.dir, "blobs", "*"))
			try(t, err)
			for _, path := range append(store.packs(t), blobs...) {
				info, err := os.Stat(path)
				try(t, err)
				damage(t, path, info.Size())
			}
			tree, _ := store.snapshot(t, image.ref)
			compare(t, image.snapped, tree)
			// A table and a chunk that it names may be damaged at once: then
			// the first run mends the one and the second the other.
			store.snapshot(t, image.ref)
			tree, again := store.snapshot(t, image.ref)
			compare(t, image.snapped, tree)
			if again.Reused != image.layers {
				t.Errorf("%d bytes of layers reused, want all %d", again.Reused, image.layers)
			}
		})
	}
	// What lies damaged in packs is dropped, and then nothing is wrong.
	_ = exec.CommandContext(t.Context(), lab.Program(t, "cmd/clipper-runner"), "store", "verify", "--store", store.dir).Run()
	store.verify(t)
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	try(t, err)
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	try(t, err)
	b[0] ^= 0x10
	_, err = f.WriteAt(b[:], at)
	try(t, err)
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
