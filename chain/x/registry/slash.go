package registry

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// Slash is what a module asks for when an actor has done wrong. How much is taken, and
// for how long the actor is jailed, is in the slash table under Cause.
type Slash struct {
	Node        essaim.NodeKey
	Cause       string   // a row of the table
	Bps         uint32   // of the stake, within the row's bounds; 0: the least
	Evidence    []string // CIDs of what anyone needs to check it again; at least one
	Heights     []int64  // of the blocks that the evidence speaks of
	Method      string   // how it was found
	Wronged     essaim.Address
	Restitution uint64 // uaim: at most this much goes to the wronged when the slash is final

	// OwnersPart keeps restitution to the owner's part of what is taken, so that an owner who convicts its own node
	// to pay an account of its own never gains by what others have delegated.
	OwnersPart bool
}

// Slash takes stake with evidence and returns the slash's number. The coins wait in the
// module account until the appeal window is over.
//
// Errors: ErrNotFound, ErrSlash, ErrEvidence.
func (k Keeper) Slash(ctx context.Context, x Slash) (id uint64, err error) {
	a, err := k.byKey(ctx, x.Node)
	if err != nil {
		return 0, err
	}
	params, err := k.params.Get(ctx)
	if err != nil {
		return 0, err
	}
	rule, bps, err := k.checkSlash(params, x)
	if err != nil {
		return 0, err
	}
	if id, err = k.nextSlash.Next(ctx); err != nil {
		return 0, err
	}
	p := poolOf(a)
	if x.OwnersPart {
		if err := k.present(ctx, &a); err != nil {
			return 0, err
		}
		x.Restitution = min(x.Restitution, a.Bond/uint64(essaim.BpsWhole)*uint64(bps))
	}
	s := registryv1.Slash{
		Id: id, Actor: a.Id, NodeKey: a.NodeKey, Cause: x.Cause, Evidence: x.Evidence, Heights: x.Heights, Method: x.Method,
		Amount: p.Slash(bps), Bps: bps, Restitution: x.Restitution, At: height(ctx), State: registryv1.SlashState_SLASH_STATE_HELD,
	}
	setPool(&a, p)
	if x.Restitution > 0 {
		s.Wronged = x.Wronged.String()
	}
	s.EndsAt = s.At + int64(params.AppealBlocks)
	if rule.JailBlocks > 0 {
		s.JailedUntil = s.At + int64(rule.JailBlocks)
	}
	if rule.Refutes {
		if s.Voided, err = k.void(ctx, &a); err != nil {
			return 0, err
		}
	}
	a.Held++
	a.FrozenUntil = max(a.FrozenUntil, s.EndsAt)
	a.JailedUntil = max(a.JailedUntil, s.JailedUntil)
	if err := k.jailLowBond(ctx, &a); err != nil {
		return 0, err
	}
	if err := errors.Join(k.put(ctx, a), k.putSlash(ctx, s)); err != nil {
		return 0, err
	}
	return id, emit(ctx, &registryv1.EventSlashed{
		Slash: id, NodeKey: a.NodeKey, Cause: s.Cause, Amount: s.Amount, EndsAt: s.EndsAt, JailedUntil: a.JailedUntil,
	})
}

// checkSlash finds the slash's row in the table.
func (k Keeper) checkSlash(p registryv1.Params, x Slash) (rule registryv1.SlashRule, bps uint32, err error) {
	for _, rule = range p.Slashes {
		if rule.Cause == x.Cause {
			break
		}
	}
	bps = max(x.Bps, rule.MinBps)
	switch {
	case x.Cause == "" || rule.Cause != x.Cause:
		return rule, 0, ErrSlash.Wrapf("cause %q is not in the table", x.Cause)
	case x.Bps > rule.MaxBps || x.Bps > 0 && x.Bps < rule.MinBps:
		return rule, 0, ErrSlash.Wrapf("%d basis points for %s, want %d to %d", x.Bps, x.Cause, rule.MinBps, rule.MaxBps)
	case len(x.Method) > MaxText:
		return rule, 0, ErrSlash.Wrapf("method has %d bytes, at most %d", len(x.Method), MaxText)
	case x.Restitution > 0 && (x.Wronged.IsZero() || k.bank.BlockedAddr(x.Wronged[:])):
		return rule, 0, ErrSlash.Wrapf("restitution cannot go to %s", x.Wronged)
	}
	return rule, bps, checkEvidence(x.Evidence, x.Heights)
}

