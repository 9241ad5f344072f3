package coordinator

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/known"
	"github.com/essaim/essaim/coordinator/line"
	"github.com/essaim/essaim/coordinator/outcome"
	"github.com/essaim/essaim/seal"
	"github.com/essaim/essaim/transport"
)

const (
	helloTimeout   = 10 * time.Second       // for a miner's first message
	refusalTimeout = 2 * time.Second        // for a miner to read that it is refused
	minBeat        = 5 * time.Millisecond   // a miner may not make us read more often
	maxBeat        = 10 * time.Second       // nor leave us longer in the dark
	missedBeats    = 2                      // so many without another word, and the miner is gone
	beatSlack      = 250 * time.Millisecond // for a scheduler's delay, on both machines
	maxCapacity    = 256                    // attempts on one connection
	maxModels      = 1024                   // that one miner may offer
)

// Why a miner's connection ended.
var (
	errStalled  = errors.New("its heartbeats stopped")
	errReplaced = errors.New("it has connected again")
)

// miner is a connected miner. Its context ends when it is gone, with the reason as
// cause; its attempts end with it.
type miner struct {
	key  essaim.NodeKey
	conn *transport.Conn
	// lookedAt, shown and placesAt are of listen: when vouchers were last looked for, and which
	// amounts the miner has seen.
	lookedAt time.Time
	shown    map[essaim.SessionID]essaim.Amount
	placesAt uint64 // and of which instances it knows
	ctx      context.Context
	gone     context.CancelCauseFunc

	mu     sync.Mutex
	spares []*transport.Stream // task streams without an attempt; guarded by mu

	// Guarded by Coordinator.mu.
	actor    essaim.Actor                       // as the ledger has it; never changed in place
	sealID   seal.KeyID                         // of the actor's sealing key
	hello    []essaim.ModelInfo                 // what it said that it runs
	models   map[essaim.Digest]essaim.ModelInfo // effective: registered, run, price agreed
	capacity int
	running  int           // attempts that it has from here
	promised essaim.Amount // their prices
	turns    line.Server   // who had it last
	full     bool          // it said so; until a beat says otherwise (it may serve others, too)
}

// spare takes a stream that has carried an attempt before; nil: there is none.
func (m *miner) spare() *transport.Stream {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.spares)
	if n == 0 {
		return nil
	}
	s := m.spares[n-1]
	m.spares = m.spares[:n-1]
	return s
}

// put keeps a stream for another attempt. It ends with the connection.
func (m *miner) put(s *transport.Stream) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.spares) >= m.capacity {
		return false
	}
	m.spares = append(m.spares, s)
	return true
}

func (m *miner) idle() bool { return m.running < m.capacity && !m.full }

// why says why the miner is gone; nil while it is there.
func (m *miner) why() error {
	cause := context.Cause(m.ctx)
	if errors.Is(cause, context.Canceled) {
		return outcome.ErrDropped // the connection's own context ended first
	}
	return cause
}

// attend serves a miner's control stream for as long as the miner is there.
func (c *Coordinator) attend(ctx context.Context, s *transport.Stream) {
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return
	}
	defer leave()
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	peer := s.Conn().Peer()
	var hello transport.Hello
	if err := s.Receive(&hello, helloTimeout); err != nil {
		c.log.Debug("no hello", "miner", peer.Short(), "err", err)
		return
	}
	m, err := c.welcome(ctx, s.Conn(), hello)
	if err != nil {
		c.log.Info("miner refused", "miner", peer.Short(), "reason", err)
		if s.Send(transport.Welcome{ChainID: c.cfg.ChainID, Refusal: transport.Refuse(err)}) == nil {
			_ = s.Receive(new(transport.FromMiner), refusalTimeout) // until it has read and hangs up
		}
		_ = s.Conn().Close() // a stranger does not get to ask again and again
		return
	}
	offers := m.offers()
	if err := s.Send(transport.Welcome{ChainID: c.cfg.ChainID, Offers: offers, Instance: c.name}); err != nil {
		m.gone(outcome.ErrDropped)
		return
	}
	c.join(m)
	c.log.Info("miner connected", "miner", peer.Short(), "models", len(offers), "capacity", m.capacity)
	err = c.listen(m, s, hello.Beat)
	c.part(m, err)
	// A miner that stalled must dial again to be served again.
	_ = m.conn.Close()
}

