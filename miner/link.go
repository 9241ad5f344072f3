package miner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/transport"
)

const (
	// welcomeTimeout bounds the coordinator's answer to Hello, for which it may have
	// to ask the ledger.
	welcomeTimeout = 20 * time.Second

	// missedAnswers is how many beats may pass without an answer before the
	// connection is given up. The coordinator gives a miner up after two: this side
	// is the more patient one, as hanging up costs it the work under way.
	missedAnswers = 5

	// minPatience is what an answer may take however fast the beats are: the
	// coordinator's disk, or a busy machine, has nothing to do with them.
	minPatience = 2 * time.Second
)

// link is a connection to a coordinator that this miner was told to serve.
type link struct {
	peer    essaim.NodeKey
	conn    *transport.Conn
	claims  chan []byte  // signed receipts to be claimed with the next beats
	awaited atomic.Int64 // receipts whose answer may still come by itself

	welcome  bool   // it has welcomed this miner; guarded by Miner.mu
	instance string // of the coordinator, by its welcome; guarded by Miner.mu
}

// attend serves one connection to a coordinator: it introduces the miner, then beats
// until the connection is gone. Attempts come on streams of their own; see serve.
func (m *Miner) attend(ctx context.Context, c *transport.Conn) error {
	s, err := c.Open(ctx, transport.ProtocolControl)
	if err != nil {
		return err
	}
	defer s.Reset()
	// A stream does not know contexts: it is reset when ours ends.
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	if err := m.trust(ctx, c.Peer()); err != nil {
		return err
	}
	models, err := m.catalog(ctx)
	if err != nil {
		return err
	}
	// The first offer may overtake the welcome, so the link is known before.
	l, err := m.join(ctx, c)
	if err != nil {
		return err
	}
	defer m.part(l)
	w, err := m.introduce(s, models, m.linked(c.Peer()))
	if err != nil {
		return err
	}
	m.mu.Lock()
	l.welcome, l.instance = true, w.Instance
	m.mu.Unlock()
	m.log.Info("serving", "coordinator", l.peer.Short(), "models", len(w.Offers))
	return m.beat(ctx, s, l)
}

func (m *Miner) introduce(s *transport.Stream, models []essaim.ModelInfo, linked []string) (transport.Welcome, error) {
	var w transport.Welcome
	if err := s.Send(transport.Hello{
		ChainID: m.cfg.ChainID, Models: models, Capacity: uint32(m.cfg.Capacity), Beat: m.cfg.Beat, Version: m.cfg.Version, Linked: linked,
	}); err != nil {
		return w, err
	}
	if err := s.Receive(&w, welcomeTimeout); err != nil {
		return w, fmt.Errorf("wait for the coordinator's welcome: %w", err)
	}
	if err := w.Refusal.Err(); err != nil {
		return w, err
	}
	if w.ChainID != m.cfg.ChainID {
		return w, essaim.Errorf(essaim.CodeRefused, "check the coordinator's address", "the coordinator works for chain %q, this miner for %q", w.ChainID, m.cfg.ChainID)
	}
	return w, nil
}

// join makes the link known, so that its coordinator's offers are taken, and queues
// the receipts that it still owes an answer for.
func (m *Miner) join(ctx context.Context, c *transport.Conn) (*link, error) {
	owed, err := m.receipts.unacked(ctx, c.Peer())
	if err != nil {
		return nil, fmt.Errorf("read receipts: %w", err)
	}
	l := &link{peer: c.Peer(), conn: c, claims: make(chan []byte, len(owed)+2*m.cfg.MaxUnacked)}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.another(l.peer) == nil { // else their answers may still come by themselves, from another instance
		for _, r := range owed {
			l.claims <- r
		}
	}
	m.links[c] = l
	return l, nil
}

// another is a link to a coordinator; nil: there is none. m.mu is held.
func (m *Miner) another(peer essaim.NodeKey) *link {
	for _, l := range m.links {
		if l.peer == peer {
			return l
		}
	}
	return nil
}

// part forgets a link. What it did not answer another instance of its coordinator is asked for, if there is one.
func (m *Miner) part(l *link) {
	m.mu.Lock()
	delete(m.links, l.conn)
	next := m.another(l.peer)
	m.mu.Unlock()
	if next == nil {
		return
	}
	owed, err := m.receipts.unacked(context.Background(), l.peer)
	if err != nil {
		m.log.Error("receipts cannot be read", "err", err)
		return
	}
	for _, r := range owed {
		next.claim(r)
	}
}

func (m *Miner) linkTo(c *transport.Conn) *link {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.links[c]
}

// linked lists the instances of a coordinator that have welcomed this miner.
func (m *Miner) linked(peer essaim.NodeKey) (out []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.links {
		if l.welcome && l.peer == peer && l.instance != "" {
			out = append(out, l.instance)
		}
	}
	return out
}

// hosts makes a host for each address. The library keeps one connection to a peer, but a coordinator's instances have its one
// key: a host dials each key once, and there are as many as the most frequent key has addresses.
func (m *Miner) hosts() (of, made []*transport.Host, err error) {
	used := map[essaim.NodeKey]int{}
	for _, addr := range m.cfg.Coordinators {
		key, err := transport.AddrKey(addr)
		if err != nil {
			return of, made, err
		}
		n := used[key]
		if used[key]++; n == len(made) {
			h, err := m.newHost()
			if err != nil {
				return of, made, err
			}
			made = append(made, h)
		}
		of = append(of, made[n])
	}
	return of, made, nil
}

