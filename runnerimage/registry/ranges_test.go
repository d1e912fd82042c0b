package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
)

const (
	wide = 1 << 20
	gap  = 32 << 10 // the widest that is fetched with its neighbours
)

// scattered are spans of a wide blob: neighbours, narrow and wide gaps, none of
// them empty but one, and one of several parts.
var scattered = []registry.Span{
	{Offset: 0, Length: 100}, {Offset: 100, Length: 1}, {Offset: 101 + gap, Length: 50}, // one request and more: 33 kB
	{Offset: 200_000, Length: 0},
	{Offset: 300_000, Length: 10 * partSize},
	{Offset: 500_000, Length: 7}, {Offset: 500_007 + gap + 1, Length: 7}, // two
	{Offset: 700_000, Length: 300}, {Offset: 800_000, Length: 3000}, {Offset: wide - 1, Length: 1},
}

// readSpans reads the spans and checks their bytes. It returns how many came.
func readSpans(t *testing.T, spans *registry.Spans, want []registry.Span) (int, error) {
	t.Helper()
	raw := noise(wide)
	for n := 0; ; n++ {
		got, err := spans.Next()
		if err == io.EOF && n == len(want) {
			err = nil
		} else if err == nil && n == len(want) {
			t.Fatalf("a span more than %d", n)
		}
		if err != nil || n == len(want) {
			if _, again := spans.Next(); again == nil {
				t.Errorf("after span %d and %v there is one more", n, err)
			}
			return n, err
		}
		if s := want[n]; !bytes.Equal(got, raw[s.Offset:s.Offset+s.Length]) {
			t.Fatalf("span %d at %d has wrong bytes", n, s.Offset)
		}
	}
}

func TestSpans(t *testing.T) {
	raw := noise(wide)
	for name, fault := range map[string]fault{
		"nothing": nil,
		"cut": func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
			if n%2 == 0 {
				halfway(w, r, raw)
				panic(http.ErrAbortHandler)
			}
			serve()
		},
		"stall": func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
			if n == 0 || n == 5 {
				halfway(w, r, raw)
				<-r.Context().Done()
				return
			}
			serve()
		},
		"503": func(n int, w http.ResponseWriter, _ *http.Request, serve func()) {
			if n%3 == 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			serve()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, wide, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
				repo.blob = fault
				ranges := client.Ranges(reference(t, host+"/acme/app"), desc)
				defer ranges.Close()
				spans := ranges.Spans(t.Context(), scattered)
				defer spans.Close()
				if n, err := readSpans(t, spans, scattered); err != nil {
					t.Fatalf("after %d spans: %v", n, err)
				}
				for _, span := range scattered {
					got, err := ranges.Read(t.Context(), span)
					if err != nil || !bytes.Equal(got, raw[span.Offset:span.Offset+span.Length]) {
						t.Fatalf("%v: got %d bytes, %v", span, len(got), err)
					}
				}
				for _, line := range repo.log {
					if strings.Contains(line, "blobs") && (strings.Count(line, "bytes=") != 1 || strings.Contains(line, ",")) {
						t.Errorf("asked for more than one range: %s", line)
					}
				}
			})
		})
	}
}

func TestNarrowGapsAreFetchedAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, repo := newNetwork(), newRepository()
		desc := repo.addBlob(noise(wide))
		net.serve(t, host, repo)
		var heard atomic.Int64
		client := registry.New(registry.Options{Insecure: []string{host}, DialContext: net.dial, PartSize: 256 << 10, Progress: func(n int64) { heard.Add(n) }})
		defer client.Close()
		ranges := client.Ranges(reference(t, host+"/acme/app"), desc)
		defer ranges.Close()
		spans := ranges.Spans(t.Context(), scattered)
		defer spans.Close()
		if _, err := readSpans(t, spans, scattered); err != nil {
			t.Fatal(err)
		}
		var asked []string
		for _, line := range repo.log {
			if _, bytes, ok := strings.Cut(line, "bytes="); ok {
				asked = append(asked, bytes)
			}
		}
		slices.Sort(asked) // what is fetched ahead comes in any order
		want := []string{"0-32918", "300000-340959", "500000-500006", "532776-532782", "700000-700299", "800000-802999", "1048575-1048575"}
		slices.Sort(want)
		if !slices.Equal(asked, want) {
			t.Errorf("asked for %q, want %q", asked, want)
		}
		var wanted int64
		for _, span := range scattered {
			wanted += span.Length
		}
		if heard.Load() != wanted {
			t.Errorf("the progress heard of %d bytes, want %d", heard.Load(), wanted)
		}
		if got := client.Stats().Bytes; got < wanted+gap || got > wanted+gap+100 { // the pings' bodies are the rest
			t.Errorf("%d bytes over the wire, want the spans and the narrow gap, %d", got, wanted+gap)
		}
	})
}

