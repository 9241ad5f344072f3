package transport

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/essaim/essaim"
)

// Keep holds a connection to addr up for ever: it dials, calls onConnected and, when
// that has returned or the connection is gone, waits and dials again. It returns
// only when ctx has ended, with ctx's error, or with CodeBadInput for an address that
// can never be dialled.
//
// onConnected owns the connection until it returns; its context ends with the
// connection. The waits grow from MinBackoff to MaxBackoff, jittered so that the
// miners of a restarted coordinator do not all come at the same moment, and start
// again from MinBackoff after a connection that stood longer than the wait before it.
func (h *Host) Keep(ctx context.Context, addr string, onConnected func(context.Context, *Conn) error) error {
	return h.KeepAny(ctx, []string{addr}, func() bool { return true }, onConnected)
}

// KeepAny is Keep for a peer with one address or more, of which any will do. It dials only while wanted says so.
func (h *Host) KeepAny(ctx context.Context, addrs []string, wanted func() bool, onConnected func(context.Context, *Conn) error) error {
	for _, addr := range addrs {
		if _, err := AddrKey(addr); err != nil {
			return err
		}
	}
	wait := h.minOff
	for ctx.Err() == nil {
		if !wanted() {
			sleep(ctx, h.minOff)
			continue
		}
		began := time.Now()
		err := h.once(ctx, addrs, onConnected)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > wait {
			wait = h.minOff
		}
		pause := wait/2 + rand.N(wait/2+1)
		h.log.LogAttrs(ctx, slog.LevelInfo, "connection is down",
			slog.Any("addrs", addrs), slog.Duration("retry_in", pause), slog.Any("err", err), slog.String("hint", essaim.HintOf(err)))
		if !sleep(ctx, pause) {
			break
		}
		wait = min(2*wait, h.maxOff)
	}
	return ctx.Err()
}

func (h *Host) once(ctx context.Context, addrs []string, onConnected func(context.Context, *Conn) error) error {
	c, err := h.Dial(ctx, addrs...)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	return onConnected(ctx, c)
}

// sleep waits for d; it reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