// welcome checks what a miner says against what the ledger says.
//
// Errors: for the miner to read.
func (c *Coordinator) welcome(ctx context.Context, conn *transport.Conn, h transport.Hello) (*miner, error) {
	switch {
	case h.ChainID != c.cfg.ChainID:
		return nil, essaim.Errorf(essaim.CodeRefused, "check the miner's configuration", "this coordinator works for chain %q, the miner for %q", c.cfg.ChainID, h.ChainID)
	case h.Capacity == 0 || h.Beat < minBeat || h.Beat > maxBeat || len(h.Models) > maxModels:
		return nil, essaim.Errorf(essaim.CodeBadInput, fmt.Sprintf("want a capacity of at least 1, beats every %v to %v, at most %d models", minBeat, maxBeat, maxModels), "the miner's hello is out of bounds")
	}
	if slices.Contains(h.Linked, c.name) {
		return nil, essaim.Errorf(essaim.CodeConflict, "one address of each instance is enough", "the miner is connected to this instance of the coordinator by another address")
	}
	actor, err := c.registered(ctx, conn.Peer())
	if err != nil {
		return nil, err
	}
	m := &miner{key: conn.Peer(), conn: conn, hello: h.Models, capacity: int(min(h.Capacity, maxCapacity))}
	m.ctx, m.gone = context.WithCancelCause(ctx)
	c.register(ctx, m, actor)
	return m, nil
}

// registered asks the ledger for a miner that may get tasks.
//
// Errors: CodeRefused for a key that is not a miner at work with enough stake; CodeUnavailable
// if the ledger does not answer.
func (c *Coordinator) registered(ctx context.Context, key essaim.NodeKey) (essaim.Actor, error) {
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	a, err := c.known.Actor(ctx, key)
	switch {
	case essaim.CodeOf(err) == essaim.CodeNotFound, err == nil && a.Role != essaim.RoleMiner:
		return a, essaim.Errorf(essaim.CodeRefused, "register the node key as a miner, with a bond", "node key %s is not registered as a miner on chain %s", key.Short(), c.cfg.ChainID)
	case err != nil:
		return a, essaim.Errorf(essaim.CodeUnavailable, "try again in a moment", "the ledger cannot be asked about miner %s: %w", key.Short(), err)
	case a.RetiredAt != 0:
		return a, essaim.Errorf(essaim.CodeRefused, "register the miner again", "miner %s retired at height %d", key.Short(), a.RetiredAt)
	case a.JailedUntil != 0:
		return a, essaim.Errorf(essaim.CodeRefused, fmt.Sprintf("unjail it after height %d", a.JailedUntil), "miner %s is jailed", key.Short())
	case a.Stake < c.cfg.MinStake:
		return a, essaim.Errorf(essaim.CodeRefused, "raise the bond", "miner %s has a stake of %d uaim, this coordinator asks for %d", key.Short(), a.Stake, c.cfg.MinStake)
	case len(a.HPKEKey) == 0:
		return a, essaim.Errorf(essaim.CodeRefused, "register the miner's sealing key", "miner %s has no sealing key on the ledger", key.Short())
	}
	return a, nil
}

