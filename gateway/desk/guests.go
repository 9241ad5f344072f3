package desk

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/standing"
)

const (
	// guestsWindow is what PerHour is counted in.
	guestsWindow = time.Hour

	// maxGuests bounds the addresses that are remembered; beyond it nobody new is served until some are forgotten.
	maxGuests = 1 << 16
)

// Guests are those who show no key. What they ask for is paid by a key of the operator's, whose deposit and limits are
// all that they can spend together; it waits behind everything else. Make it with NewGuests.
type Guests struct {
	key     string // the paying key's ID
	perHour int
	secret  []byte // of the instances that serve the same guests; nil: there is one

	mu     sync.Mutex
	counts map[netip.Prefix]*guest // guarded by mu
}

type guest struct {
	since time.Time
	n     int
}

// NewGuests serves guests on a key's account, each address so many requests an hour.
//
// Errors: CodeBadInput.
func NewGuests(keyID string, perHour int) (*Guests, error) {
	if keyID == "" || perHour < 1 {
		return nil, essaim.Errorf(essaim.CodeBadInput, "name a key of `essaim apikey list`, and at least one request an hour", "guests need a key that pays, and a limit")
	}
	return &Guests{key: keyID, perHour: perHour, counts: map[netip.Prefix]*guest{}}, nil
}

// headerGuest is on requests that an instance has passed on to the one that has the guests' key, which alone counts: for whom, and a MAC of that, as
// anybody can send a header.
const headerGuest = "X-Essaim-Guest"

// Among makes these the guests of one of several instances, which share a secret.
func (g *Guests) Among(secret []byte) *Guests {
	g.secret = secret
	return g
}

// Key is the ID of the key that pays for a request; "": it is no guest's.
func (g *Guests) Key(r *http.Request) string {
	for _, below := range []string{"/v1/", "/api/", "/sdapi/"} {
		if strings.HasPrefix(r.URL.Path, below) && r.Header.Get("Authorization") == "" && r.Header.Get("apikey") == "" && r.Method != http.MethodOptions {
			return g.key
		}
	}
	return ""
}

// Pass notes in the header of a request that goes on to another instance who has sent it. What the sender has said of that is taken off.
func (g *Guests) Pass(in *http.Request, header http.Header) {
	header.Del(headerGuest)
	if g.Key(in) == "" || g.secret == nil {
		return
	}
	if from, err := g.from(in); err == nil {
		header.Set(headerGuest, from.String()+" "+g.mac(from))
	}
}

func (g *Guests) mac(of netip.Prefix) string {
	m := hmac.New(sha256.New, g.secret)
	fmt.Fprintf(m, "essaim guest %s", of)
	return hex.EncodeToString(m.Sum(nil))
}

// from is whom a request counts against: of one that another instance has passed on, who that one has got it from.
func (g *Guests) from(r *http.Request) (netip.Prefix, error) {
	if text, mac, ok := strings.Cut(r.Header.Get(headerGuest), " "); ok && g.secret != nil {
		if p, err := netip.ParsePrefix(text); err == nil && hmac.Equal([]byte(mac), []byte(g.mac(p))) {
			return p, nil
		}
	}
	return addressOf(r)
}

// admit counts a request of a guest, and returns the key that pays for it.
//
// Errors: CodeRefused if the key does not pay any more, CodeUnavailable with apikey.ErrBusy if the address has had
// enough for now.
func (g *Guests) admit(r *http.Request, keys *apikey.Store) (apikey.Key, error) {
	from, err := g.from(r)
	if err != nil {
		return apikey.Key{}, err
	}
	if changesSomething(r) {
		if err := g.count(from, time.Now()); err != nil {
			return apikey.Key{}, err
		}
	}
	k, err := keys.Usable(r.Context(), g.key)
	k.Guest = from.String()
	return k, err
}

// changesSomething reports whether a request may cost something: to look is free.
func changesSomething(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead
}

func (g *Guests) count(from netip.Prefix, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.counts[from]
	if c == nil && len(g.counts) >= maxGuests {
		for a, c := range g.counts {
			if now.Sub(c.since) >= guestsWindow {
				delete(g.counts, a)
			}
		}
	}
	switch {
	case c == nil && len(g.counts) >= maxGuests:
		return essaim.Errorf(essaim.CodeUnavailable, "come back later, or ask the gateway's operator for a key", "too many guests: %w", apikey.ErrBusy)
	case c == nil || now.Sub(c.since) >= guestsWindow:
		g.counts[from] = &guest{now, 1}
		return nil
	case c.n >= g.perHour:
		err := essaim.Errorf(essaim.CodeUnavailable, "come back in an hour, or ask the gateway's operator for a key", "%d requests without a key in an hour: %w", c.n, apikey.ErrBusy)
		return standing.Later(err, c.since.Add(guestsWindow).Sub(now))
	}
	c.n++
	return nil
}

// addressOf is whose connection it is: of IPv6 the network that one customer has. What a proxy says of whom it serves is
// not believed: anybody can say it.
func addressOf(r *http.Request) (netip.Prefix, error) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}, essaim.Errorf(essaim.CodeRefused, "send Authorization: Bearer sk-essaim-…", "a request from nowhere")
	}
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	return a.Prefix(bits)
}

// laneOf is where a key's tasks wait.
func laneOf(k apikey.Key) client.Lane {
	if k.Guest != "" {
		return client.Lane{For: k.ID + " " + k.Guest, Last: true}
	}
	return client.Lane{For: k.ID}
}