func (m *Miner) newHost() (*transport.Host, error) {
	h, err := transport.New(transport.Config{Key: m.cfg.Key, Logger: m.log, MinBackoff: m.cfg.MinBackoff, MaxBackoff: m.cfg.MaxBackoff})
	if err == nil {
		h.Handle(transport.ProtocolTask, m.serve)
	}
	return h, err
}

// claim asks for an acknowledgement again, with the next beat.
func (l *link) claim(receipt []byte) {
	select {
	case l.claims <- receipt:
	default: // it is in the receipt file and is claimed after the next reconnect
	}
}

// errUndecided is of a claim to which the coordinator has no answer yet.
var errUndecided = errors.New("the coordinator cannot say yet")

// beat sends heartbeats, and claims between them, until something fails. The answer to a claim goes to the disk
// beside it: a beat waits for no disk.
func (m *Miner) beat(ctx context.Context, s *transport.Stream, l *link) error {
	tick := time.NewTicker(m.cfg.Beat)
	defer tick.Stop()
	claims := l.claims   // nil: none is made now
	var answering []byte // the claim whose answer is taken in
	taken := make(chan error, 1)
	defer func() {
		if answering != nil {
			<-taken
		}
	}()
	for {
		var claim []byte
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-taken:
			again := answering
			answering = nil
			switch {
			case err == nil:
				claims = l.claims
			case errors.Is(err, errUndecided):
				m.log.Info("receipt is not acknowledged yet", "coordinator", l.peer.Short(), "err", err)
				l.claim(again) // with the next beat
			default:
				return err
			}
			continue
		case claim = <-claims:
		case <-tick.C:
			if answering == nil {
				claims = l.claims
			}
		}
		answer, err := m.exchange(ctx, s, l, claim)
		if err != nil {
			return err
		}
		if claim != nil && answer.Claim != nil {
			claims, answering = nil, claim
			go func() { taken <- m.answered(l.peer, claim, *answer.Claim) }()
		}
	}
}

// exchange sends one beat and takes note of the answer.
func (m *Miner) exchange(ctx context.Context, s *transport.Stream, l *link, claim []byte) (answer transport.FromCoordinator, err error) {
	running := m.Stats().Running
	if m.paused(ctx) {
		running = m.cfg.Capacity // so that nothing is offered
	}
	if err := s.Send(transport.FromMiner{Running: uint32(running), Claim: claim}); err != nil {
		return answer, err
	}
	if err := s.ReceiveAlive(&answer, max(missedAnswers*m.cfg.Beat, minPatience)); err != nil {
		return answer, fmt.Errorf("coordinator %s does not answer: %w", l.peer.Short(), err)
	}
	m.hear(l.peer, answer.Vouchers)
	m.told(answer.Why)
	if answer.Instances != nil {
		m.places.tell(l.peer, dialable(answer.Instances, l.peer, l.conn.RemoteIP(), m.cfg.Coordinators))
	}
	return answer, nil
}

// maxWhy bounds what is shown of a coordinator's words, in bytes.
const maxWhy = 200

// told notes why a coordinator gives this miner nothing now; "": it would.
func (m *Miner) told(why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.why = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, why[:min(len(why), maxWhy)])
}

// answered notes what a coordinator said about a receipt.
//
// Errors: errUndecided if it could not say, CodeRefused if the answer is not a right acknowledgement of this receipt:
// the receipt stays unacknowledged.
func (m *Miner) answered(from essaim.NodeKey, signed []byte, a transport.Acked) error {
	r, _, err := essaim.ReadReceipt(signed) // our own: its signature needs no check
	if err != nil {
		return fmt.Errorf("own receipt: %w", err)
	}
	if refusal := a.Refusal.Err(); refusal != nil {
		if essaim.CodeOf(refusal).Retryable() || essaim.CodeOf(refusal) == essaim.CodeInternal {
			return fmt.Errorf("%w: %w", errUndecided, refusal) // not a judgement of the receipt
		}
		m.refused.Add(1)
		m.log.Warn("receipt does not count", "task", r.Task.Short(), "coordinator", from.Short(), "reason", refusal)
		return m.receipts.refuse(from, r.Digest(), refusal.Error())
	}
	ack, signature, err := essaim.ReadAck(a.Ack)
	if err == nil && !m.receipts.has(from, ack, a.Ack) {
		err = signature.CheckTogether()
	}
	if err != nil {
		return err
	}
	if err := ack.Acknowledges(r); err != nil || signature.Signer() != from {
		return essaim.Errorf(essaim.CodeRefused, "do not serve this coordinator", "coordinator %s acknowledged something else than receipt %s", from.Short(), r.Digest().Short())
	}
	first, err := m.receipts.ack(context.Background(), from, r, signed, ack, a.Ack)
	if first {
		m.acked.Add(1)
		m.earned.Add(uint64(r.Price))
	}
	return err
}