// The memory of a span larger than a part is not held on to.
func TestMemoryOfALargeSpan(t *testing.T) {
	inBubble(t, wide, func(t *testing.T, client *registry.Client, _ *repository, _ *network, desc oci.Descriptor) {
		ranges := client.Ranges(reference(t, host+"/acme/app"), desc)
		defer ranges.Close()
		spans := ranges.Spans(t.Context(), []registry.Span{{Offset: 0, Length: wide / 2}, {Offset: wide / 2, Length: 10}})
		defer spans.Close()
		for _, want := range []int{wide / 2, 10} {
			if got, err := spans.Next(); err != nil || len(got) != want || cap(got) != want {
				t.Fatalf("got %d bytes in memory of %d, %v; want %d", len(got), cap(got), err, want)
			}
		}
	})
}

// What is asked for may be all there is: then an answer of 200 is no fault.
func TestSpanOfTheWholeBlob(t *testing.T) {
	for _, fault := range []fault{nil, withoutRanges} {
		inBubble(t, small, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
			repo.blob = fault
			ranges := client.Ranges(reference(t, host+"/acme/app"), desc)
			defer ranges.Close()
			first, err := ranges.Read(t.Context(), registry.Span{Offset: 0, Length: partSize})
			if fault == nil && (err != nil || len(first) != partSize) || fault != nil && !errors.Is(err, registry.ErrNoRanges) {
				t.Fatalf("a part: got %d bytes, %v", len(first), err)
			}
		})
		inBubble(t, partSize, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
			repo.blob = fault
			ranges := client.Ranges(reference(t, host+"/acme/app"), desc)
			defer ranges.Close()
			got, err := ranges.Read(t.Context(), registry.Span{Offset: 0, Length: partSize})
			if err != nil || !bytes.Equal(got, noise(partSize)) || repo.asks != 1 {
				t.Fatalf("got %d bytes by %d requests, %v", len(got), repo.asks, err)
			}
		})
	}
}

func TestBadSpans(t *testing.T) {
	inBubble(t, wide, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
		ref := reference(t, host+"/acme/app")
		huge := desc
		huge.Size = 1 << 40
		for name, test := range map[string]struct {
			desc  oci.Descriptor
			spans []registry.Span
			want  error
		}{
			"beyond the end":       {desc, []registry.Span{{Offset: wide - 1, Length: 2}}, registry.ErrMismatch},
			"begins beyond it":     {desc, []registry.Span{{Offset: wide + 1, Length: 0}}, registry.ErrMismatch},
			"overflows":            {desc, []registry.Span{{Offset: 1<<63 - 1, Length: 1<<63 - 1}}, registry.ErrMismatch},
			"negative offset":      {desc, []registry.Span{{Offset: -1, Length: 1}}, registry.ErrMismatch},
			"negative length":      {desc, []registry.Span{{Offset: 5, Length: -1}}, registry.ErrMismatch},
			"overlap":              {desc, []registry.Span{{Offset: 0, Length: 2}, {Offset: 1, Length: 2}}, registry.ErrMismatch},
			"not sorted":           {desc, []registry.Span{{Offset: 9, Length: 2}, {Offset: 1, Length: 2}}, registry.ErrMismatch},
			"too large":            {huge, []registry.Span{{Offset: 0, Length: registry.MaxSpan + 1}}, registry.ErrTooLarge},
			"of a blob of no size": {oci.Descriptor{Digest: desc.Digest, Size: -1}, []registry.Span{{}}, registry.ErrMismatch},
		} {
			ranges := client.Ranges(ref, test.desc)
			spans := ranges.Spans(t.Context(), test.spans)
			if got, err := spans.Next(); !errors.Is(err, test.want) || got != nil {
				t.Errorf("%s: got %d bytes, %v", name, len(got), err)
			}
			spans.Close()
			ranges.Close()
		}
		if len(repo.log) > 0 {
			t.Errorf("asked %q", repo.log)
		}
	})
}

