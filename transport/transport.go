// Package transport carries messages between miners and coordinators: libp2p over
// TCP with Noise or TLS and yamux, and on it streams of length-delimited,
// deterministic CBOR.
//
// A node's Ed25519 key is its identity on the wire (a peer ID is that key), so a
// connection that stands has already proved who is at the other end, and no other
// login exists. Miners never listen: they dial out, and the coordinator opens
// streams back over the same connection. Hence there is no relay, no hole punching,
// no DHT and no discovery here; coordinators are found through the ledger.
//
// The package moves messages and keeps connections up. It does not decide anything
// about tasks or money, and does not look inside what it carries.
//
// # Concurrency
//
// Host and Conn are safe for concurrent use. A Stream has one reader and one writer
// at a time, which may be two goroutines.
package transport

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"

	"github.com/essaim/essaim"
)

// Protocol names what a stream speaks.
type Protocol string

// The protocols. A change that an older program cannot read gets another number.
const (
	// ProtocolControl is the one long-lived stream that a miner opens: Hello,
	// then beats and claims.
	ProtocolControl Protocol = "/essaim/control/1"

	// ProtocolTask is a stream that a coordinator opens for one attempt.
	ProtocolTask Protocol = "/essaim/task/1"
)

// Config says who a host is and where it can be reached.
type Config struct {
	Key    ed25519.PrivateKey // the node key
	Listen []string           // multiaddresses such as /ip4/0.0.0.0/tcp/4070; empty: never listens
	Logger *slog.Logger       // nil: silent

	// MinBackoff and MaxBackoff bound the wait before Keep dials again.
	// 0: 250 ms and 30 s.
	MinBackoff, MaxBackoff time.Duration
}

// Host is this node's end of all its connections.
type Host struct {
	host   host.Host
	key    essaim.NodeKey
	log    *slog.Logger
	minOff time.Duration
	maxOff time.Duration

	ctx      context.Context // ends when Close begins
	stop     context.CancelFunc
	handlers sync.WaitGroup

	mu     sync.Mutex
	closed bool                   // guarded by mu
	conns  map[network.Conn]*Conn // open connections; guarded by mu
}

// New opens a host and, if Config.Listen is not empty, its listening sockets. The
// caller closes it.
//
// Errors: CodeBadInput for an address that cannot be parsed, CodeUnavailable for one
// that cannot be listened on.
func New(cfg Config) (*Host, error) {
	priv, err := crypto.UnmarshalEd25519PrivateKey(cfg.Key)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "create a node key", "node key: %w", err)
	}
	listen := make([]multiaddr.Multiaddr, 0, len(cfg.Listen))
	for _, s := range cfg.Listen {
		a, err := multiaddr.NewMultiaddr(s)
		if err != nil {
			return nil, essaim.Errorf(essaim.CodeBadInput, "such as /ip4/0.0.0.0/tcp/4070", "listen address %q: %w", s, err)
		}
		listen = append(listen, a)
	}
	resources, err := newResourceManager()
	if err != nil {
		return nil, fmt.Errorf("resource manager: %w", err)
	}
	inner, err := libp2p.New(
		libp2p.Identity(priv),
		libp2p.NoListenAddrs, // listening begins below, when the handlers are in place
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.DefaultSecurity,
		libp2p.DefaultMuxers,
		libp2p.ResourceManager(resources),
		// The default manager closes connections above 192 peers; which miners
		// stay is the coordinator's decision alone.
		libp2p.ConnectionManager(connmgr.NullConnMgr{}),
		libp2p.DisableRelay(),
		libp2p.Ping(false),
		libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.UserAgent("essaim"),
	)
	if err != nil {
		return nil, fmt.Errorf("open host: %w", err)
	}
	h := &Host{
		host: inner, key: essaim.NodeKeyOf(cfg.Key), log: cfg.Logger,
		minOff: cfg.MinBackoff, maxOff: cfg.MaxBackoff,
		conns: map[network.Conn]*Conn{},
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.minOff == 0 {
		h.minOff = 250 * time.Millisecond
	}
	if h.maxOff == 0 {
		h.maxOff = 30 * time.Second
	}
	h.ctx, h.stop = context.WithCancel(context.Background())
	inner.Network().Notify(&network.NotifyBundle{DisconnectedF: func(_ network.Network, c network.Conn) { h.forget(c) }})
	if len(listen) > 0 {
		if err := inner.Network().Listen(listen...); err != nil {
			_ = h.Close()
			return nil, essaim.Errorf(essaim.CodeUnavailable, "is another program using the port?", "listen on %v: %w", cfg.Listen, err)
		}
	}
	return h, nil
}

