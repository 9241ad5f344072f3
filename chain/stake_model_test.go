package chain_test

import (
	"cmp"
	"math/big"
	"slices"

	"github.com/essaim/essaim/gen/chain/registryv1"
)

// books keeps the registry's books a second time, in the plainest way: every reward is
// shared by a loop over the holders, every queue is a list that is sorted, and all
// arithmetic is that of big numbers. Accounts are numbers of account(i).
type books struct {
	params  registryv1.Params
	height  int64
	jailed  func(a *backed) bool // of a living actor: jail is not about money
	balance [accounts]int64      // gained or lost since the beginning
	burned  uint64

	actors            []*backed // in the order of their numbers
	exits             []*leaving
	slashes           []*slashed
	windows           []*deferred
	credits           []*credit
	epochs            map[uint64]registryv1.Epoch
	epoch, paid, fees uint64
	started           int64
	left, promised    uint64 // of the emission account
	exitCount         uint64
}

type backed struct {
	name                             string
	owner                            int
	stake, shares, out, bondShares   uint64
	held                             int
	frozen                           int64
	commission, earned               uint64
	retired, closed, closing, tidied bool
	rest                             *big.Int
	holders                          map[int]*holder
}

type holder struct {
	shares   uint64
	reward   *big.Int // in 2⁻⁶⁴ uaim
	exits    int
	compound bool
}

type leaving struct {
	id     uint64
	from   *backed
	to     *backed
	who    int
	shares uint64
	due    int64
	bond   bool
}

type slashed struct {
	id, amount, restitution uint64
	from                    *backed
	wronged                 int
	end                     int64
	open                    bool
	voided                  []*credit
}

type deferred struct {
	due          int64
	of           *backed
	counted, sum uint64
}

type credit struct {
	epoch, fee uint64
	of         *backed
}

// share is x·n/d, rounded down.
func share(x, n, d uint64) uint64 {
	if d == 0 {
		return 0
	}
	product := new(big.Int).Mul(new(big.Int).SetUint64(x), new(big.Int).SetUint64(n))
	return product.Quo(product, new(big.Int).SetUint64(d)).Uint64()
}

// shareUp is x·n/d, rounded up.
func shareUp(x, n, d uint64) uint64 {
	product := new(big.Int).Mul(new(big.Int).SetUint64(x), new(big.Int).SetUint64(n))
	q, rest := product.QuoRem(product, new(big.Int).SetUint64(d), new(big.Int))
	return q.Uint64() + uint64(rest.Sign())
}

func whole(reward *big.Int) uint64 { return new(big.Int).Rsh(reward, 64).Uint64() }

func (a *backed) worth(shares uint64) uint64 { return share(shares, a.stake, a.shares) }

func (a *backed) holder(who int) *holder {
	if a.holders[who] == nil {
		a.holders[who] = &holder{reward: new(big.Int)}
	}
	return a.holders[who]
}

// forget drops a holder with nothing left but a fraction.
func (a *backed) forget(who int) {
	if h := a.holders[who]; h != nil && h.shares == 0 && h.exits == 0 && whole(h.reward) == 0 {
		a.rest.Add(a.rest, h.reward)
		delete(a.holders, who)
	}
}

func (a *backed) join(who int, amount uint64) {
	shares := amount
	if a.shares > 0 {
		shares = share(amount, a.shares, a.stake)
	}
	a.holder(who).shares += shares
	a.shares, a.stake = a.shares+shares, a.stake+amount
}

// reward gives each active share the same, and keeps the remainder.
func (a *backed) reward(amount uint64) bool {
	active := a.shares - a.out
	if active == 0 {
		return false
	}
	a.rest.Add(a.rest, new(big.Int).Lsh(new(big.Int).SetUint64(amount), 64))
	each, rest := new(big.Int).QuoRem(a.rest, new(big.Int).SetUint64(active), new(big.Int))
	a.rest = rest
	for _, h := range a.holders {
		h.reward.Add(h.reward, new(big.Int).Mul(each, new(big.Int).SetUint64(h.shares)))
	}
	return true
}

// take empties a holder's reward of whole uaim.
func (h *holder) take() uint64 {
	n := whole(h.reward)
	h.reward.Sub(h.reward, new(big.Int).Lsh(new(big.Int).SetUint64(n), 64))
	return n
}