// register takes over what the ledger says: a model counts if the miner runs it and
// has registered it, at a price not above the registered one, and if the ledger
// knows the model, since no settlement could pay for it otherwise.
func (c *Coordinator) register(ctx context.Context, m *miner, a essaim.Actor) {
	models := map[essaim.Digest]essaim.ModelInfo{}
	for _, info := range m.hello {
		price, ok := a.Price(info.Digest)
		if !ok || info.UnitPrice > price {
			c.log.Info("offer does not count: not registered at this price", "miner", m.key.Short(), "model", info.Digest.Short())
			continue
		}
		if c.cfg.Barred(m.key, info.Digest) {
			c.log.Info("offer does not count: the miner is not listed for this model any more", "miner", m.key.Short(), "model", info.Digest.Short())
			continue
		}
		model, err := c.known.Model(ctx, info.Digest)
		if err != nil {
			c.log.Info("offer does not count: model unknown", "miner", m.key.Short(), "model", info.Digest.Short(), "err", err)
			continue
		}
		info.Name, info.Kind, info.Engine, info.Miners = model.Name, model.Kind, model.Engine, 0
		info.Meter = known.Meter(model, info.Meter)
		models[info.Digest] = info
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m.actor, m.sealID, m.models, m.turns.Own = a, seal.IDOf(a.HPKEKey), models, a.Owner
	c.serveQueue()
}

// Connected reports whether a miner is there.
func (c *Coordinator) Connected(miner essaim.NodeKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.miners[miner] != nil
}

// offers is called before the miner is shared.
func (m *miner) offers() []essaim.Offer {
	out := make([]essaim.Offer, 0, len(m.models))
	for _, info := range m.models {
		out = append(out, essaim.Offer{Model: info.Digest, UnitPrice: info.UnitPrice})
	}
	return out
}

// join makes a miner known, instead of an older connection of the same key.
func (c *Coordinator) join(m *miner) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.miners[m.key]; old != nil {
		old.gone(errReplaced)
	}
	c.miners[m.key] = m
	c.serveQueue()
}

func (c *Coordinator) part(m *miner, why error) {
	m.gone(why)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.miners[m.key] == m {
		delete(c.miners, m.key)
	}
	c.log.Info("miner is gone", "miner", m.key.Short(), "reason", m.why(), "running", m.running)
}

// listen reads beats and answers them until the miner is gone, and says why.
func (c *Coordinator) listen(m *miner, s *transport.Stream, beat time.Duration) error {
	patience := missedBeats*beat + min(beat, beatSlack)
	for {
		began := time.Now()
		var in transport.FromMiner
		if err := s.ReceiveAlive(&in, patience); err != nil {
			if time.Since(began) >= patience {
				return errStalled
			}
			return outcome.ErrDropped
		}
		if m.ctx.Err() != nil {
			return m.why()
		}
		c.heard(m, int(in.Running))
		out := transport.FromCoordinator{Vouchers: c.show(m), Why: c.passedOver(m)}
		out.Instances, m.placesAt = c.shared.Places(m.placesAt)
		if in.Claim != nil {
			out.Claim = c.claim(m.ctx, m.key, in.Claim)
		}
		if err := s.Send(out); err != nil {
			return outcome.ErrDropped
		}
	}
}

// heard takes note of a beat.
func (c *Coordinator) heard(m *miner, running int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.full && running < m.capacity {
		m.full = false
		c.serveQueue()
	}
}

// passedOver says why a miner gets no task of a model that it runs, however many come; "": it does.
func (c *Coordinator) passedOver(m *miner) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for model, info := range m.models {
		if err := c.eligible(m, model, info.UnitPrice); err != nil {
			return err.Error()
		}
		if c.cfg.Barred(m.key, model) {
			return "the miner is not listed for model " + model.Short() + " any more"
		}
	}
	return ""
}

