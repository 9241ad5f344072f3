package registry

import (
	"context"
	"strings"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/registryv1"
	"github.com/essaim/essaim/verify/trust"
)

// check refuses an actor that no state may hold, whoever asks for it, and spells its
// keys and addresses in their one stored form.
func check(a *registryv1.Actor) (essaim.NodeKey, error) {
	node, err := essaim.ParseNodeKey(a.NodeKey)
	if err != nil || node.IsZero() {
		return node, ErrNodeKey
	}
	owner, err := essaim.ParseAddress(a.Owner)
	if err != nil {
		return node, ErrOwner.Wrap(err.Error())
	}
	if a.Role != registryv1.Role_ROLE_MINER && a.Role != registryv1.Role_ROLE_COORDINATOR {
		return node, ErrRole
	}
	a.NodeKey, a.Owner = node.String(), owner.String()
	switch n := len(a.HpkeKey); {
	case n > MaxHPKEKey:
		return node, ErrHPKEKey.Wrapf("%d bytes, at most %d", n, MaxHPKEKey)
	case n == 0 && a.Role == registryv1.Role_ROLE_MINER:
		return node, ErrHPKEKey.Wrap("a miner needs one: prompts are sealed to it")
	}
	if a.CommissionBps > 10_000 || a.CommissionChangeBps > 10_000 {
		return node, ErrCommission.Wrapf("%d basis points, changing by %d", a.CommissionBps, a.CommissionChangeBps)
	}
	if err := checkOffers(a.Offers); err != nil {
		return node, err
	}
	return node, checkGateway(a)
}

func checkOffers(offers []registryv1.Offer) error {
	if len(offers) > MaxOffers {
		return ErrOffer.Wrapf("%d models, at most %d", len(offers), MaxOffers)
	}
	seen := map[essaim.Digest]bool{}
	for i := range offers {
		d, err := essaim.ParseDigest(offers[i].Model)
		switch {
		case err != nil:
			return ErrOffer.Wrap(err.Error())
		case seen[d]:
			return ErrOffer.Wrapf("model %s twice", d)
		}
		seen[d], offers[i].Model = true, d.String()
	}
	return nil
}

// checkGateway checks what only coordinators have.
func checkGateway(a *registryv1.Actor) error {
	if a.Role == registryv1.Role_ROLE_MINER {
		switch {
		case a.FeeBps != 0:
			return ErrFee.Wrap("a miner takes none: it sets a price")
		case a.Url != "":
			return ErrURL.Wrap("a miner has none: it only dials out")
		}
		return nil
	}
	if a.FeeBps > MaxFee {
		return ErrFee.Wrapf("%d basis points, at most %d", a.FeeBps, MaxFee)
	}
	if a.Url == "" {
		return nil
	}
	outside := func(r rune) bool { return r <= ' ' || r > '~' }
	if len(a.Url) > MaxURL || strings.ContainsFunc(a.Url, outside) ||
		!strings.HasPrefix(a.Url, "https://") && !strings.HasPrefix(a.Url, "http://") {
		return ErrURL.Wrapf("want http:// or https:// and at most %d characters of ASCII", MaxURL)
	}
	return nil
}

// checkModels refuses offers of models that the ledger does not list.
func (k Keeper) checkModels(ctx context.Context, offers []registryv1.Offer) error {
	for _, o := range offers {
		d, err := essaim.ParseDigest(o.Model)
		if err != nil {
			return ErrOffer.Wrap(err.Error())
		}
		switch _, ok, err := k.models.Model(ctx, d); {
		case err != nil:
			return err
		case !ok:
			return ErrOffer.Wrapf("model %s is not registered", d)
		}
	}
	return nil
}

// checkParams refuses parameters that would let bonds go back in the block they came in,
// that would pay more for work than was paid for it, or a slash table without sense.
func checkParams(p registryv1.Params) error {
	switch {
	case p.UnbondingBlocks == 0:
		return ErrParams.Wrap("unbonding_blocks must be at least 1")
	case p.EmissionBps >= 10_000:
		return ErrParams.Wrap("emission_bps must be below 10000: paying oneself must lose")
	case p.CommissionChangeBps > 10_000:
		return ErrParams.Wrap("commission_change_bps is at most 10000")
	case len(p.Slashes) > MaxRules:
		return ErrParams.Wrapf("%d rows in the slash table, at most %d", len(p.Slashes), MaxRules)
	}
	seen := map[string]bool{}
	for _, r := range p.Slashes {
		if r.Cause == "" || len(r.Cause) > MaxText || seen[r.Cause] || r.MinBps > r.MaxBps || r.MaxBps > 10_000 {
			return ErrParams.Wrapf("slash table: row %q is empty, repeated or out of range", r.Cause)
		}
		seen[r.Cause] = true
	}
	return nil
}

// checkDeterrence refuses a slash table under which cheating would pay at the rate at which
// results are audited. No chain begins with one, and governance may not change to one; docs/economics.md has the inequality.
func checkDeterrence(p registryv1.Params) error {
	slash := essaim.Bps(0)
	for _, r := range p.Slashes {
		if r.Cause == CauseWrongResult {
			slash = essaim.Bps(r.MinBps)
		}
	}
	if least, ok := trust.Deters(slash, trust.ShareExact); !ok {
		return ErrParams.Wrapf("slash table: %s of the stake for %s does not deter while %s of results are audited: at least %s does", slash, CauseWrongResult, trust.ShareExact, least)
	}
	return nil
}

// checkEvidence refuses evidence that is not there or too much to keep.
func checkEvidence(cids []string, heights []int64) error {
	if len(cids) == 0 || len(cids) > MaxEvidence || len(heights) > MaxEvidence {
		return ErrEvidence.Wrapf("%d CIDs and %d heights, want 1 to %d and at most %d", len(cids), len(heights), MaxEvidence, MaxEvidence)
	}
	for _, c := range cids {
		if c == "" || len(c) > MaxText {
			return ErrEvidence.Wrapf("a CID has 1 to %d bytes", MaxText)
		}
	}
	return nil
}