func TestRangesFail(t *testing.T) {
	for name, test := range map[string]struct {
		fault fault
		want  error
	}{
		"404":        {answerWith(404), registry.ErrNotFound},
		"403":        {answerWith(403), registry.ErrDenied},
		"always 503": {answerWith(503), registry.ErrUnreachable},
		"another size": {func(_ int, w http.ResponseWriter, r *http.Request, _ func()) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(noise(wide+1)))
		}, registry.ErrMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, wide, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
				repo.blob = test.fault
				ranges := client.Ranges(reference(t, host+"/acme/app"), desc)
				defer ranges.Close()
				_, err := ranges.Read(t.Context(), scattered[0])
				if !errors.Is(err, test.want) || errors.Is(err, registry.ErrNoRanges) || !strings.Contains(err.Error(), host+"/acme/app") {
					t.Fatalf("got %v, want %v", err, test.want)
				}
			})
		})
	}
}

func TestRangesOfExpiringRedirects(t *testing.T) {
	inBubble(t, wide, func(t *testing.T, client *registry.Client, repo *repository, net *network, desc oci.Descriptor) {
		cdn := newRepository()
		cdn.blobs = repo.blobs
		var signature atomic.Int32
		var uses sync.Map // signature → *atomic.Int32; each is good for a few
		repo.blob = func(_ int, w http.ResponseWriter, r *http.Request, _ func()) {
			http.Redirect(w, r, fmt.Sprintf("http://cdn.test%s?signature=%d", r.URL.Path, signature.Add(1)), http.StatusTemporaryRedirect)
		}
		cdn.blob = func(_ int, w http.ResponseWriter, r *http.Request, serve func()) {
			used, _ := uses.LoadOrStore(r.URL.Query().Get("signature"), new(atomic.Int32))
			if used.(*atomic.Int32).Add(1) > 6 {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			serve()
		}
		net.serve(t, "cdn.test", cdn)
		ranges := client.Ranges(reference(t, host+"/acme/app"), desc)
		defer ranges.Close()
		spans := ranges.Spans(t.Context(), scattered)
		defer spans.Close()
		if n, err := readSpans(t, spans, scattered); err != nil {
			t.Fatalf("after %d spans: %v", n, err)
		}
		if repo.asks < 2 || repo.asks >= cdn.asks {
			t.Errorf("%d redirects for %d requests", repo.asks, cdn.asks)
		}
	})
}

// An idle blob has taken all of the memory for parts.
func TestSpansNeedNoMemoryOfOthers(t *testing.T) {
	inBubble(t, wide, func(t *testing.T, client *registry.Client, _ *repository, _ *network, desc oci.Descriptor) {
		ref := reference(t, host+"/acme/app")
		idle := idleReader(t, client, ref, desc)
		defer idle.Close()
		ranges := client.Ranges(ref, desc)
		defer ranges.Close()
		for range 3 {
			spans := ranges.Spans(t.Context(), scattered)
			if n, err := readSpans(t, spans, scattered); err != nil {
				t.Errorf("after %d spans: %v", n, err)
			}
			spans.Close()
		}
		if rest, err := io.ReadAll(idle); err != nil || len(rest) != wide-10 {
			t.Errorf("the idle reader got %d bytes, %v", len(rest), err)
		}
	})
}

func TestSpansAreFetchedAheadInParallel(t *testing.T) {
	inBubble(t, wide, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
		ref := reference(t, host+"/acme/app")
		defer idleReader(t, client, ref, desc).Close() // small spans have memory of their own
		before := repo.asks
		var load load
		repo.blob = load.fault
		var many []registry.Span
		for offset := int64(0); offset < wide; offset += 2 * gap {
			many = append(many, registry.Span{Offset: offset, Length: 100})
		}
		ranges := client.Ranges(ref, desc)
		defer ranges.Close()
		spans := ranges.Spans(t.Context(), many)
		defer spans.Close()
		began := time.Now() // the bubble's clock
		if n, err := readSpans(t, spans, many); err != nil {
			t.Fatalf("after %d spans: %v", n, err)
		}
		if asks := repo.asks - before; load.most.Load() != 4 || asks != len(many) {
			t.Errorf("%d requests, up to %d at a time", asks, load.most.Load())
		}
		// The first is alone, until it shows that ranges are honoured.
		if took := time.Since(began); took > time.Duration(1+(len(many)+3)/4)*time.Second {
			t.Errorf("%d requests of a second took %s", len(many), took)
		}
	})
}