// claim answers a miner that asks again for the acknowledgement of a receipt.
func (c *Coordinator) claim(ctx context.Context, from essaim.NodeKey, signed []byte) *transport.Acked {
	no := func(code essaim.Code, reason string) *transport.Acked {
		return &transport.Acked{Refusal: &transport.Refusal{Code: code, Reason: reason}}
	}
	r, err := essaim.OpenReceipt(signed)
	if err != nil || r.Miner != from || r.Coordinator != c.key {
		return no(essaim.CodeRefused, "the receipt is not by this miner for this coordinator")
	}
	if j := c.job(r.Task); j != nil && j.isOn(from, r.Attempt) {
		return no(essaim.CodeUnavailable, "the receipt is being checked")
	}
	have, err := c.store.Task(ctx, r.Task)
	missing := essaim.CodeOf(err) == essaim.CodeNotFound
	switch {
	case (missing || err == nil && have.Receipt == nil) && !c.ours(ctx, r.Session):
		return no(essaim.CodeUnavailable, "another instance of the coordinator has the session")
	case missing:
		return no(essaim.CodeNotFound, "the task is not known here")
	case err != nil:
		return &transport.Acked{Refusal: transport.Refuse(err)}
	case have.Receipt == nil:
		return no(essaim.CodeConflict, "the attempt was given up before its receipt arrived")
	}
	accepted, err := essaim.OpenReceipt(have.Receipt)
	if err != nil {
		return &transport.Acked{Refusal: transport.Refuse(fmt.Errorf("own log: %w", err))}
	}
	if accepted.Digest() != r.Digest() {
		return no(essaim.CodeConflict, "another receipt was accepted for the task")
	}
	total, deadline, err := c.due(ctx, r)
	if err != nil {
		return &transport.Acked{Refusal: transport.Refuse(err)}
	}
	return c.acknowledge(r, total, deadline)
}

// due is what a session has come to for a receipt's miner and model, and by when the
// ledger wants it settled.
func (c *Coordinator) due(ctx context.Context, r essaim.Receipt) (essaim.Amount, int64, error) {
	if e := c.book.find(r.Session); e != nil {
		return c.book.earned(e, r), e.session.Expiry, nil
	}
	s, err := c.cfg.Ledger.Session(ctx, r.Session)
	if err != nil {
		return 0, 0, essaim.Errorf(essaim.CodeUnavailable, "try again in a moment", "session %s: %w", r.Session, err)
	}
	earned, err := c.store.Earned(ctx, r.Session)
	if err != nil {
		return 0, 0, fmt.Errorf("own log: %w", err)
	}
	return earned[payee(r)], s.Expiry, nil
}

// acknowledge signs the promise to settle a receipt, which is in the log: the stake of
// this coordinator answers for it.
func (c *Coordinator) acknowledge(r essaim.Receipt, total essaim.Amount, deadline int64) *transport.Acked {
	ack, err := essaim.SignAck(essaim.Ack{
		ChainID: c.cfg.ChainID, Receipt: r.Digest(), Session: r.Session, Price: r.Price, Miner: r.Miner, Model: r.Model,
		Total: total, Deadline: deadline,
	}, c.cfg.Key)
	if err != nil {
		return &transport.Acked{Refusal: transport.Refuse(fmt.Errorf("sign acknowledgement: %w", err))}
	}
	return &transport.Acked{Ack: ack}
}

// promise is the newest acknowledgement that a payee of a session was given.
type promise struct {
	mu    sync.Mutex
	total essaim.Amount    // guarded by mu
	acked *transport.Acked // says so; guarded by mu
}

// acknowledgeEarned counts a receipt that is in the log, and acknowledges it. Receipts of a
// payee that were stored together are counted first and share one signature: its total
// covers them all.
func (c *Coordinator) acknowledgeEarned(e *escrow, r essaim.Receipt) *transport.Acked {
	need, p := c.book.earn(e, r)
	runtime.Gosched() // those that were woken with this one count theirs
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.acked != nil && p.total >= need {
		return p.acked
	}
	total := c.book.earned(e, r)
	a := c.acknowledge(r, total, e.session.Expiry)
	if a.Refusal == nil {
		p.total, p.acked = total, a
	}
	return a
}
