package bench

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/bench/link"
)

// network is where the registry is.
type network struct {
	name, title string
	link.Network
}

var (
	loopback = network{"loopback", "loopback", link.Network{}}
	gigabit  = network{"1gbit", "1 Gbit/s", link.Network{Rate: "1gbit", Burst: "256kb"}}
	// office is an office's line, or a small cloud machine's far from the
	// registry.
	office = network{"100mbit", "100 Mbit/s, 30 ms there and back", link.Network{Rate: "100mbit", Burst: "64kb", Delay: 15 * time.Millisecond}}
)

// start is a comparison of ways to start one image over one network.
type start struct {
	image   image
	network network
	ways    []way
	// limits says that the parts of the work are measured beside it.
	limits bool
}

func (s start) name() string { return s.image.name + "/" + s.network.name }

var ours = []way{runner, runnerZstd, runnerPublished}

// starts are what `make bench` measures. With -all every way starts every image
// over every network.
var starts = []start{
	{small, loopback, slices.Concat(peers, ours, []way{fromStore}), false},
	{typical, loopback, slices.Concat(peers, ours, []way{intoStore, fromStore, copied}), true},
	{large, loopback, slices.Concat(peers, ours, []way{intoStore, fromStore, copied}), true},
	{small, office, []way{peers[0], runner, runnerPublished}, false},
	{typical, office, []way{peers[0], runner, runnerPublished}, false},
	{large, gigabit, []way{peers[0], runner, runnerPublished}, false},
	{models, gigabit, []way{peers[0], runner}, true},
	{models, loopback, nil, false},
	{large, office, nil, false},
	{models, office, nil, false},
	{small, gigabit, nil, false},
	{typical, gigabit, nil, false},
}

// chosen are the start's ways, as the flags want them.
func (s start) chosen(b *testing.B) (chosen []way) {
	b.Helper()
	only, err := regexp.Compile("^(" + *onlyWays + ")$")
	if err != nil {
		b.Fatalf("-ways: %v", err)
	}
	all := s.ways
	if *everything {
		all = slices.Concat(peers, peersOfZstd, ours, []way{intoStore, fromStore, copied})
	}
	for _, w := range all {
		if only.MatchString(w.name) {
			chosen = append(chosen, w)
		}
	}
	return chosen
}

// BenchmarkStart: an image that the machine does not have, in every way.
func BenchmarkStart(b *testing.B) {
	for _, s := range starts {
		if ways := s.chosen(b); len(ways) > 0 {
			b.Run(s.name(), func(b *testing.B) { measureStart(b, s, ways) })
		}
	}
}

func measureStart(b *testing.B, s start, ways []way) {
	loadRunner(b)
	want := wanted.get(b, s.image)
	over := connect(b, s.network)
	original := made.get(b, s.image, gzipped)
	row := &startRow{start: s, size: original.size, tree: want, ways: ways, samples: map[string]samples{}}
	var turns []turn
	for _, w := range ways {
		img := *made.get(b, s.image, w.form)
		img.ref = over.behind(img.ref)
		begin, checked := w.prepare(b, &img), false
		turns = append(turns, turn{w.name, func() measurement {
			a := begin()
			m := untilOutput(b, over, a.commands...)
			if !checked {
				a.check(b, w.name, want)
				checked = true
			}
			a.clean()
			return m
		}})
	}
	if s.limits {
		turns = append(turns, parts(b, original, over)...)
	}
	inTurns(b, s.name(), row.samples, turns...)
	results.starts = append(results.starts, row)
	for _, w := range ways {
		b.ReportMetric(row.samples[w.name].took().seconds(), w.name+"-s")
	}
	b.ReportMetric(0, "ns/op")
}

// turn is one of the things that are compared.
type turn struct {
	name    string
	measure func() measurement
}

// inTurns measures all of them once per round, each of them first as often as
// any other.
func inTurns(b *testing.B, what string, into map[string]samples, turns ...turn) {
	b.Helper()
	for round := range *rounds {
		for _, t := range turns {
			settle()
			m := t.measure()
			into[t.name] = append(into[t.name], m)
			say("%s, round %d of %d: %s %.2f s", what, round+1, *rounds, t.name, m.took.Seconds())
		}
		turns = append(turns[1:], turns[0])
	}
}

// connection is a network that is there.
type connection struct {
	*link.Link
}

func connect(b *testing.B, n network) connection {
	b.Helper()
	return connection{link.Connect(b, n.Network, lab.Registry)}
}

// behind is the reference of the same image there.
func (c connection) behind(ref string) string { return c.Addr + strings.TrimPrefix(ref, lab.Registry) }

// carried counts the bytes so far.
func (c connection) carried(b *testing.B) int64 {
	b.Helper()
	bytes, err := c.Carried()
	if err != nil {
		b.Fatal(err)
	}
	return bytes
}