func (b *books) admits(a *backed, who int, amount uint64) bool {
	if a.retired || a.held > 0 || amount == 0 || a.owner != who && b.jailed(a) {
		return false
	}
	return a.shares == 0 || a.stake > 0 && a.shares <= 1024*a.stake
}

func (b *books) credit(a *backed, amount, later uint64) {
	if amount == 0 && later == 0 {
		return
	}
	commission := share(amount, a.commission, 10_000)
	switch {
	case a.closed:
		b.balance[a.owner] += int64(amount)
	case a.reward(amount - commission):
		a.earned += commission
	default:
		a.earned += amount
	}
}

func (b *books) income(a *backed, amount, fee uint64) {
	later := uint64(0)
	if b.params.AuditBlocks > 0 && amount > 0 {
		room := share(a.worth(a.shares-a.out+a.bondShares), uint64(b.params.CoverMinerBps), 10_000)
		for _, w := range b.windows {
			if w.of == a {
				room -= min(room, w.counted)
			}
		}
		counted := min(room, amount)
		later = amount - counted
		b.windows = append(b.windows, &deferred{b.height + int64(b.params.AuditBlocks), a, counted, later})
	}
	if fee > 0 {
		b.fees += fee
		b.credits = append(b.credits, &credit{b.epoch, fee, a})
	}
	b.credit(a, amount-later, later)
}

func (b *books) claim(a *backed, who int) {
	h, known := a.holders[who]
	amount := uint64(0)
	if known {
		amount = h.take()
	}
	if a.owner == who {
		amount, a.earned = amount+a.earned, 0
	}
	if amount == 0 {
		return
	}
	compound := known && h.compound
	a.forget(who)
	if compound && b.admits(a, who, amount) {
		a.join(who, amount)
		return
	}
	b.balance[who] += int64(amount)
}

// leave begins an exit; amount 0 is all.
func (b *books) leave(a, to *backed, who int, amount uint64, bond bool) {
	h := a.holder(who)
	shares := h.shares
	if amount > 0 && amount < a.worth(shares) {
		shares = min(shares, shareUp(amount, a.shares, a.stake))
	}
	h.shares, a.out, h.exits = h.shares-shares, a.out+shares, h.exits+1
	if h.shares == 0 {
		b.balance[who] += int64(h.take())
	}
	if bond {
		a.retired, a.bondShares = true, shares
	}
	b.exitCount++
	b.exits = append(b.exits, &leaving{b.exitCount, a, to, who, shares, b.height + int64(b.params.UnbondingBlocks), bond})
}

func (b *books) slash(id uint64, a *backed, bps, restitution uint64, wronged int, refutes bool) *slashed {
	s := &slashed{id: id, amount: share(a.stake, bps, 10_000), restitution: restitution, from: a, wronged: wronged, open: true}
	s.end = b.height + int64(b.params.AppealBlocks)
	a.stake -= s.amount
	a.held++
	a.frozen = max(a.frozen, s.end)
	if refutes {
		b.credits = slices.DeleteFunc(b.credits, func(c *credit) bool {
			if c.of == a {
				s.voided = append(s.voided, c)
			}
			return c.of == a
		})
	}
	b.slashes = append(b.slashes, s)
	return s
}

func (b *books) thaw(s *slashed) {
	s.open = false
	if s.from.held--; s.from.held == 0 {
		s.from.frozen = 0
	}
}

func (b *books) reverse(s *slashed) {
	s.from.stake += s.amount
	b.thaw(s)
	late := map[uint64]uint64{}
	var order []uint64
	for _, c := range s.voided {
		if c.epoch >= b.paid {
			b.credits = append(b.credits, c)
			continue
		}
		if late[c.epoch] == 0 {
			order = append(order, c.epoch)
		}
		late[c.epoch] += c.fee
	}
	slices.Sort(order)
	for _, epoch := range order {
		e := b.epochs[epoch]
		b.pour(s.from, min(share(e.Emission, late[epoch], e.Fees), b.free()))
	}
}

func (b *books) free() uint64 { return b.left - min(b.left, b.promised) }

func (b *books) pour(a *backed, amount uint64) {
	b.left -= amount
	b.credit(a, amount, 0)
}