// Key is this node's own key.
func (h *Host) Key() essaim.NodeKey { return h.key }

// Addrs lists the multiaddresses at which this host can be dialled, each with its
// /p2p/ peer ID. It is empty for a host that does not listen.
func (h *Host) Addrs() []string {
	addrs, err := h.host.Network().InterfaceListenAddresses()
	if err != nil {
		return nil // the interfaces cannot be read: nothing can be said
	}
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = fmt.Sprintf("%s/p2p/%s", a, h.host.ID())
	}
	return out
}

// Handle calls serve in a goroutine of its own for every stream of protocol p that a
// peer opens. The stream is closed when serve has returned. The context ends when
// the connection does or when the host closes.
func (h *Host) Handle(p Protocol, serve func(context.Context, *Stream)) {
	h.host.SetStreamHandler(p.id(), func(s network.Stream) {
		c := h.wrap(s.Conn())
		if c == nil {
			_ = s.Reset()
			return
		}
		defer h.handlers.Done() // wrap counted it in
		st := newStream(s, s, c, p)
		defer st.Close()
		serve(c.ctx, st)
	})
}

// Dial connects to a multiaddress that ends in /p2p/ and a peer ID, or returns the
// connection that stands already. Of several addresses of one peer any will do.
//
// Errors: CodeBadInput for an address without a peer ID, or several peers; CodeUnavailable if nobody
// answers there or it is somebody else.
func (h *Host) Dial(ctx context.Context, addrs ...string) (*Conn, error) {
	info, err := onePeer(addrs)
	if err != nil {
		return nil, err
	}
	if s, ok := h.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(info.ID) // the waits between dials are Keep's, not the swarm's
	}
	if err := h.host.Connect(ctx, info); err != nil {
		return nil, essaim.Errorf(essaim.CodeUnavailable, "is the coordinator running, and the address right?", "dial %s: %w", strings.Join(addrs, " or "), err)
	}
	for _, nc := range h.host.Network().ConnsToPeer(info.ID) {
		if c := h.wrap(nc); c != nil {
			h.handlers.Done() // nothing is served: the count was for a handler
			return c, nil
		}
	}
	return nil, essaim.Errorf(essaim.CodeUnavailable, "it may be restarting", "dial %s: the connection closed at once", strings.Join(addrs, " or "))
}

// onePeer reads the addresses of a peer.
func onePeer(addrs []string) (one peer.AddrInfo, err error) {
	for i, addr := range addrs {
		info, err := peer.AddrInfoFromString(addr)
		switch {
		case err != nil:
			return one, essaim.Errorf(essaim.CodeBadInput, "it ends in /p2p/ and the coordinator's peer ID", "peer address %q: %w", addr, err)
		case i > 0 && info.ID != one.ID:
			return one, essaim.Errorf(essaim.CodeBadInput, "dial one peer at a time", "peer addresses %q are of two peers", addrs)
		}
		one.ID, one.Addrs = info.ID, append(one.Addrs, info.Addrs...)
	}
	return one, nil
}

// Close ends every connection, waits for the handlers and frees all resources.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.stop()
	err := h.host.Close()
	h.handlers.Wait()
	return err
}

// wrap finds or makes the Conn of a connection and counts one handler in. It returns
// nil, counting nothing, if the host or the connection is closing.
func (h *Host) wrap(nc network.Conn) *Conn {
	remote, err := KeyOfPeer(nc.RemotePeer())
	if err != nil {
		return nil // not an Ed25519 identity: nobody of ours
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || nc.IsClosed() {
		return nil
	}
	c, ok := h.conns[nc]
	if !ok {
		c = &Conn{host: h, conn: nc, peer: remote, since: time.Now()}
		c.ctx, c.gone = context.WithCancel(h.ctx)
		h.conns[nc] = c
	}
	h.handlers.Add(1)
	return c
}

func (h *Host) forget(nc network.Conn) {
	h.mu.Lock()
	c := h.conns[nc]
	delete(h.conns, nc)
	h.mu.Unlock()
	if c != nil {
		c.gone()
	}
}