// Reverse gives back all that a slash took, while its window lasts: coins to the pool,
// work credit, and freedom if nothing else keeps the actor in jail.
//
// Errors: ErrNoSlash, ErrEnded, ErrEvidence.
func (k Keeper) Reverse(ctx context.Context, id uint64, evidence []string) error {
	s, a, err := k.heldSlash(ctx, id)
	if err != nil {
		return err
	}
	if err := checkEvidence(evidence, nil); err != nil {
		return err
	}
	p := poolOf(a)
	if err := p.Restore(s.Amount); err != nil {
		return err
	}
	setPool(&a, p)
	s.CounterEvidence = append(s.CounterEvidence, evidence...)
	if err := k.endSlash(ctx, &a, &s, registryv1.SlashState_SLASH_STATE_REVERSED); err != nil {
		return err
	}
	if err := k.restoreCredit(ctx, &a, s.Voided); err != nil {
		return err
	}
	if err := k.rejudge(ctx, &a); err != nil {
		return err
	}
	return errors.Join(k.put(ctx, a), emit(ctx, &registryv1.EventSlashEnded{Slash: id, Reversed: true}))
}

// rejudge finds how long an actor in jail must stay now that a slash is reversed.
func (k Keeper) rejudge(ctx context.Context, a *registryv1.Actor) error {
	if a.JailedUntil == 0 {
		return nil
	}
	a.JailedUntil = a.FirmUntil
	err := k.held.Walk(ctx, collections.NewPrefixedPairRange[uint64, uint64](a.Id), func(key ofNumber) (bool, error) {
		s, err := k.slashes.Get(ctx, key.K2())
		a.JailedUntil = max(a.JailedUntil, s.JailedUntil)
		return false, err
	})
	if err != nil {
		return err
	}
	return k.jailLowBond(ctx, a)
}

// jailLowBond jails an actor whose owner's stake is below the least bond, until it is
// topped up and the owner asks.
func (k Keeper) jailLowBond(ctx context.Context, a *registryv1.Actor) error {
	if a.RetiredAt != 0 {
		return nil
	}
	low, err := k.lowBond(ctx, *a)
	if low {
		a.JailedUntil = max(a.JailedUntil, height(ctx))
	}
	return err
}

// Slash is governance's way to slash.
func (s msgServer) Slash(ctx context.Context, m *registryv1.MsgSlash) (*registryv1.MsgSlashResponse, error) {
	if m.Authority != s.authority {
		return nil, ErrAuthority.Wrapf("%s is not %s", m.Authority, s.authority)
	}
	node, err := essaim.ParseNodeKey(m.NodeKey)
	if err != nil {
		return nil, ErrNodeKey
	}
	x := Slash{
		Node: node, Cause: m.Cause, Bps: m.Bps, Evidence: m.Evidence, Heights: m.Heights, Method: m.Method, Restitution: m.Restitution,
	}
	if m.Wronged != "" {
		if x.Wronged, err = essaim.ParseAddress(m.Wronged); err != nil {
			return nil, ErrSlash.Wrap(err.Error())
		}
	}
	id, err := s.Keeper.Slash(ctx, x)
	if err != nil {
		return nil, err
	}
	slash, err := s.slashes.Get(ctx, id)
	return &registryv1.MsgSlashResponse{Slash: id, Amount: slash.Amount}, err
}

// Reverse is governance's way to reverse.
func (s msgServer) Reverse(ctx context.Context, m *registryv1.MsgReverse) (*registryv1.MsgReverseResponse, error) {
	if m.Authority != s.authority {
		return nil, ErrAuthority.Wrapf("%s is not %s", m.Authority, s.authority)
	}
	return &registryv1.MsgReverseResponse{}, s.Keeper.Reverse(ctx, m.Slash, m.Evidence)
}

