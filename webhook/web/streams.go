package web

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// mostStreams listen at once, mostOfPerson of one person.
	mostStreams, mostOfPerson = 500, 20
	// streamLasts is how long one lasts: then the browser comes back, and what
	// the person may see is asked again.
	streamLasts = 2 * time.Minute
	// patience is how long a browser may take for an event.
	patience = 10 * time.Second
)

// streams counts who listens.
type streams struct {
	ended chan struct{}
	once  sync.Once

	mu       sync.Mutex
	total    int
	byPerson map[string]int
}

func newStreams() *streams {
	return &streams{ended: make(chan struct{}), byPerson: map[string]int{}}
}

func (s *streams) drain() { s.once.Do(func() { close(s.ended) }) }

// enter takes a place, which leave gives back.
func (s *streams) enter(login string) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= mostStreams || s.byPerson[login] >= mostOfPerson {
		return nil, false
	}
	s.total++
	s.byPerson[login]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.total--
		if s.byPerson[login]--; s.byPerson[login] == 0 {
			delete(s.byPerson, login)
		}
	}, true
}

// stream is an answer of server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type stream struct {
	w   http.ResponseWriter
	ctl *http.ResponseController
}

// listen answers with a stream until talk ends, or its time is over.
func (v *visit) listen(talk func(ctx context.Context, out *stream) error) error {
	leave, ok := v.streams.enter(v.session.Login)
	if !ok {
		return errTooMany
	}
	defer leave()
	ctx, cancel := context.WithTimeout(v.ctx(), streamLasts)
	defer cancel()
	go func() {
		select {
		case <-v.streams.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	v.w.Header().Set("Content-Type", "text/event-stream")
	v.w.Header().Set("X-Accel-Buffering", "no") // or nginx keeps events back
	out := &stream{v.w, http.NewResponseController(v.w)}
	if err := out.write("retry: 1000\n\n"); err != nil {
		return nil // it went away
	}
	if err := talk(ctx, out); err != nil && ctx.Err() == nil && v.ctx().Err() == nil {
		v.Log.Error("a stream ended", "path", v.r.URL.Path, "error", err)
	}
	return nil
}

// send sends an event. No line of its data can be a field of its own.
func (s *stream) send(event, id, data string) error {
	var b strings.Builder
	if id != "" {
		fmt.Fprintf(&b, "id: %s\n", id)
	}
	fmt.Fprintf(&b, "event: %s\n", event)
	for _, line := range strings.FieldsFunc(data, func(r rune) bool { return r == '\n' || r == '\r' }) {
		fmt.Fprintf(&b, "data: %s\n", line)
	}
	b.WriteByte('\n')
	return s.write(b.String())
}

// put sends a fragment of a page, in place of the element with its ID.
func (s *stream) put(event, id, fragment string, data any) error {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, fragment, data); err != nil {
		return fmt.Errorf("render %s: %w", fragment, err)
	}
	return s.send(event, id, b.String())
}

func (s *stream) write(text string) error {
	// A writer without deadlines is a test's.
	_ = s.ctl.SetWriteDeadline(time.Now().Add(patience))
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	err := s.ctl.Flush()
	// Nothing is written until there is news: of HTTP/2, a deadline that passes
	// meanwhile would end the stream.
	_ = s.ctl.SetWriteDeadline(time.Time{})
	return err
}

// poll looks for news now and then, until look says that there are no more.
func (v *visit) poll(look func(ctx context.Context, out *stream) (over bool, err error)) error {
	return v.listen(func(ctx context.Context, out *stream) error {
		tick := time.NewTicker(v.Every)
		defer tick.Stop()
		for quiet := 0; ; quiet++ {
			over, err := look(ctx, out)
			if over || err != nil {
				return err
			}
			// A word now and then shows that the browser is still there.
			if quiet%15 == 14 {
				if err := out.write(": \n\n"); err != nil {
					return nil
				}
			}
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	})
}
