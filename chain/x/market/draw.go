package market

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/bits"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

// drawDelay is how many blocks after a settlement the beacon decides about it: the votes
// that make that beacon are cast when the settlement can be changed no more.
const drawDelay = 2

// lot is the i-th random number that a beacon has for a session.
func lot(beacon [32]byte, session uint64, i uint32) (hi, lo uint64) {
	b := append([]byte("essaim/market/opening/v1"), 0)
	b = append(b, beacon[:]...)
	b = binary.BigEndian.AppendUint64(b, session)
	h := sha256.Sum256(binary.BigEndian.AppendUint32(b, i))
	return binary.BigEndian.Uint64(h[:8]), binary.BigEndian.Uint64(h[8:16])
}

// below reduces a random number to less than n; of 128 bits the bias is below 2⁻⁶⁴.
func below(hi, lo, n uint64) uint64 {
	_, rest := bits.Div64(hi%n, lo, n)
	return rest
}

// ask draws the settlements that coordinators must show leaves of, and the points that the
// leaves must cover: weighted by amount. A beacon that is not kept any more asks nothing.
func (k Keeper) ask(ctx context.Context, height uint64) error {
	due, err := head(ctx, k.asks, height, asksPerBlock)
	if err != nil {
		return err
	}
	for _, key := range due {
		if err := k.asks.Remove(ctx, key); err != nil {
			return err
		}
		beacon, ok, err := k.Beacon.At(ctx, int64(key.K1()))
		if err != nil {
			return err
		}
		if ok {
			if err := k.askAbout(ctx, key.K2(), beacon); err != nil {
				return err
			}
		}
	}
	return nil
}

func (k Keeper) askAbout(ctx context.Context, id uint64, beacon [32]byte) error {
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	if hi, lo := lot(beacon, id, 0); below(hi, lo, uint64(essaim.BpsWhole)) >= uint64(p.OpeningBps) {
		return nil
	}
	session, out, err := k.settledSession(ctx, id)
	if err != nil {
		return err
	}
	due, err := k.answerBy(ctx, p, session)
	if err != nil {
		return err
	}
	for i := range p.Openings {
		hi, lo := lot(beacon, id, i+1)
		d := marketv1.Draw{Session: id, Index: i, Point: below(hi, lo, uint64(essaim.SumRoot(out.Root).Sum())), Due: due}
		if err := k.putDraw(ctx, session, d); err != nil {
			return err
		}
	}
	return emit(ctx, &marketv1.EventAsked{Session: id, Coordinator: session.Coordinator, Draws: p.Openings, Due: due})
}

// answerBy is the height by which a draw of this block is to be answered. Maintenance that
// was announced before the draw and begins before the answer is due comes first; what is
// announced later is no excuse. Announcing bounds itself, and miners keep time to claim.
func (k Keeper) answerBy(ctx context.Context, p marketv1.Params, session marketv1.Session) (int64, error) {
	now := sdk.UnwrapSDKContext(ctx).BlockHeight()
	due := now + int64(p.OpeningBlocks)
	node, err := essaim.ParseNodeKey(session.Coordinator)
	if err != nil {
		return 0, err
	}
	a, _, err := k.Registry.Actor(ctx, node)
	if err != nil {
		return 0, err
	}
	if a.AwayFrom < due && a.AwayUntil > now {
		due = max(due, min(a.AwayUntil+int64(p.OpeningBlocks), session.ContestUntil-int64(p.OpeningBlocks)))
	}
	return due, nil
}

// putDraw writes a draw and its indexes.
func (k Keeper) putDraw(ctx context.Context, session marketv1.Session, d marketv1.Draw) error {
	node, err := essaim.ParseNodeKey(session.Coordinator)
	if err != nil {
		return err
	}
	return errors.Join(
		k.draws.Set(ctx, collections.Join(d.Session, d.Index), d),
		k.asked.Set(ctx, collections.Join(node[:], d.Session)),
		k.drawsDue.Set(ctx, collections.Join(uint64(d.Due), d.Session)),
	)
}