// Appeal holds the coins longer, once, so that governance or a dispute can decide.
func (s msgServer) Appeal(ctx context.Context, m *registryv1.MsgAppeal) (*registryv1.MsgAppealResponse, error) {
	slash, a, err := s.heldSlash(ctx, m.Slash)
	if err != nil {
		return nil, err
	}
	params, err := s.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	by, err := essaim.ParseAddress(m.Owner)
	switch {
	case err != nil:
		return nil, ErrOwner.Wrap(err.Error())
	case by.String() != a.Owner:
		return nil, ErrNotOwner.Wrapf("it belongs to %s", a.Owner)
	case slash.Appealed:
		return nil, ErrSlash.Wrapf("%d is appealed already", m.Slash)
	}
	if err := checkEvidence(m.Evidence, nil); err != nil {
		return nil, err
	}
	if err := s.slashesDue.Remove(ctx, collections.Join(uint64(slash.EndsAt), slash.Id)); err != nil {
		return nil, err
	}
	slash.Appealed, slash.CounterEvidence = true, m.Evidence
	slash.EndsAt += int64(params.ExtensionBlocks)
	a.FrozenUntil = max(a.FrozenUntil, slash.EndsAt)
	if err := errors.Join(s.put(ctx, a), s.putSlash(ctx, slash)); err != nil {
		return nil, err
	}
	return &registryv1.MsgAppealResponse{EndsAt: slash.EndsAt}, emit(ctx, &registryv1.EventAppealed{Slash: slash.Id, EndsAt: slash.EndsAt})
}

// heldSlash loads a slash that can still be reversed, and its actor.
func (k Keeper) heldSlash(ctx context.Context, id uint64) (s registryv1.Slash, a registryv1.Actor, err error) {
	s, err = k.slash(ctx, id)
	if err != nil {
		return s, a, err
	}
	if s.State != registryv1.SlashState_SLASH_STATE_HELD || height(ctx) > s.EndsAt {
		return s, a, ErrEnded.Wrapf("%d, at height %d", id, s.EndsAt)
	}
	a, err = k.actors.Get(ctx, s.Actor)
	return s, a, err
}

func (k Keeper) slash(ctx context.Context, id uint64) (registryv1.Slash, error) {
	s, err := k.slashes.Get(ctx, id)
	if errors.Is(err, collections.ErrNotFound) {
		err = ErrNoSlash.Wrapf("%d", id)
	}
	return s, err
}

// putSlash writes a slash and its indexes: a held one is queued for the end of its
// window.
func (k Keeper) putSlash(ctx context.Context, s registryv1.Slash) error {
	due, held := collections.Join(uint64(s.EndsAt), s.Id), collections.Join(s.Actor, s.Id)
	if err := errors.Join(k.slashes.Set(ctx, s.Id, s), k.slashesOf.Set(ctx, held)); err != nil {
		return err
	}
	if s.State == registryv1.SlashState_SLASH_STATE_HELD {
		return errors.Join(k.slashesDue.Set(ctx, due), k.held.Set(ctx, held))
	}
	return errors.Join(k.slashesDue.Remove(ctx, due), k.held.Remove(ctx, held))
}

// endSlash takes a slash out of its window and thaws the pool after the last one. The
// caller puts the actor.
func (k Keeper) endSlash(ctx context.Context, a *registryv1.Actor, s *registryv1.Slash, state registryv1.SlashState) error {
	s.State = state
	if a.Held--; a.Held == 0 {
		a.FrozenUntil = 0
	}
	return k.putSlash(ctx, *s)
}

// endSlashes makes slashes final whose window is over: the wronged first, the rest is
// burned.
func (k Keeper) endSlashes(ctx context.Context) error {
	due, err := dueNow(ctx, k.slashesDue, slashesPerBlock)
	if err != nil {
		return err
	}
	for _, key := range due {
		s, err := k.slashes.Get(ctx, key.K2())
		if err != nil {
			return err
		}
		a, err := k.actors.Get(ctx, s.Actor)
		if err != nil {
			return err
		}
		restitution := min(s.Restitution, s.Amount)
		if err := k.pay(ctx, s.Wronged, restitution); err != nil {
			return err
		}
		burned := s.Amount - restitution
		if burned > 0 {
			if err := k.bank.BurnCoins(ctx, Name, coins(burned)); err != nil {
				return err
			}
		}
		a.FirmUntil = max(a.FirmUntil, s.JailedUntil)
		if err := k.endSlash(ctx, &a, &s, registryv1.SlashState_SLASH_STATE_FINAL); err != nil {
			return err
		}
		event := &registryv1.EventSlashEnded{Slash: s.Id, Restitution: restitution, Burned: burned}
		if err := errors.Join(k.put(ctx, a), emit(ctx, event)); err != nil {
			return err
		}
	}
	return nil
}