// endBlock is the end of a block.
func (b *books) endBlock() {
	slices.SortFunc(b.slashes, func(x, y *slashed) int { return cmp.Or(cmp.Compare(x.end, y.end), cmp.Compare(x.id, y.id)) })
	for _, s := range b.slashes {
		if s.open && s.end <= b.height {
			back := min(s.restitution, s.amount)
			b.balance[s.wronged] += int64(back)
			b.burned += s.amount - back
			b.thaw(s)
		}
	}
	b.endExits()
	for _, a := range b.actors {
		if a.closing {
			b.payOut(a)
		}
	}
	var due []*deferred
	b.windows = slices.DeleteFunc(b.windows, func(w *deferred) bool {
		if w.due <= b.height {
			due = append(due, w)
		}
		return w.due <= b.height
	})
	for i, w := range due { // what became due together is paid together
		for _, later := range due[i+1:] {
			if later.of == w.of && later.due == w.due {
				w.sum, later.sum = w.sum+later.sum, 0
			}
		}
		b.credit(w.of, w.sum, 0)
		b.tidy(w.of)
	}
	b.endEpoch()
	b.height++
}

func (b *books) endExits() {
	slices.SortFunc(b.exits, func(x, y *leaving) int { return cmp.Or(cmp.Compare(x.due, y.due), cmp.Compare(x.id, y.id)) })
	var rest []*leaving
	for _, e := range b.exits {
		a := e.from
		switch {
		case e.due > b.height:
			rest = append(rest, e)
			continue
		case a.held > 0:
			e.due = max(a.frozen, b.height+1)
			rest = append(rest, e)
			continue
		}
		amount := a.worth(e.shares)
		a.stake, a.shares, a.out = a.stake-amount, a.shares-e.shares, a.out-e.shares
		if h := a.holders[e.who]; h != nil {
			h.exits--
			a.forget(e.who)
		}
		if e.to != nil && !e.to.closed && b.admits(e.to, e.who, amount) {
			e.to.join(e.who, amount)
		} else {
			b.balance[e.who] += int64(amount)
		}
		if e.bond {
			b.balance[a.owner] += int64(a.earned)
			a.closed, a.closing, a.earned, a.bondShares = true, true, 0, 0
		}
		b.tidy(a)
	}
	b.exits = rest
}

// payOut pays everybody in the pool of an actor that is gone.
func (b *books) payOut(a *backed) {
	for who := range accounts {
		h := a.holders[who]
		if h == nil {
			continue
		}
		amount := a.worth(h.shares)
		b.balance[who] += int64(h.take() + amount)
		a.stake, a.shares = a.stake-amount, a.shares-h.shares
		a.rest.Add(a.rest, h.reward)
		delete(a.holders, who)
	}
	a.closing = false
	b.tidy(a)
}

// tidy gives what no division could share to the owner, when nothing else is left.
func (b *books) tidy(a *backed) {
	busy := !a.closed || a.closing || a.shares > 0 || a.tidied ||
		slices.ContainsFunc(b.windows, func(w *deferred) bool { return w.of == a }) ||
		slices.ContainsFunc(b.credits, func(c *credit) bool { return c.of == a })
	if !busy {
		b.balance[a.owner] += int64(whole(a.rest))
		a.tidied = true
	}
}

func (b *books) endEpoch() {
	if b.height-b.started >= int64(b.params.EpochBlocks) {
		e := registryv1.Epoch{Number: b.epoch, Fees: b.fees}
		e.Emission = min(b.free(), b.params.EmissionPerEpoch, share(b.fees, uint64(b.params.EmissionBps), 10_000))
		b.epochs[b.epoch] = e
		b.epoch, b.started, b.fees, b.promised = b.epoch+1, b.height, 0, b.promised+e.Emission
	}
	if b.paid+2 > b.epoch {
		return
	}
	e := b.epochs[b.paid]
	for _, a := range b.actors {
		var fee uint64
		b.credits = slices.DeleteFunc(b.credits, func(c *credit) bool {
			if c.of == a && c.epoch == b.paid {
				fee += c.fee
				return true
			}
			return false
		})
		if fee > 0 {
			b.pour(a, share(e.Emission, fee, e.Fees))
			b.tidy(a)
		}
	}
	b.promised -= e.Emission
	b.paid++
}
