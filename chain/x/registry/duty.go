package registry

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// Missed counts a duty that a node did not do. Silence is never wrong and costs no stake here;
// more than missed_max within missed_blocks jails. Nothing counts while the actor is
// away as announced, jailed or retired.
//
// Errors: ErrNotFound.
func (k Keeper) Missed(ctx context.Context, node essaim.NodeKey) error {
	a, err := k.byKey(ctx, node)
	if err != nil {
		return err
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	now := height(ctx)
	away := a.AwayFrom <= now && now < a.AwayUntil
	if away || a.JailedUntil != 0 || a.RetiredAt != 0 || p.MissedBlocks == 0 {
		return nil
	}
	if now-a.MissedSince >= int64(p.MissedBlocks) {
		a.Missed, a.MissedSince = 0, now
	}
	if a.Missed++; a.Missed > p.MissedMax {
		a.Missed = 0
		a.FirmUntil = now + int64(p.MissedJailBlocks)
		a.JailedUntil = a.FirmUntil
		if err := emit(ctx, &registryv1.EventJailed{NodeKey: a.NodeKey, Reason: "missed duties", Until: a.JailedUntil}); err != nil {
			return err
		}
	}
	return k.put(ctx, a)
}

// Away announces maintenance ahead of time. One at a time; what has not begun, or is
// under way, is taken back with 0 to 0.
func (s msgServer) Away(ctx context.Context, m *registryv1.MsgAway) (*registryv1.MsgAwayResponse, error) {
	a, err := s.active(ctx, m.NodeKey, m.Owner)
	if err != nil {
		return nil, err
	}
	p, err := s.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	now := height(ctx)
	takenBack := m.From == 0 && m.Until == 0
	switch {
	case takenBack:
	case a.AwayUntil > now:
		return nil, ErrAway.Wrapf("announced already, until height %d", a.AwayUntil)
	case m.From < now+int64(p.AwayNoticeBlocks):
		return nil, ErrAway.Wrapf("from height %d, at the earliest %d", m.From, now+int64(p.AwayNoticeBlocks))
	case m.Until <= m.From || m.Until-m.From > int64(p.AwayBlocks):
		return nil, ErrAway.Wrapf("%d blocks, want 1 to %d", m.Until-m.From, p.AwayBlocks)
	}
	a.AwayFrom, a.AwayUntil = m.From, m.Until
	return &registryv1.MsgAwayResponse{}, s.put(ctx, a)
}

// Unjail puts an actor back to work once its time is served and its bond suffices.
func (s msgServer) Unjail(ctx context.Context, m *registryv1.MsgUnjail) (*registryv1.MsgUnjailResponse, error) {
	a, err := s.active(ctx, m.NodeKey, m.Owner)
	if err != nil {
		return nil, err
	}
	switch low, err := s.lowBond(ctx, a); {
	case err != nil:
		return nil, err
	case a.JailedUntil == 0:
		return nil, ErrNotJailed.Wrap(a.NodeKey)
	case height(ctx) < a.JailedUntil:
		return nil, ErrJailed.Wrapf("until height %d", a.JailedUntil)
	case low:
		return nil, ErrBond.Wrap("it was slashed below the least bond: add to it first")
	}
	a.JailedUntil, a.Missed = 0, 0
	return &registryv1.MsgUnjailResponse{}, errors.Join(s.put(ctx, a), emit(ctx, &registryv1.EventUnjailed{NodeKey: a.NodeKey}))
}

// RotateKey gives the machine another node key. The old one still resolves to the actor
// for rotation_blocks, so that what it has signed can be settled.
func (s msgServer) RotateKey(ctx context.Context, m *registryv1.MsgRotateKey) (*registryv1.MsgRotateKeyResponse, error) {
	a, err := s.active(ctx, m.NodeKey, m.Owner)
	if err != nil {
		return nil, err
	}
	p, err := s.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	owner, err := essaim.ParseAddress(a.Owner)
	if err != nil {
		return nil, err
	}
	node, err := essaim.ParseNodeKey(m.NewKey)
	if err != nil || node.IsZero() {
		return nil, ErrNodeKey
	}
	if a.OldKey != "" {
		return nil, ErrRotation.Wrapf("the key before still answers until height %d", a.OldKeyUntil)
	}
	if err := s.checkKey(ctx, a, owner, node, m.Possession); err != nil {
		return nil, err
	}
	old, err := essaim.ParseNodeKey(a.NodeKey)
	if err != nil {
		return nil, err
	}
	a.OldKey, a.NodeKey = a.NodeKey, node.String()
	a.OldKeyUntil = height(ctx) + int64(p.RotationBlocks)
	if err := errors.Join(
		s.keys.Set(ctx, node[:], a.Id),
		s.keyEnds.Set(ctx, collections.Join(uint64(a.OldKeyUntil), old[:])),
		s.put(ctx, a),
	); err != nil {
		return nil, err
	}
	event := &registryv1.EventRotated{OldKey: a.OldKey, NewKey: a.NodeKey, OverlapUntil: a.OldKeyUntil}
	return &registryv1.MsgRotateKeyResponse{OverlapUntil: a.OldKeyUntil}, emit(ctx, event)
}

// endKeys forgets replaced node keys whose overlap is over.
func (k Keeper) endKeys(ctx context.Context) error {
	var due []ofActor
	now := uint64(height(ctx))
	err := k.keyEnds.Walk(ctx, nil, func(key ofActor) (bool, error) {
		if key.K1() > now || len(due) == keysPerBlock {
			return true, nil
		}
		due = append(due, key)
		return false, nil
	})
	if err != nil {
		return err
	}
	for _, key := range due {
		id, err := k.keys.Get(ctx, key.K2())
		if err != nil {
			return err
		}
		a, err := k.actors.Get(ctx, id)
		if err != nil {
			return err
		}
		if err := k.endKey(ctx, &a); err != nil {
			return err
		}
		if err := k.put(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// endKey forgets an actor's replaced node key. The caller puts the actor.
func (k Keeper) endKey(ctx context.Context, a *registryv1.Actor) error {
	old, err := essaim.ParseNodeKey(a.OldKey)
	if err != nil {
		return err
	}
	due := collections.Join(uint64(a.OldKeyUntil), old[:])
	a.OldKey, a.OldKeyUntil = "", 0
	return errors.Join(k.keys.Remove(ctx, old[:]), k.keyEnds.Remove(ctx, due))
}
