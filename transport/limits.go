package transport

import (
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
)

// Limits that differ from libp2p's defaults, which are made for a node in a DHT with
// a few hundred short-lived peers. A coordinator holds thousands of connections for
// days, many of them from one router (a farm, or a laptop's loopback).
const (
	maxConns        = 8192      // per host: a file descriptor and about 50 KB each
	maxStreams      = 65536     // per host: eight attempts and more on every connection
	maxPeerConns    = 4         // per node: one, and a few while it reconnects
	maxPeerStreams  = 512       // per node: its control stream and its attempts
	maxMemory       = 2 << 30   // bytes, per host
	maxPeerMemory   = 256 << 20 // bytes, per node: windows of a few results in flight
	connsPerAddress = 512       // per IPv4 address or IPv6 /56
	dialsPerSecond  = 32        // per IPv4 address or IPv6 /56, after a burst of connsPerAddress
)

func newResourceManager() (network.ResourceManager, error) {
	defaults := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&defaults)
	node := rcmgr.ResourceLimits{
		Conns: maxConns, ConnsInbound: maxConns, ConnsOutbound: maxConns, FD: maxConns,
		Streams: maxStreams, StreamsInbound: maxStreams, StreamsOutbound: maxStreams, Memory: maxMemory,
	}
	one := rcmgr.ResourceLimits{
		Conns: maxPeerConns, ConnsInbound: maxPeerConns, ConnsOutbound: maxPeerConns, FD: maxPeerConns,
		Streams: maxPeerStreams, StreamsInbound: maxPeerStreams, StreamsOutbound: maxPeerStreams, Memory: maxPeerMemory,
	}
	// Transient covers what has not yet shown its key or its protocol: after a
	// coordinator's restart all of its miners are there at once.
	transient := rcmgr.ResourceLimits{
		Conns: 1024, ConnsInbound: 1024, ConnsOutbound: 1024, FD: 1024,
		Streams: 4096, StreamsInbound: 4096, StreamsOutbound: 4096, Memory: maxPeerMemory,
	}
	limits := rcmgr.PartialLimitConfig{
		System: node, Transient: transient,
		ProtocolDefault: node, ProtocolPeerDefault: one,
		ServiceDefault: node, ServicePeerDefault: one,
		PeerDefault: one,
	}.Build(defaults.AutoScale())
	v4 := []rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: connsPerAddress}}
	v6 := []rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: connsPerAddress}}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(v4, v6),
		rcmgr.WithConnRateLimiters(newDialLimiter()))
}

func newDialLimiter() *rate.Limiter {
	perAddress := rate.Limit{RPS: dialsPerSecond, Burst: connsPerAddress}
	return &rate.Limiter{
		NetworkPrefixLimits: []rate.PrefixLimit{ // the machine itself is not limited
			{Prefix: netip.MustParsePrefix("127.0.0.0/8")},
			{Prefix: netip.MustParsePrefix("::1/128")},
		},
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: perAddress}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: perAddress}},
			GracePeriod:      time.Minute,
		},
	}
}