func TestCloseOfSpansEndsWhatIsUnderWay(t *testing.T) {
	inBubble(t, wide, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
		ref := reference(t, host+"/acme/app")
		ranges := client.Ranges(ref, desc)
		defer ranges.Close()
		for range 5 {
			spans := ranges.Spans(t.Context(), scattered)
			if _, err := spans.Next(); err != nil {
				t.Fatal(err)
			}
			spans.Close()
			if _, err := spans.Next(); err == nil || err == io.EOF {
				t.Fatalf("a read after Close gives %v", err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		spans := ranges.Spans(ctx, scattered)
		defer spans.Close()
		if _, err := spans.Next(); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := readSpans(t, spans, scattered[1:]); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	})
}

// A part, or the head, that a slow front end holds up goes on elsewhere.
func TestSlowSpanGoesOnElsewhere(t *testing.T) {
	raw := noise(wide)
	for _, slow := range []int{0, 3} {
		inBubble(t, wide, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
			repo.blob = func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
				if n == slow {
					drip(w, r, raw)
					return
				}
				time.Sleep(100 * time.Millisecond)
				serve()
			}
			whole := []registry.Span{{Offset: 0, Length: wide / 2}}
			ranges := client.Ranges(reference(t, host+"/acme/app"), desc)
			defer ranges.Close()
			spans := ranges.Spans(t.Context(), whole)
			defer spans.Close()
			began := time.Now() // the bubble's clock
			if _, err := readSpans(t, spans, whole); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("request %d is slow: took %s", slow, took)
			}
			if got := client.Stats().Bytes; got > wide/2+100 {
				t.Errorf("request %d is slow: %d bytes over the wire: the part began anew", slow, got)
			}
		})
	}
}

// FuzzSpans reads whatever spans: they are refused, or their bytes are right.
func FuzzSpans(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 200, 90}, uint16(1))
	f.Add([]byte{255, 255, 255, 1, 0, 0}, uint16(300))
	f.Add([]byte{0, 100, 0, 100, 1, 0, 0, 1}, uint16(0))
	raw := noise(wide)
	f.Fuzz(func(t *testing.T, steps []byte, scale uint16) {
		if len(steps) > 20 {
			steps = steps[:20]
		}
		var list []registry.Span
		at := int64(0)
		for i := 0; i+1 < len(steps); i += 2 {
			span := registry.Span{Offset: at + int64(steps[i])*int64(scale), Length: int64(steps[i+1]) * 61}
			list, at = append(list, span), span.Offset+span.Length
		}
		inBubble(t, wide, func(t *testing.T, client *registry.Client, _ *repository, _ *network, desc oci.Descriptor) {
			ranges := client.Ranges(reference(t, host+"/acme/app"), desc)
			defer ranges.Close()
			spans := ranges.Spans(t.Context(), list)
			defer spans.Close()
			for i, span := range list {
				got, err := spans.Next()
				if fits := at <= wide; fits != (err == nil) {
					t.Fatalf("span %d of %v: %v", i, list, err)
				}
				if err != nil {
					return
				}
				if !bytes.Equal(got, raw[span.Offset:span.Offset+span.Length]) {
					t.Fatalf("span %d of %v has wrong bytes", i, list)
				}
			}
		})
	})
}
