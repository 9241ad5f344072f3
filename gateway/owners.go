package gateway

import (
	"context"
	"net/http"
	"strings"

	"github.com/essaim/essaim/gateway/horde"
	"github.com/essaim/essaim/gateway/relay"
)

// relayed brings the requests of keys to the instance that has the key, where there are several.
func (g *Gateway) relayed(next http.Handler) http.Handler {
	if g.cfg.Owners == nil || g.cfg.Keys == nil {
		return next
	}
	cfg := relay.Config{Owners: g.cfg.Owners, KeyOf: g.keyOf, Took: g.took, Log: g.log}
	if g.cfg.Guests != nil {
		cfg.Pass = g.cfg.Guests.Pass
	}
	g.relay = relay.New(cfg)
	return g.relay.Wrap(next)
}

// keyOf is the ID of the key that a request shows, or that another one has shown which it follows, or that pays for guests. A request with one that is not good is
// refused here.
func (g *Gateway) keyOf(r *http.Request) string {
	if id := horde.KeyOf(r); id != "" {
		return g.usable(r, id)
	}
	secret := shown(r)
	if secret == "" && g.cfg.Guests != nil {
		if id := g.cfg.Guests.Key(r); id != "" {
			return g.usable(r, id)
		}
	}
	if secret == "" {
		return ""
	}
	key, err := g.cfg.Keys.Find(r.Context(), secret)
	if err != nil {
		return ""
	}
	return key.ID
}

// usable is the ID of a key; "": it is not good any more.
func (g *Gateway) usable(r *http.Request, id string) string {
	key, err := g.cfg.Keys.Usable(r.Context(), id)
	if err != nil {
		return ""
	}
	return key.ID
}

// shown is the API key that a request shows, wherever a dialect has it.
func shown(r *http.Request) string {
	if k := r.Header.Get("apikey"); k != "" {
		return k
	}
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	secret, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return strings.TrimSpace(secret)
}

// took prepares for the requests of a key that this instance has from now on.
func (g *Gateway) took(key string) error {
	if g.batch == nil {
		return nil
	}
	return g.batch.Take(key)
}

// succeed takes up what instances that are gone have left: sessions that pay, and batches that nobody asks for.
func (g *Gateway) succeed(ctx context.Context) {
	if g.relay == nil {
		return
	}
	g.purse.Restore(ctx, false)
	if g.batch == nil {
		return
	}
	keys, err := g.batch.Left(ctx)
	for _, key := range keys {
		if err == nil {
			_, _, err = g.cfg.Owners.Own(ctx, key, func() error { return g.took(key) })
		}
	}
	if err != nil && ctx.Err() == nil {
		g.log.Warn("batches are left for later", "err", err)
	}
}

// leave gives the keys to the other instances: nothing of theirs is under way any more.
func (g *Gateway) leave() {
	if g.relay == nil {
		return
	}
	if err := g.cfg.Owners.Leave(); err != nil {
		g.log.Warn("keys are free only when this instance has ended", "err", err)
	}
	g.relay.Close()
}
