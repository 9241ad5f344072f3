package market

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

// ofSession is what a session says of one miner's work with one model.
type ofSession = collections.Triple[uint64, []byte, []byte]

var ofSessionKey = collections.TripleKeyCodec(collections.Uint64Key, collections.BytesKey, collections.BytesKey)

func lineKey(session uint64, miner essaim.NodeKey, model essaim.Digest) ofSession {
	return collections.Join3(session, miner[:], model[:])
}

// record is how a coordinator has kept its word; of one without sessions, nothing.
func (k Keeper) record(ctx context.Context, node essaim.NodeKey) (marketv1.Record, error) {
	r, err := k.records.Get(ctx, node[:])
	if errors.Is(err, collections.ErrNotFound) {
		return marketv1.Record{Coordinator: node.String(), Paid: math.ZeroInt()}, nil
	}
	return r, err
}

// count changes a coordinator's record.
func (k Keeper) count(ctx context.Context, coordinator string, change func(*marketv1.Record)) error {
	node, err := essaim.ParseNodeKey(coordinator)
	if err != nil {
		return err
	}
	r, err := k.record(ctx, node)
	if err != nil {
		return err
	}
	change(&r)
	return k.records.Set(ctx, node[:], r)
}

// deposits is the sum of a coordinator's open sessions' deposits.
func (k Keeper) deposits(ctx context.Context, node essaim.NodeKey) (uint64, error) {
	sum, err := k.open.Get(ctx, node[:])
	if errors.Is(err, collections.ErrNotFound) {
		err = nil
	}
	return sum, err
}

// opened, added and closed keep the sum. It cannot overflow: all of it is coins in escrow.
func (k Keeper) opened(ctx context.Context, s marketv1.Session) error {
	return k.added(ctx, s.Coordinator, s.Deposit)
}

func (k Keeper) added(ctx context.Context, coordinator string, amount uint64) error {
	node, err := essaim.ParseNodeKey(coordinator)
	if err != nil {
		return err
	}
	sum, err := k.deposits(ctx, node)
	if err != nil {
		return err
	}
	return k.open.Set(ctx, node[:], sum+amount)
}

// closed takes a session that is over out of the sum, and queues what is kept of it for
// removal.
func (k Keeper) closed(ctx context.Context, s marketv1.Session) error {
	node, err := essaim.ParseNodeKey(s.Coordinator)
	if err != nil {
		return err
	}
	sum, err := k.deposits(ctx, node)
	if err != nil {
		return err
	}
	if sum -= s.Deposit; sum == 0 {
		err = k.open.Remove(ctx, node[:])
	} else {
		err = k.open.Set(ctx, node[:], sum)
	}
	if err != nil {
		return err
	}
	return k.contest(ctx, s)
}

// contest queues a session for the end of the time in which it can be contested.
func (k Keeper) contest(ctx context.Context, s marketv1.Session) error {
	return k.ends.Set(ctx, collections.Join(uint64(s.ContestUntil), s.Id))
}

// end gives a session its last state. How long it can be contested is decided now, for
// good: until then its lines are there to be compared with.
func (k Keeper) end(ctx context.Context, s *marketv1.Session, state marketv1.State) error {
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	s.State, s.Ended = state, sdk.UnwrapSDKContext(ctx).BlockHeight()
	s.ContestUntil = s.Ended + int64(p.ClaimBlocks)
	if err := k.put(ctx, *s); err != nil {
		return err
	}
	return k.closed(ctx, *s)
}

// forget removes what was kept of sessions that cannot be contested any more: a limited
// amount, the next block goes on.
func (k Keeper) forget(ctx context.Context, height uint64) error {
	left := removalsPerBlock
	var due []collections.Pair[uint64, uint64]
	err := k.ends.Walk(ctx, nil, func(key collections.Pair[uint64, uint64]) (bool, error) {
		if key.K1() > height || len(due) == left {
			return true, nil
		}
		due = append(due, key)
		return false, nil
	})
	if err != nil {
		return err
	}
	for _, key := range due {
		if waits, err := k.unfinished(ctx, key.K2()); err != nil {
			return err
		} else if waits {
			continue // what is due before has fallen behind
		}
		if left, err = k.forgetSession(ctx, key.K2(), left); err != nil {
			return err
		}
		if left == 0 {
			return nil
		}
		if err := k.ends.Remove(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// unfinished reports whether a session is still to be paid out, or asked about.
func (k Keeper) unfinished(ctx context.Context, id uint64) (bool, error) {
	s, err := k.sessions.Get(ctx, id)
	if err != nil || s.State != marketv1.State_STATE_SETTLED {
		return s.State == marketv1.State_STATE_LAPSED, err
	}
	out, err := k.settlements.Get(ctx, id)
	if err != nil || out.Pending > 0 {
		return true, err
	}
	draws, err := k.drawsOf(ctx, id)
	return len(draws) > 0, err
}

// forgetSession removes at most so many lines, claims and convictions and returns what is
// left of the number; 0 says that there may be more.
func (k Keeper) forgetSession(ctx context.Context, session uint64, left int) (int, error) {
	prefix := collections.NewPrefixedTripleRange[uint64, []byte, []byte](session)
	left, err := trim(ctx, k.lines, prefix, left)
	if err != nil {
		return 0, err
	}
	if left, err = trim(ctx, k.claims, prefix, left); err != nil {
		return 0, err
	}
	return trim(ctx, k.convictions, collections.NewPrefixedPairRange[uint64, uint64](session), left)
}

// trim removes at most so many entries of a range.
func trim[K, V any](ctx context.Context, m collections.Map[K, V], r collections.Ranger[K], left int) (int, error) {
	var keys []K
	if left == 0 {
		return 0, nil
	}
	if err := m.Walk(ctx, r, func(key K, _ V) (bool, error) {
		keys = append(keys, key)
		return len(keys) == left, nil
	}); err != nil {
		return 0, err
	}
	for _, key := range keys {
		if err := m.Remove(ctx, key); err != nil {
			return 0, err
		}
	}
	return left - len(keys), nil
}
