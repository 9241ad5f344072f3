package node

import (
	"context"
	"log/slog"

	cmtlog "github.com/cometbft/cometbft/libs/log"
)

// logger gives CometBFT's log lines to slog.
type logger struct{ to *slog.Logger }

func newLogger(to *slog.Logger) cmtlog.Logger {
	if to == nil {
		return cmtlog.NewNopLogger()
	}
	return logger{to}
}

func (l logger) Debug(msg string, kv ...any) { l.write(slog.LevelDebug, msg, kv) }
func (l logger) Info(msg string, kv ...any)  { l.write(slog.LevelInfo, msg, kv) }
func (l logger) Warn(msg string, kv ...any)  { l.write(slog.LevelWarn, msg, kv) }
func (l logger) Error(msg string, kv ...any) { l.write(slog.LevelError, msg, kv) }

func (l logger) write(level slog.Level, msg string, kv []any) {
	l.to.Log(context.Background(), level, msg, kv...)
}

// With adds fields to every later line.
func (l logger) With(kv ...any) cmtlog.Logger { return logger{l.to.With(kv...)} }