func (k Keeper) draw(ctx context.Context, key collections.Pair[uint64, uint32]) (marketv1.Draw, error) {
	d, err := k.draws.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		err = ErrDraw.Wrapf("session %d, draw %d", key.K1(), key.K2())
	}
	return d, err
}

// drawsOf are a session's unanswered draws.
func (k Keeper) drawsOf(ctx context.Context, session uint64) (out []marketv1.Draw, err error) {
	err = k.draws.Walk(ctx, collections.NewPrefixedPairRange[uint64, uint32](session), func(_ collections.Pair[uint64, uint32], d marketv1.Draw) (bool, error) {
		out = append(out, d)
		return false, nil
	})
	return out, err
}

// answered forgets a draw, and after the last one that the session was asked about.
func (k Keeper) answered(ctx context.Context, session marketv1.Session, d marketv1.Draw) error {
	if err := k.draws.Remove(ctx, collections.Join(d.Session, d.Index)); err != nil {
		return err
	}
	left, err := k.drawsOf(ctx, d.Session)
	if err != nil || len(left) > 0 {
		return err
	}
	node, err := essaim.ParseNodeKey(session.Coordinator)
	if err != nil {
		return err
	}
	return errors.Join(
		k.asked.Remove(ctx, collections.Join(node[:], d.Session)),
		k.drawsDue.Remove(ctx, collections.Join(uint64(d.Due), d.Session)),
	)
}

// silences ends draws that were not answered in time.
func (k Keeper) silences(ctx context.Context, height uint64) error {
	due, err := head(ctx, k.drawsDue, height, silencesPerBlock)
	if err != nil {
		return err
	}
	for _, key := range due {
		if err := k.silence(ctx, key.K2()); err != nil {
			return err
		}
	}
	return nil
}

// silence gives what waits of a session back to the payer. That the leaves cannot be shown
// does not prove them false: the coordinator pays for a missed duty, not for a lie, and the
// miners' acknowledgements hold.
func (k Keeper) silence(ctx context.Context, id uint64) error {
	session, out, err := k.settledSession(ctx, id)
	if err != nil {
		return err
	}
	missed, err := k.drawsOf(ctx, id)
	if err != nil {
		return err
	}
	for _, d := range missed {
		if err := k.answered(ctx, session, d); err != nil {
			return err
		}
	}
	event := &marketv1.EventSilent{Session: id, Coordinator: session.Coordinator, Unanswered: uint32(len(missed)), Refunded: out.Pending}
	if out.Pending > 0 {
		if err := k.voidAll(ctx, session, &out); err != nil {
			return err
		}
	}
	node, err := essaim.ParseNodeKey(session.Coordinator)
	if err != nil {
		return err
	}
	if event.Slash, err = k.Registry.Silent(ctx, Fault{Coordinator: node, Evidence: essaim.DigestOf(out.Root), Height: out.Height}); err != nil {
		return err
	}
	if err := k.count(ctx, session.Coordinator, func(r *marketv1.Record) { r.Silent++ }); err != nil {
		return err
	}
	return emit(ctx, event)
}

// voidAll gives all that waits of a session back to its payer.
func (k Keeper) voidAll(ctx context.Context, session marketv1.Session, out *marketv1.Settlement) error {
	payer, err := essaim.ParseAddress(session.Payer)
	if err != nil {
		return err
	}
	lines, err := k.linesOf(ctx, session.Id)
	if err != nil {
		return err
	}
	for _, l := range lines {
		if void(&l, waiting(l)) == 0 {
			continue
		}
		if err := k.putLine(ctx, l); err != nil {
			return err
		}
	}
	var back payouts
	back.add(payout{to: payer, reason: ReasonVoid, amount: essaim.Amount(out.Pending)})
	_, err = k.payLater(ctx, session, out, back)
	return err
}
