package serve

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/clipperregistry/runner/webhook/task"
)

// tracer tells what becomes of a delivery as one trace, whoever does a part of
// it and when: the trace's ID is the digest of the delivery's GUID, or of a
// run's ID that no delivery is behind. nil tells nobody.
type tracer struct {
	trace.Tracer
	provider *sdk.TracerProvider
}

// newTracer sends spans to where the OTEL_ variables say, which the exporter
// reads itself.
func (s *Settings) newTracer(ctx context.Context) (*tracer, error) {
	if !s.Traces {
		return nil, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, wrong("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	return s.tracerTo(ctx, exporter)
}

func (s *Settings) tracerTo(ctx context.Context, exporter sdk.SpanExporter) (*tracer, error) {
	about, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "clipper-webhook"), attribute.String("service.version", s.Version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, wrong("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about), sdk.WithIDGenerator(ids{}))
	return &tracer{provider.Tracer("github.com/clipperregistry/runner/webhook"), provider}, nil
}

// spanTime is how long the last spans may take to be sent.
const spanTime = 2 * time.Second

// end sends the last spans.
func (t *tracer) end() error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), spanTime)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("send the last spans: %w", err)
	}
	return nil
}

// idsKey is where a context has the IDs of the next span.
type idsKey struct{}

type wantedIDs struct {
	trace trace.TraceID
	span  trace.SpanID // zero is any
}

// ids takes the IDs of spans from their contexts, where these have some.
type ids struct{}

// NewIDs is for a span without a parent.
func (i ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if wanted, ok := ctx.Value(idsKey{}).(wantedIDs); ok {
		return wanted.trace, i.NewSpanID(ctx, wanted.trace)
	}
	var id trace.TraceID
	binary.BigEndian.PutUint64(id[:8], rand.Uint64())
	binary.BigEndian.PutUint64(id[8:], rand.Uint64()|1)
	return id, i.NewSpanID(ctx, id)
}

// NewSpanID is for a span in a trace.
func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if wanted, ok := ctx.Value(idsKey{}).(wantedIDs); ok && wanted.span.IsValid() {
		return wanted.span
	}
	var id trace.SpanID
	binary.BigEndian.PutUint64(id[:], rand.Uint64()|1)
	return id
}

// traceOf is the trace of a delivery, or of a run.
func traceOf(guid, run string) (id trace.TraceID) {
	text := guid
	if text == "" {
		text = run
	}
	sum := sha256.Sum256([]byte(text))
	copy(id[:], sum[:])
	return id
}

// spanOf is the span of a job's start, the same for each time that it is tried.
func spanOf(j task.Job) (id trace.SpanID) {
	sum := sha256.Sum256([]byte(j.Token))
	copy(id[:], sum[:])
	return id
}

// span begins a piece of work about a delivery or a run.
func (t *tracer) span(ctx context.Context, name, guid, run string) (context.Context, func(error)) {
	var about []attribute.KeyValue
	if guid != "" {
		about = append(about, attribute.String("github.delivery", guid))
	}
	if run != "" {
		about = append(about, attribute.String("clipper.run", run))
	}
	wanted := context.WithValue(ctx, idsKey{}, wantedIDs{trace: traceOf(guid, run)})
	_, span := t.Start(wanted, name, trace.WithNewRoot(), trace.WithAttributes(about...))
	return trace.ContextWithSpan(ctx, span), func(err error) { finish(span, err) }
}

// finish ends a span. The error's text is not told: spans leave this machine
// by another way than the log, which redacts.
func finish(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, "failed")
	}
	span.End()
}

// job begins the start of a job, and says what its program is to have as
// TRACEPARENT (https://www.w3.org/TR/trace-context/#traceparent-header).
func (t *tracer) job(ctx context.Context, j task.Job) (_ context.Context, traceparent string, end func(error)) {
	parent := trace.SpanContextFromContext(ctx)
	if !parent.IsSampled() {
		return ctx, "", func(error) {}
	}
	wanted := context.WithValue(ctx, idsKey{}, wantedIDs{parent.TraceID(), spanOf(j)})
	_, span := t.Start(wanted, "start a task", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attribute.String("clipper.job", j.Name)))
	return trace.ContextWithSpan(ctx, span), fmt.Sprintf("00-%s-%s-01", parent.TraceID(), spanOf(j)), func(err error) { finish(span, err) }
}

// accepted tells of deliveries that were taken in, and of no others: what comes
// without a signature is anybody's.
func (t *tracer) accepted(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, answer := time.Now(), &answer{ResponseWriter: w}
		next.ServeHTTP(answer, r)
		guid := r.Header.Get("X-GitHub-Delivery")
		if answer.status != http.StatusOK && answer.status != http.StatusAccepted || guid == "" {
			return
		}
		_, span := t.Start(context.WithValue(context.Background(), idsKey{}, wantedIDs{trace: traceOf(guid, "")}), "accept",
			trace.WithTimestamp(began), trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
				attribute.String("github.delivery", guid), attribute.String("github.event", r.Header.Get("X-GitHub-Event")),
				attribute.Int("http.response.status_code", answer.status)))
		span.End()
	})
}

// answer remembers its status.
type answer struct {
	http.ResponseWriter
	status int
}

// WriteHeader remembers the first.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write answers with success, unless something else was said.
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
