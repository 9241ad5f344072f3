package stake

import (
	"context"
	"slices"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
)

// percent is a part of a whole in hundredths of a percent.
func percent(part, whole essaim.Amount) string {
	if whole == 0 {
		return "0 %"
	}
	for whole >= 1<<50 {
		part, whole = part>>1, whole>>1
	}
	return essaim.Bps(uint64(part) * 10_000 / uint64(whole)).String()
}

// state says in a word whether an actor takes work and stake.
func state(a chainclient.Standing) string {
	switch {
	case a.RetiredAt != 0:
		return "retired"
	case a.JailedUntil != 0:
		return "jailed"
	case a.Held > 0:
		return "frozen"
	case a.AwayFrom != 0:
		return "away"
	}
	return "active"
}

// label is a name for an actor in a sentence.
func label(a chainclient.Standing) string { return string(a.Role) + " " + a.NodeKey.Short() }

// own finds what an account has staked on an actor.
func own(ctx context.Context, chain *chainclient.Client, who essaim.Address, k essaim.NodeKey) (chainclient.Delegation, error) {
	list, err := chain.Delegations(ctx, who)
	if i := slices.IndexFunc(list, func(d chainclient.Delegation) bool { return d.Actor == k }); i >= 0 {
		return list[i], err
	}
	return chainclient.Delegation{Actor: k, Delegator: who}, err
}
