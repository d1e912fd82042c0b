package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/faultproxy"
	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
	"github.com/clipperregistry/runner/test/treediff"
)

var storeKills = flag.Int("storekills", 100, "moments at which a runner with a store is killed")

// killCase is a store, an image, and how many runners share the one on their
// way to the other.
type killCase struct {
	name    string
	image   func(t *testing.T) pulled
	before  func(t *testing.T) string // what the store has had, or nil
	runners int
}

var killCases = []killCase{
	{name: "small layers", image: smallLayers, runners: 1},
	{name: "a large layer", image: largeLayer, runners: 1},
	{name: "an update", image: update, before: outdated, runners: 1},
	{name: "small layers, shared", image: smallLayers, runners: 4},
	{name: "a large layer, shared", image: largeLayer, runners: 4},
	{name: "an update, shared", image: update, before: outdated, runners: 4},
}

// TestKilledWithStore kills runners that fill, read and share a store, at any
// moment. Those beside them and those after them find the right tree, and the
// store stays sound.
func TestKilledWithStore(t *testing.T) {
	for n, c := range killCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, uint64(n), *storeKills/len(killCases)+1)
		})
	}
}

func (c killCase) run(t *testing.T, n uint64, kills int) {
	image := c.image(t)
	proxy := lab.Proxy(t)
	ref := proxy.Through(image.ref)
	r := rand.New(rand.NewPCG(n, *seed))
	var store shared
	for done := 0; done < kills; {
		// A store is filled over several kills, then a new one is begun.
		if done%4 == 0 {
			store = newStore(t)
			if c.before != nil {
				store.snapshot(t, proxy.Through(c.before(t)))
			}
		}
		c.kill(t, r, store, ref, image, proxy)
		done++
		if done%4 == 0 || done >= kills {
			tree, _ := store.snapshot(t, ref)
			compare(t, image.snapped, tree)
			store.verify(t)
		}
		if t.Failed() {
			t.Fatalf("after %d kills", done)
		}
	}
}

// kill starts the runners, kills one of them and waits for the others.
func (c killCase) kill(t *testing.T, r *rand.Rand, store shared, ref string, image pulled, proxy *faultproxy.Proxy) {
	t.Helper()
	spec := snapshotSpec(t, ref)
	spec.Flags = append(spec.Flags, store.flags()...)
	// Half of the kills come at a byte of the pull, half at a time.
	thaw := func() {}
	var reached <-chan struct{}
	late := time.Duration(r.IntN(1200)) * time.Millisecond
	if r.IntN(2) == 0 {
		reached, thaw = proxy.FreezeAfter(t, r.Int64N(image.total))
		late = 2 * time.Second
	}
	var runners []*stack.Container
	for range c.runners {
		runners = append(runners, lab.Start(t, spec))
	}
	select {
	case <-reached: // or never, where less is left to pull
	case <-time.After(late):
	}
	killed := runners[r.IntN(len(runners))]
	killed.Kill(t)
	thaw()
	for _, runner := range runners {
		code := runner.Wait(t)
		if runner != killed || code == "0" {
			logs := runner.Logs(t)
			tree, err := treediff.Read(strings.NewReader(logs.Stdout))
			if code != "0" || err != nil {
				t.Errorf("a runner beside the one that was killed: exit %s: %s", code, logs.Stderr)
			} else {
				compare(t, image.snapped, tree)
			}
		}
		runner.Do(t, "rm", "--volumes")
	}
}

func smallLayers(t *testing.T) pulled { return push(t, "storekills/small", interrupted(t, nil)) }

// largeLayer is one gzip layer whose pull is worth going on with: larger than
// the distance of two checkpoints.
func largeLayer(t *testing.T) pulled {
	img := scratch(t)
	entries := []tarball.Entry{dir("large")}
	for n := range 12 {
		entries = append(entries, noise(fmt.Sprintf("large/file-%d", n), 8<<20+n*1000), file(fmt.Sprintf("large/small-%d", n), "x"))
	}
	img.Layers = append(img.Layers, stack.Tar(tarball.Build(entries...)))
	return push(t, "storekills/large", img)
}

// update is a published image, outdated its version before.
func update(t *testing.T) pulled {
	img := interrupted(t, nil)
	img.Layers = append(img.Layers, stack.Tar(tarball.Build(dir("new"), noise("new/a", 3<<20+1), noise("new/b", 2<<20+7))))
	twin := push(t, "storekills/update", img)
	twin.ref = publish(t, twin.ref, "storekills/published")
	return twin
}

func outdated(t *testing.T) string {
	img := interrupted(t, nil)
	img.Layers = append(img.Layers, stack.Tar(tarball.Build(dir("new"), noise("new/a", 3<<20+1), noise("new/c", 1<<20+7))))
	return publish(t, lab.Push(t, "storekills/outdated", img), "storekills/published-outdated")
}

// publish publishes an image of the registry to another repository there.
func publish(t *testing.T, ref, repository string) string {
	t.Helper()
	published := lab.Registry + "/" + repository + ":e2e"
	output(t, lab.Program(t, "cmd/clipper-runner"), "publish", ref, published)
	return published
}
