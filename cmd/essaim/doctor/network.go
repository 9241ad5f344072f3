package doctor

import (
	"context"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/devnet"
)

// network asks gateway, ledger and coordinator whether they are there. It reports whether the
// network of the home runs.
func (s *Shell) network(ctx context.Context, r *report, home devnet.Info) bool {
	url, named := s.gatewayOf(home)
	if url == "" {
		r.ok("gateway", "none is named, and no network is here: `essaim up` makes one")
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	api, err := client.Dial(url)
	if err != nil {
		r.wrong("gateway", err, "write it like http://127.0.0.1:8420")
		return false
	}
	began := time.Now()
	info, err := api.Info(ctx)
	switch {
	case err != nil && !named:
		r.ok("gateway", "the network of this home does not run; `essaim up` goes on with it")
		return false
	case err != nil:
		r.wrong("gateway", err, "is it up, and is the address right?")
		return false
	}
	r.ok("gateway", "%s answers in %d ms", url, time.Since(began).Milliseconds())
	if info.Version != "" && info.Version != s.Version {
		r.warn("gateway", "if something is not understood, use the same version", "it is of version %s, and this program of %s", info.Version, s.Version)
	}
	s.dialPeers(ctx, r, info.PeerAddrs)
	if info.LedgerURL == "" {
		r.fail("ledger", "ask the gateway's operator", "the gateway names no ledger to pay on")
	} else {
		s.ledger(ctx, r, info.LedgerURL, info.ChainID)
	}
	return !named || url == home.Gateway
}

// dialPeers looks whether a miner could reach the coordinator.
func (s *Shell) dialPeers(ctx context.Context, r *report, addrs []string) {
	for _, a := range addrs {
		hostPort := tcpOf(a)
		if hostPort == "" {
			continue
		}
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", hostPort)
		if err == nil {
			_ = conn.Close()
			r.ok("peers", "the coordinator takes miners at %s", hostPort)
			return
		}
	}
	r.fail("peers", "does a firewall forbid going out to it? ask the gateway's operator", "no miner could reach the coordinator: %s", strings.Join(addrs, ", "))
}

// tcpOf is host:port of a multiaddress such as /ip4/127.0.0.1/tcp/8422/p2p/…; "" if it has none.
func tcpOf(addr string) string {
	p := strings.Split(addr, "/")
	if len(p) < 5 || p[3] != "tcp" || !slices.Contains([]string{"ip4", "ip6", "dns", "dns4", "dns6"}, p[1]) {
		return ""
	}
	return net.JoinHostPort(p[2], p[4])
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}
