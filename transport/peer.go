package transport

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/essaim/essaim"
)

// PeerID spells a node key as libp2p does, 12D3KooW…: what follows /p2p/ in an
// address.
func PeerID(k essaim.NodeKey) (peer.ID, error) {
	pub, err := crypto.UnmarshalEd25519PublicKey(k[:])
	if err != nil {
		return "", fmt.Errorf("node key %s: %w", k.Short(), err)
	}
	return peer.IDFromPublicKey(pub)
}

// KeyOfPeer is the node key that a peer ID holds.
//
// Errors: CodeBadInput for a peer whose identity is not an Ed25519 key.
func KeyOfPeer(id peer.ID) (essaim.NodeKey, error) {
	pub, err := id.ExtractPublicKey()
	if err != nil || pub.Type() != crypto.Ed25519 {
		return essaim.NodeKey{}, essaim.Errorf(essaim.CodeBadInput, "a node's peer ID starts with 12D3KooW", "peer %s has no Ed25519 key (%v)", id, err)
	}
	raw, err := pub.Raw()
	if err != nil {
		return essaim.NodeKey{}, fmt.Errorf("peer %s: %w", id, err)
	}
	return essaim.NodeKey(raw), nil
}

// AddrKey is the node key that a multiaddress names in its /p2p/ part.
//
// Errors: CodeBadInput.
func AddrKey(addr string) (essaim.NodeKey, error) {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return essaim.NodeKey{}, essaim.Errorf(essaim.CodeBadInput, "it ends in /p2p/ and a peer ID", "peer address %q: %w", addr, err)
	}
	return KeyOfPeer(info.ID)
}

// AddrIP is the IP address that a multiaddress leads to by TCP.
//
// Errors: CodeBadInput for one that leads anywhere else, such as to a name.
func AddrIP(addr string) (netip.Addr, error) {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil || len(info.Addrs) != 1 {
		return netip.Addr{}, essaim.Errorf(essaim.CodeBadInput, "it ends in /p2p/ and a peer ID", "peer address %q: %v", addr, err)
	}
	at, err := manet.ToNetAddr(info.Addrs[0])
	if err != nil {
		return netip.Addr{}, essaim.Errorf(essaim.CodeBadInput, "such as /ip4/192.0.2.1/tcp/4070/p2p/…", "peer address %q: %w", addr, err)
	}
	tcp, ok := at.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, essaim.Errorf(essaim.CodeBadInput, "such as /ip4/192.0.2.1/tcp/4070/p2p/…", "peer address %q is not of TCP", addr)
	}
	return tcp.AddrPort().Addr().Unmap(), nil
}
