package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Bounds of every listener. A body has its own time, which package accept
// gives it, and so has a stream of events.
const (
	headerTime = 5 * time.Second
	readTime   = 30 * time.Second
	writeTime  = 60 * time.Second
	idleTime   = 2 * time.Minute
	maxHeader  = 64 << 10
)

// listener is a server and where it listens; nil is none.
type listener struct {
	net.Listener
	server *http.Server
}

// listen takes an address, "" is none.
func listen(ctx context.Context, address string, handler http.Handler, log *slog.Logger) (*listener, error) {
	if address == "" {
		return nil, nil
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, wrong("%w", err)
	}
	return &listener{l, &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}, nil
}

// address is where it listens.
func (l *listener) address() string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// serve answers until it is shut down.
func (l *listener) serve() error {
	if l == nil {
		return nil
	}
	if err := l.server.Serve(l.Listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.address(), err)
	}
	return nil
}

// stop takes no more requests and waits for those that are being answered, for
// a while.
func (l *listener) stop(patience time.Duration) {
	if l == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if l.server.Shutdown(ctx) != nil {
		_ = l.server.Close() // who is not done by now is cut off
	}
}

// public is what strangers reach: deliveries, whether the process lives, and
// pages.
func (s *service) public() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/webhook", s.tracer.accepted(s.accept))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n"))
	})
	if len(s.pages) > 0 {
		mux.HandleFunc("/", s.page)
	}
	return mux
}

// page has the App answer whose pages are at the host that was asked for. The
// first App's are at all others: whoever signs in there is sent to its own.
func (s *service) page(w http.ResponseWriter, r *http.Request) {
	for _, p := range s.pages {
		if p.host == r.Host {
			p.server.ServeHTTP(w, r)
			return
		}
	}
	s.pages[0].server.ServeHTTP(w, r)
}
