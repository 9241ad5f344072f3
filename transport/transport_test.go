package transport_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const local = "/ip4/127.0.0.1/tcp/0"

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func open(t testing.TB, key ed25519.PrivateKey, listen ...string) *transport.Host {
	t.Helper()
	h, err := transport.New(transport.Config{Key: key, Listen: listen, MinBackoff: 10 * time.Millisecond, MaxBackoff: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func TestPeerIDIsNodeKey(t *testing.T) {
	h := open(t, newKey(t), local)
	id, err := transport.PeerID(h.Key())
	if err != nil {
		t.Fatal(err)
	}
	if back, err := transport.KeyOfPeer(id); err != nil || back != h.Key() {
		t.Errorf("KeyOfPeer(PeerID(k)) = %v, %v, want %v", back, err, h.Key())
	}
	if k, err := transport.AddrKey(h.Addrs()[0]); err != nil || k != h.Key() {
		t.Errorf("AddrKey(%s) = %v, %v, want %v", h.Addrs()[0], k, err, h.Key())
	}
	if _, err := transport.AddrKey("/ip4/127.0.0.1/tcp/1"); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Errorf("AddrKey without a peer ID: %v, want bad_input", err)
	}
}

// echo answers every Update with the same.
func echo(_ context.Context, s *transport.Stream) {
	for {
		var u transport.Update
		if s.Receive(&u, 0) != nil || s.Send(u) != nil {
			return
		}
	}
}

func ask(t *testing.T, c *transport.Conn, step uint32) error {
	t.Helper()
	s, err := c.Open(t.Context(), transport.ProtocolTask)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Send(transport.Update{Step: step}); err != nil {
		return err
	}
	var u transport.Update
	if err := s.Receive(&u, 10*time.Second); err != nil {
		return err
	}
	if u.Step != step {
		t.Errorf("echo of step %d is %d", step, u.Step)
	}
	return nil
}

func TestStreamsGoBothWaysOverTheMinersConnection(t *testing.T) {
	coordinator := open(t, newKey(t), local)
	miner := open(t, newKey(t))
	miner.Handle(transport.ProtocolTask, echo)
	served := make(chan *transport.Conn, 1)
	coordinator.Handle(transport.ProtocolControl, func(ctx context.Context, s *transport.Stream) {
		var b transport.FromMiner
		if err := s.Receive(&b, 10*time.Second); err != nil {
			t.Error(err)
		}
		served <- s.Conn()
		<-ctx.Done()
	})
	c, err := miner.Dial(t.Context(), coordinator.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Open(t.Context(), transport.ProtocolControl)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(transport.FromMiner{Running: 1}); err != nil {
		t.Fatal(err)
	}
	back := <-served
	if back.Peer() != miner.Key() || c.Peer() != coordinator.Key() {
		t.Error("the ends of a connection do not know each other")
	}
	for i := range uint32(3) {
		if err := ask(t, back, i); err != nil {
			t.Fatalf("stream back to a miner that does not listen: %v", err)
		}
	}
	c.Close()
	<-back.Done()
	if err := ask(t, back, 9); essaim.CodeOf(err) != essaim.CodeUnavailable {
		t.Errorf("open on a closed connection: %v, want unavailable", err)
	}
}

func TestMessagesAreBoundedAndTyped(t *testing.T) {
	listener := open(t, newKey(t), local)
	got := make(chan error, 1)
	listener.Handle(transport.ProtocolControl, func(_ context.Context, s *transport.Stream) {
		var h transport.Hello
		got <- s.Receive(&h, 5*time.Second)
	})
	dialer := open(t, newKey(t))
	c, err := dialer.Dial(t.Context(), listener.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	stream := func() *transport.Stream {
		s, err := c.Open(t.Context(), transport.ProtocolControl)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}

	s := stream()
	if err := s.Send(transport.Hello{Version: strings.Repeat("x", transport.MaxControlMessage)}); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Errorf("send of too large a message: %v, want bad_input", err)
	}
	if err := s.Send("not a hello"); err != nil {
		t.Fatal(err)
	}
	if err := <-got; essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Errorf("receive of another type: %v, want bad_input", err)
	}
	s.Close()

	s = stream()
	if err := s.Send(transport.Hello{ChainID: "c", Capacity: 2}); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Errorf("receive: %v", err)
	}
	var w transport.Welcome
	if err := s.Receive(&w, 5*time.Second); !errors.Is(err, io.EOF) {
		t.Errorf("receive after the peer closed: %v, want EOF", err)
	}
}

func TestReceiveGivesUpInTime(t *testing.T) {
	listener := open(t, newKey(t), local)
	listener.Handle(transport.ProtocolControl, func(ctx context.Context, _ *transport.Stream) { <-ctx.Done() })
	dialer := open(t, newKey(t))
	c, err := dialer.Dial(t.Context(), listener.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Open(t.Context(), transport.ProtocolControl)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(transport.Hello{}); err != nil {
		t.Fatal(err)
	}
	var w transport.Welcome
	if err := s.Receive(&w, 20*time.Millisecond); err == nil {
		t.Error("receive from a silent peer did not give up")
	}
}

func TestDialRefusesAnotherIdentity(t *testing.T) {
	listener := open(t, newKey(t), local)
	other, err := transport.PeerID(essaim.NodeKeyOf(newKey(t)))
	if err != nil {
		t.Fatal(err)
	}
	addr, _, _ := strings.Cut(listener.Addrs()[0], "/p2p/")
	if _, err := open(t, newKey(t)).Dial(t.Context(), addr+"/p2p/"+other.String()); essaim.CodeOf(err) != essaim.CodeUnavailable {
		t.Errorf("dial: %v, want unavailable", err)
	}
}

func TestKeepRedialsAfterRestart(t *testing.T) {
	key := newKey(t)
	first := open(t, key, local)
	first.Handle(transport.ProtocolTask, echo)
	addr := first.Addrs()[0]
	listen, _, _ := strings.Cut(addr, "/p2p/")

	miner := open(t, newKey(t))
	ctx, cancel := context.WithCancel(t.Context())
	up := make(chan *transport.Conn, 8)
	done := make(chan error, 1)
	go func() {
		done <- miner.Keep(ctx, addr, func(ctx context.Context, c *transport.Conn) error {
			up <- c
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	if err := ask(t, <-up, 1); err != nil {
		t.Fatal(err)
	}
	for round := range uint32(2) {
		first.Close()
		first = open(t, key, listen)
		first.Handle(transport.ProtocolTask, echo)
		if err := ask(t, <-up, 2+round); err != nil {
			t.Fatalf("after restart %d: %v", round+1, err)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Keep = %v, want canceled", err)
	}
	if err := miner.Keep(t.Context(), "/ip4/127.0.0.1/tcp/1", nil); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Errorf("Keep of an address without a peer ID: %v, want bad_input", err)
	}
}

// TestAnOlderPeerReadsOverNewFields: a field that a message got later does not trouble who does not know it.
func TestAnOlderPeerReadsOverNewFields(t *testing.T) {
	type answer struct { // FromCoordinator as it was
		Claim *transport.Acked `cbor:"1,keyasint,omitempty"`
		Why   string           `cbor:"3,keyasint,omitempty"`
	}
	miner, coordinator := open(t, newKey(t)), open(t, newKey(t), "/ip4/127.0.0.1/tcp/0")
	coordinator.Handle(transport.ProtocolControl, func(_ context.Context, s *transport.Stream) {
		if s.Receive(new(transport.FromMiner), time.Minute) == nil {
			_ = s.Send(transport.FromCoordinator{Why: "so", Instances: []transport.Instance{{Name: "a", Addrs: coordinator.Addrs()}}})
		}
	})
	c, err := miner.Dial(t.Context(), coordinator.Addrs()...)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Open(t.Context(), transport.ProtocolControl)
	if err != nil {
		t.Fatal(err)
	}
	var got answer
	if err := errors.Join(s.Send(transport.FromMiner{}), s.Receive(&got, time.Minute)); err != nil || got.Why != "so" {
		t.Errorf("read %+v: %v", got, err)
	}
}
