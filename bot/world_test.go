package bot_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot"
	"github.com/essaim/essaim/bot/book"
	"github.com/essaim/essaim/bot/bottest"
)

var errDead = errors.New("the bot was killed")

// rig is a bot with a world and a platform in memory, which outlive it. A fuse kills the bot at any
// of its steps outwards or into its book.
type rig struct {
	*bottest.World
	t    testing.TB
	dir  string
	lim  bot.Limits
	bot  *bot.Bot
	book *book.Book
	stop func()

	mu      sync.Mutex
	fuse    int // steps until the bot is killed; 0: never
	dead    chan struct{}
	killed  bool
	said    []bot.Note
	number  int
	changed chan struct{}
	refuse  error // of the platform
}

const funds = 10 * essaim.AIM

var outside = bottest.Outside

func newRig(t testing.TB) *rig {
	r := &rig{World: bottest.NewWorld(t), t: t, dir: t.TempDir(), dead: make(chan struct{}), changed: make(chan struct{})}
	r.Step = r.step
	r.Changed = func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.poke()
	}
	r.start()
	r.Grant(r.bot.House(), funds)
	t.Cleanup(func() { r.stop() })
	return r
}

// start opens the bot on its book, which may be another's who was killed.
func (r *rig) start() {
	r.t.Helper()
	secret, err := book.Secret(filepath.Join(r.dir, "secret"))
	if err != nil {
		r.t.Fatal(err)
	}
	kept, err := book.Open(filepath.Join(r.dir, "book.db"), secret)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	r.killed, r.dead = false, make(chan struct{})
	dead := r.dead
	r.mu.Unlock()
	kept.Now = r.Now
	cfg := r.Config()
	cfg.Name, cfg.Platform, cfg.Book, cfg.Limits, cfg.Logger = "test", r, kept, r.lim, slog.New(slog.NewTextHandler(r.t.Output(), nil))
	b, err := bot.New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	kept.Fault = r.step
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		select {
		case <-dead:
			cancel()
		case <-ctx.Done():
		}
	}()
	go func() { defer close(done); _ = b.Run(ctx) }()
	r.bot, r.book = b, kept
	r.stop = func() {
		cancel()
		<-done
		if err := kept.Close(); err != nil {
			r.t.Error(err)
		}
		r.stop = func() {}
	}
}

func (r *rig) restart() {
	r.stop()
	r.start()
}

// step is before and after whatever the bot does.
func (r *rig) step() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fuse > 0 {
		if r.fuse--; r.fuse == 0 {
			r.killed = true
			close(r.dead)
			r.poke()
		}
	}
	if r.killed {
		return errDead
	}
	return nil
}

// poke tells those who wait that something has changed. The lock is held.
func (r *rig) poke() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// The platform.

// Say is a step: the bot may be killed before or after it.
func (r *rig) Say(_ context.Context, n bot.Note) (string, error) {
	if err := r.step(); err != nil {
		return "", err
	}
	r.mu.Lock()
	if r.refuse != nil {
		defer r.mu.Unlock()
		return "", r.refuse
	}
	r.number++
	number := fmt.Sprint(r.number)
	r.said = append(r.said, n)
	r.poke()
	r.mu.Unlock()
	return number, r.step()
}

func (r *rig) Edit(_ context.Context, chat, _, text string) error {
	if strings.Contains(text, "▓") || strings.Contains(text, "░") {
		return r.step()
	}
	_, err := r.Say(context.Background(), bot.Note{Chat: chat, Text: text})
	return err
}
func (r *rig) Delete(context.Context, string, string) error { return r.step() }
func (r *rig) Press(context.Context, string, string) error  { return r.step() }

// wait returns once something holds, or the bot was killed.
func (r *rig) wait(what string, holds func() bool) {
	r.t.Helper()
	limit := time.After(30 * time.Second)
	for {
		r.mu.Lock()
		changed, ok := r.changed, holds() || r.killed
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-limit:
			r.t.Fatalf("never: %s; said %q", what, r.texts())
		}
	}
}

func (r *rig) texts() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.said {
		out = append(out, n.Text)
	}
	return out
}
