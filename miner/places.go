package miner

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/transport"
)

const (
	maxPlaces   = 16               // that one coordinator may name besides those of the configuration
	maxPlaceIPs = 8                // of one of them
	placeGone   = 10 * time.Minute // off the coordinator's list for so long, and it is dialled no more
)

// places are the instances of coordinators that the configuration does not name: a coordinator that is connected, and so
// has proved its key, has told of them. They are remembered until the process ends, and dialled like the others.
type places struct {
	ctx  context.Context                      // of all
	keep func(ctx context.Context, at *place) // dials one until ctx ends
	log  *slog.Logger

	running sync.WaitGroup

	mu sync.Mutex
	of map[essaim.NodeKey]map[string]*place // by coordinator and addresses, since a restart changes the name only; guarded by mu
}

// place is where an instance is.
type place struct {
	coordinator essaim.NodeKey
	addrs       []string
	stop        context.CancelFunc

	// Guarded by places.mu.
	name string      // of the instance that was there last
	gone time.Time   // since when it is off the list; zero: it is on it
	end  *time.Timer // which ends it when that is long ago; nil: it is on the list
}

// list notes that it is on the list. places.mu is held.
func (at *place) list() {
	if at.end != nil {
		at.end.Stop()
	}
	at.gone, at.end = time.Time{}, nil
}

func newPlaces(ctx context.Context, log *slog.Logger, keep func(context.Context, *place)) *places {
	return &places{ctx: ctx, keep: keep, log: log, of: map[essaim.NodeKey]map[string]*place{}}
}

// tell takes over a coordinator's list: what is new is dialled, and what is not on it is given time to come back.
func (p *places) tell(coordinator essaim.NodeKey, list []transport.Instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return
	}
	have := p.of[coordinator]
	if have == nil {
		have = map[string]*place{}
		p.of[coordinator] = have
	}
	listed := map[string]bool{}
	for _, i := range list {
		at := strings.Join(i.Addrs, " ")
		listed[at] = true
		if old := have[at]; old != nil {
			old.name = i.Name
			old.list()
		}
	}
	for at, old := range have {
		if !listed[at] && old.gone.IsZero() {
			old.gone, old.end = time.Now(), time.AfterFunc(placeGone, func() { p.forget(at, old) })
		}
	}
	for _, i := range list {
		at := strings.Join(i.Addrs, " ")
		if have[at] != nil {
			continue
		}
		if len(have) >= maxPlaces && !p.dropOldest(have) {
			p.log.Warn("a coordinator names more instances than are dialled", "coordinator", coordinator.Short(), "at_most", maxPlaces)
			return
		}
		p.add(have, at, &place{coordinator: coordinator, addrs: i.Addrs, name: i.Name})
	}
}

// add begins to dial. p.mu is held.
func (p *places) add(have map[string]*place, at string, new *place) {
	ctx, stop := context.WithCancel(p.ctx)
	new.stop = stop
	have[at] = new
	p.log.Info("told of another instance", "coordinator", new.coordinator.Short(), "addrs", new.addrs)
	p.running.Go(func() { p.keep(ctx, new) })
}

// forget ends a place that has been off the list for long.
func (p *places) forget(at string, old *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if have := p.of[old.coordinator]; have[at] == old && !old.gone.IsZero() && time.Since(old.gone) >= placeGone {
		p.drop(have, at)
	}
}

// dropOldest makes room by what has been off the list the longest; false: all are on it. p.mu is held.
func (p *places) dropOldest(have map[string]*place) bool {
	oldest := ""
	for at, old := range have {
		if !old.gone.IsZero() && (oldest == "" || old.gone.Before(have[oldest].gone)) {
			oldest = at
		}
	}
	if oldest == "" {
		return false
	}
	p.drop(have, oldest)
	return true
}

func (p *places) drop(have map[string]*place, at string) {
	p.log.Info("an instance is gone for good", "coordinator", have[at].coordinator.Short(), "addrs", have[at].addrs)
	have[at].list()
	have[at].stop()
	delete(have, at)
}

// nameOf is the instance that was last told to be there.
func (p *places) nameOf(at *place) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return at.name
}

// wait returns when nothing is dialled any more, after p.ctx has ended.
func (p *places) wait() {
	p.running.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, have := range p.of {
		for _, at := range have {
			at.list()
		}
	}
}

// dialable leaves of what a coordinator says what a miner may dial because of it: IP addresses of the coordinator's own key that are no nearer
// to the miner than the one it came over, so that nobody on the internet makes it knock at doors of its own network. Instances that the configuration
// names are left out.
func dialable(list []transport.Instance, coordinator essaim.NodeKey, over netip.Addr, configured []string) (out []transport.Instance) {
	for _, i := range list {
		var addrs []string
		for _, a := range i.Addrs {
			key, err := transport.AddrKey(a)
			ip, none := transport.AddrIP(a)
			if err == nil && none == nil && key == coordinator && distance(ip) >= distance(over) && distance(ip) > nowhere {
				addrs = append(addrs, a)
			}
		}
		named := slices.ContainsFunc(i.Addrs, func(a string) bool { return slices.Contains(configured, a) })
		if len(addrs) == 0 || named {
			continue
		}
		slices.Sort(addrs)
		addrs = slices.Compact(addrs)
		out = append(out, transport.Instance{Name: i.Name, Addrs: addrs[:min(len(addrs), maxPlaceIPs)]})
	}
	return out
}

// How far an address is.
const (
	nowhere = iota
	thisMachine
	thisLink
	thisNetwork
	anywhere
)

// shared is what providers use between themselves and their customers (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

func distance(ip netip.Addr) int {
	switch {
	case ip.IsLoopback():
		return thisMachine
	case ip.IsLinkLocalUnicast():
		return thisLink
	case ip.IsPrivate() || shared.Contains(ip):
		return thisNetwork
	case ip.IsGlobalUnicast():
		return anywhere
	default:
		return nowhere
	}
}

// keepPlace dials an instance that a coordinator has named, while no other connection leads to it, until ctx ends.
func (m *Miner) keepPlace(ctx context.Context, at *place) {
	h, err := m.newHost()
	if err != nil {
		m.log.Error("cannot dial an instance", "addrs", at.addrs, "err", err)
		return
	}
	defer h.Close()
	first := time.NewTimer(2 * m.cfg.Beat) // those of the configuration come first, as the same instance may be among them by another address
	defer first.Stop()
	select {
	case <-first.C:
	case <-ctx.Done():
		return
	}
	_ = h.KeepAny(ctx, at.addrs, func() bool { return !slices.Contains(m.linked(at.coordinator), m.places.nameOf(at)) }, m.serveOne) // ends with ctx: the addresses are right
}
