package database

import (
	"context"
	"log/slog"
)

// warnings is a log that is told of what is wrong alone. River tells of each of
// its queues every few seconds, which the service's metrics do better.
type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}

func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }

// forRiver is a log as River gets it.
func forRiver(log *slog.Logger) *slog.Logger { return slog.New(warnings{log.Handler()}) }
