package serve

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/task"
)

// collected are the spans that a collector was sent, by OTLP over HTTP.
type collected struct {
	mu       sync.Mutex
	spans    []*tracepb.Span
	resource string
	bad      error
}

func (c *collected) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &request)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		c.bad = err
	}
	for _, from := range request.ResourceSpans {
		c.resource = from.Resource.String()
		for _, scope := range from.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// TestTraces: what becomes of a delivery is one trace, under the digest of its
// GUID, at the collector that the OTEL_ variables name.
func TestTraces(t *testing.T) {
	got := &collected{}
	to := httptest.NewServer(got)
	defer to.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", to.URL)
	t.Setenv("OTEL_SERVICE_NAME", "acme-clipper")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	s := settings(t)
	s.Traces = true
	w := newWorld(t, s)
	commit := w.repo.Push("mona", "main", map[string]string{"main.go": "package main\n"})
	w.until("a workflow runs", func() bool { return len(w.repo.Runs()) > 0 })
	w.repo.Runs()[0].Complete("success")
	w.until("the check is green", func() bool { return w.check(commit).Conclusion == "success" })
	if code := deliver(w.running, "guid-of-a-stranger", "wrong"); code < 400 {
		t.Errorf("a stranger is answered %d", code)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	db, err := database.Open(t.Context(), s.Database, database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	push := ""
	for d, err := range db.Deliveries(t.Context(), database.DeliveryFilter{Event: "push"}) {
		if err != nil {
			t.Fatal(err)
		}
		push = d.GUID
	}
	got.mu.Lock()
	defer got.mu.Unlock()
	id, names := traceOf(push, ""), []string{}
	for _, span := range got.spans {
		if strings.Contains(span.String(), "stranger") {
			t.Errorf("there is a span of a stranger's: %s", span)
		}
		if hex.EncodeToString(span.TraceId) == id.String() && !slices.Contains(names, span.Name) {
			names = append(names, span.Name)
		}
	}
	for _, name := range []string{"accept", "decide", "start", "watch", "report"} {
		if !slices.Contains(names, name) {
			t.Errorf("the trace of the push has %v, and not %s", names, name)
		}
	}
	if got.bad != nil || !strings.Contains(got.resource, "acme-clipper") || !strings.Contains(got.resource, "v1.2.3") {
		t.Errorf("%v; the resource is %s", got.bad, got.resource)
	}
}

// TestTraceparent: a job is told the same, however often its start is tried,
// and that is the span of its start.
func TestTraceparent(t *testing.T) {
	s := settings(t)
	exporter := &spans{}
	tr, err := s.tracerTo(t.Context(), exporter)
	if err != nil {
		t.Fatal(err)
	}
	j := task.Job{Task: &rules.Task{}, Token: "run-x-1"}
	var told []string
	for range 2 {
		ctx, end := tr.span(t.Context(), "start", "guid", "x")
		_, parent, ended := tr.job(ctx, j)
		ended(nil)
		end(nil)
		told = append(told, parent)
	}
	if err := tr.end(); err != nil {
		t.Fatal(err)
	}
	want := "00-" + traceOf("guid", "x").String() + "-" + spanOf(j).String() + "-01"
	if told[0] != want || told[1] != want {
		t.Errorf("the program is told %q, want %s", told, want)
	}
	if !slices.Contains(exporter.ids, spanOf(j).String()) {
		t.Errorf("the spans are %v, without %s", exporter.ids, spanOf(j))
	}
	if _, parent, _ := tr.job(t.Context(), j); parent != "" {
		t.Errorf("outside of a trace it is told %s", parent)
	}
}

// spans keeps the IDs of those that it was sent.
type spans struct{ ids []string }

func (s *spans) ExportSpans(_ context.Context, sent []sdk.ReadOnlySpan) error {
	for _, span := range sent {
		s.ids = append(s.ids, span.SpanContext().SpanID().String())
	}
	return nil
}

func (s *spans) Shutdown(context.Context) error { return nil }
