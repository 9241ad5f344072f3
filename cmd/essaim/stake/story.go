package stake

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	chainclient "github.com/essaim/essaim/chain/client"
	"github.com/essaim/essaim/chain/x/registry"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/devnet"
)

// The chapters of demo-stake, in their order.

func (d *demo) stake(ctx context.Context) (err error) {
	if d.accused, err = d.miner(ctx, 0); err != nil {
		return err
	}
	if d.dead, err = d.miner(ctx, 2); err != nil {
		return err
	}
	user := d.net.Account(devnet.User)
	if _, err := d.chain.Trial().Delegate(ctx, user, d.accused.NodeKey, userStake, false); err != nil {
		return err
	}
	tx, err := d.chain.Delegate(ctx, user, d.accused.NodeKey, userStake, false)
	if err != nil {
		return err
	}
	d.Say("the user stakes %s on miner %s, which raises its chance of work: transaction %.8s…, height %d", aim(userStake), d.accused.NodeKey.Short(), tx.Hash, tx.Height)
	after, err := d.chain.Standing(ctx, d.accused.NodeKey)
	if err != nil {
		return err
	}
	if err := d.OK(after.Stake == d.accused.Stake+userStake && after.Bond == d.accused.Bond, "its stake is %s, of which the bond is %s", aim(after.Stake), aim(after.Bond)); err != nil {
		return err
	}
	coordinators, err := d.chain.Standings(ctx, essaim.RoleCoordinator, 1)
	if err != nil {
		return err
	}
	if _, err := d.chain.Delegate(ctx, d.net.Account(whale), coordinators[0].NodeKey, whaleStake, false); err != nil {
		return err
	}
	power, err := d.chain.VotingPower(ctx, d.net.Account(whale).Address())
	if err != nil {
		return err
	}
	return d.OK(power.Stake*10 == power.TotalStake*6, "a whale stakes on the coordinator: %s are 60 %% of all stake, pools and validators", aim(power.Stake))
}

// draw draws one picture in a session of its own and settles it.
func (d *demo) draw(ctx context.Context) (*client.Picture, essaim.Settled, error) {
	user := d.net.Account(devnet.User)
	cfg := client.Config{Coordinator: d.net.Coordinator(), Ledger: devnet.Payer(d.chain, user), ChainID: d.net.Info().ChainID}
	session, err := client.Open(ctx, cfg, 10_000)
	if err != nil {
		return nil, essaim.Settled{}, err
	}
	request := d.drawn
	request.Deadline = time.Now().Add(30 * time.Second)
	picture, err := session.Draw(ctx, request, nil)
	if err != nil {
		return nil, essaim.Settled{}, err
	}
	settled, err := session.Close(ctx)
	return picture, settled, err
}

func (d *demo) work(ctx context.Context) error {
	info, err := d.net.Coordinator().Info(ctx)
	if err != nil {
		return err
	}
	d.drawn = client.Request{Model: info.Models[0].Digest, Prompt: "a red apple", Seed: 7}
	var earned essaim.Amount
	for tries := 0; d.picture == nil; tries++ {
		if tries == 12 {
			return d.OK(false, "one of 12 pictures is drawn by the miner with 6 of 8 parts of the stake")
		}
		picture, settled, err := d.draw(ctx)
		if err != nil {
			return err
		}
		r := picture.Receipt
		d.Say("miner %s draws “%s”, seed %d; transaction %.8s… pays", r.Miner.Short(), d.drawn.Prompt, d.drawn.Seed, settled.Tx.Hash)
		if r.Miner != d.accused.NodeKey {
			continue
		}
		d.picture = picture
		for _, p := range settled.Tx.Payments {
			if p.Reason == "miner" {
				earned += p.Amount
			}
		}
	}
	mine, err := own(ctx, d.chain, d.net.Account(devnet.User).Address(), d.accused.NodeKey)
	if err != nil {
		return err
	}
	share := earned * 5 / 6 // 5,000 of 6,000 AIM, without commission
	got, tx, err := d.chain.Claim(ctx, d.net.Account(devnet.User), essaim.NodeKey{})
	if err != nil {
		return err
	}
	if err := d.OK(got.Paid == mine.Reward && share-got.Paid <= 1, "the miner earned %s; the user has 5 of 6 parts of its stake and claims %s", earned, got.Paid); err != nil {
		return err
	}
	d.Say("transaction %.8s…, height %d; nobody had to pay them out", tx.Hash, tx.Height)
	power, err := d.chain.VotingPower(ctx, d.accused.Owner)
	if err != nil {
		return err
	}
	return d.OK(power.Work > 0, "protocol fees on its work, %s, are its owner's voice in the house of work", power.Work)
}

func (d *demo) votes(ctx context.Context) error {
	if err := d.kill(ctx); err != nil {
		return err
	}
	by := d.net.Account(devnet.User)
	receipt := essaim.CIDOf(essaim.DigestOf(d.picture.ReceiptFile))
	deposit, err := d.chain.LeastDeposit(ctx, false)
	if err != nil {
		return err
	}
	draft := func(title string) chainclient.Draft {
		return chainclient.Draft{Title: title, Summary: "A part of the story that demo-stake tells.", Deposit: deposit}
	}
	first, _, err := d.chain.ProposeSlash(ctx, by, draft("Miner "+d.dead.NodeKey.Short()+" is gone"), chainclient.Slash{
		Actor: d.dead.NodeKey, Cause: registry.CauseMissedDuty, Evidence: []string{essaim.CIDOf(essaim.DigestOf(d.statement))}, Method: "the coordinator lists who is connected",
	})
	if err != nil {
		return err
	}
	second, _, err := d.chain.ProposeSlash(ctx, by, draft("Miner "+d.accused.NodeKey.Short()+" lied"), chainclient.Slash{
		Actor: d.accused.NodeKey, Cause: registry.CauseWrongResult, Evidence: []string{receipt}, Method: "somebody says so",
	})
	if err != nil {
		return err
	}
	third, _, err := d.chain.ProposeSpend(ctx, d.net.Account(whale), draft("A present for the whale"), d.net.Account(whale).Address(), essaim.AIM)
	if err != nil {
		return err
	}
	d.Say("proposal %d: slash %s for missed_duty; evidence: the coordinator's own list of miners, without it", first, d.dead.NodeKey.Short())
	d.Say("proposal %d: slash %s for wrong_result; evidence: the picture's receipt, %.16s…", second, d.accused.NodeKey.Short(), receipt)
	d.Say("proposal %d: pay the whale from the community pool", third)
	d.Say("six people vote: yes, yes (they believe it), no; the whale: nothing, nothing, yes")
	if d.before, err = d.chain.Standing(ctx, d.accused.NodeKey); err != nil {
		return err
	}
	if err := d.vote(ctx, ballot{first, "yes", ""}, ballot{second, "yes", ""}, ballot{third, "no", "yes"}); err != nil {
		return err
	}
	if err := d.slashed(ctx, first, d.dead, &d.fair); err != nil {
		return err
	}
	if err := d.slashed(ctx, second, d.accused, &d.foul); err != nil {
		return err
	}
	return d.whaleLoses(ctx, third)
}

// kill ends a miner's process and keeps what the coordinator says then.
func (d *demo) kill(ctx context.Context) error {
	cmd := d.children[2]
	if err := cmd.Process.Kill(); err != nil {
		return err
	}
	_ = cmd.Wait()
	if err := d.connected(ctx, 2); err != nil {
		return err
	}
	info, err := d.net.Coordinator().Info(ctx)
	if err != nil {
		return err
	}
	if d.statement, err = json.Marshal(info); err != nil {
		return err
	}
	return d.OK(info.Miners == 2, "miner %s, pid %d, is killed: the coordinator lists two miners", d.dead.NodeKey.Short(), cmd.Process.Pid)
}

// slashed waits until a proposal to slash has passed, and checks what it did.
func (d *demo) slashed(ctx context.Context, proposal uint64, a chainclient.Standing, into *chainclient.Slash) error {
	p, err := d.decided(ctx, proposal)
	if err != nil {
		return err
	}
	list, err := d.chain.Slashes(ctx, a.NodeKey)
	if err != nil {
		return err
	}
	if p.Status != "passed" || len(list) != 1 || p.Outcome == nil {
		return d.OK(false, "proposal %d is %s %s, and miner %s has %d slashes", proposal, p.Status, p.Failure, a.NodeKey.Short(), len(list))
	}
	*into = list[0]
	now, err := d.chain.Standing(ctx, a.NodeKey)
	if err != nil {
		return err
	}
	d.Say("")
	d.Say("proposal %d passed:", proposal)
	if err := d.houses(*p.Outcome); err != nil {
		return err
	}
	want := into.Part.Of(now.Pool + into.Amount)
	return d.OK(p.Outcome.Work.Seated && into.Amount == want, "slash %d took %s, %s of the whole pool, at height %d; the coins are held until %d, the pool is frozen, and the miner is %s",
		into.ID, into.Amount, into.Part, into.At, into.EndsAt, state(now))
}

func (d *demo) whaleLoses(ctx context.Context, proposal uint64) error {
	p, err := d.decided(ctx, proposal)
	if err != nil {
		return err
	}
	if p.Outcome == nil {
		return d.OK(false, "proposal %d was voted on", proposal)
	}
	d.Say("")
	d.Say("proposal %d, the whale's, is %s:", proposal, p.Status)
	if err := d.houses(*p.Outcome); err != nil {
		return err
	}
	o := p.Outcome
	return d.OK(p.Status == "rejected" && o.Capped[d.net.Account(whale).Address().String()] == whaleStake,
		"the whale has 60 %% of all stake, and counts %s in its house: as much as the cap lets it, %s; work does not speak for it", percent(o.Cap, o.Stake.Counted), aim(o.Cap))
}

func (d *demo) appeal(ctx context.Context) error {
	// The coordinator asks the ledger every few seconds who may work.
	if err := d.connected(ctx, 1); err != nil {
		return err
	}
	d.Say("miner %s is in jail, and the coordinator has sent it away; the same task is drawn again, by another", d.accused.NodeKey.Short())
	again, _, err := d.draw(ctx)
	if err != nil {
		return err
	}
	if err := d.OK(again.Receipt.Miner != d.accused.NodeKey && slices.Equal(again.Data, d.picture.Data), "miner %s gives the same picture, byte for byte: the accused did not lie", again.Receipt.Miner.Short()); err != nil {
		return err
	}
	evidence := []string{essaim.CIDOf(essaim.DigestOf(again.ReceiptFile))}
	owner := d.net.Account("miner-1")
	ends, _, err := d.chain.Appeal(ctx, owner, d.foul.ID, evidence)
	if err != nil {
		return err
	}
	d.Say("its owner appeals slash %d with that receipt, %.16s…; the coins stay until height %d", d.foul.ID, evidence[0], ends)
	deposit, err := d.chain.LeastDeposit(ctx, true)
	if err != nil {
		return err
	}
	draft := chainclient.Draft{Title: "It did not lie", Summary: "The same task gives the same bytes elsewhere.", Deposit: deposit, Expedited: true}
	id, _, err := d.chain.ProposeReverse(ctx, owner, draft, d.foul.ID, evidence)
	if err != nil {
		return err
	}
	d.Say("proposal %d, expedited: reverse it; all vote yes", id)
	if err := d.vote(ctx, ballot{id, "yes", "yes"}); err != nil {
		return err
	}
	p, err := d.decided(ctx, id)
	if err != nil {
		return err
	}
	x, err := d.chain.Slash(ctx, d.foul.ID)
	if err != nil {
		return err
	}
	now, err := d.chain.Standing(ctx, d.accused.NodeKey)
	if err != nil {
		return err
	}
	if err := d.OK(p.Status == "passed" && x.State == chainclient.SlashReversed, "proposal %d passed: slash %d is %s", id, x.ID, x.State); err != nil {
		return err
	}
	return d.OK(now.Stake == d.before.Stake && now.Bond == d.before.Bond && state(now) == "active", "every share has back exactly what it lost: its stake is %s again, it is %s, and its pool is open", aim(now.Stake), state(now))
}

func (d *demo) leave(ctx context.Context) error {
	user := d.net.Account(devnet.User)
	due, tx, err := d.chain.Undelegate(ctx, user, d.accused.NodeKey, 0)
	if err != nil {
		return err
	}
	d.Say("the user takes %s back: asked at height %d, due at %d", aim(userStake), tx.Height, due)
	have, err := d.chain.Balance(ctx, user.Address())
	if err != nil {
		return err
	}
	if err := d.chain.WaitHeight(ctx, max(due, d.fair.EndsAt)+1); err != nil {
		return err
	}
	got, err := d.chain.Balance(ctx, user.Address())
	if err != nil {
		return err
	}
	if err := d.OK(got == have+userStake, "exactly %s have come back", aim(got-have)); err != nil {
		return err
	}
	x, err := d.chain.Slash(ctx, d.fair.ID)
	if err != nil {
		return err
	}
	return d.OK(x.State == chainclient.SlashFinal && !x.Appealed, "slash %d was not appealed: its window ended at height %d, and %s are burned", x.ID, x.EndsAt, x.Amount)
}

func (d *demo) books(ctx context.Context) error {
	e, err := d.chain.Emission(ctx, 100)
	if err != nil {
		return err
	}
	var fees, emitted essaim.Amount
	for _, epoch := range e.Last {
		fees, emitted = fees+epoch.Fees, emitted+epoch.Emission
	}
	if err := d.OK(emitted*10 <= fees*8, "%d epochs have closed: for %s of protocol fees %s are emitted to those who worked, never more than 80 %%", len(e.Last), fees, emitted); err != nil {
		return err
	}
	t, err := d.chain.Totals(ctx)
	if err != nil {
		return err
	}
	if err := d.OK(t.Deposited == t.Paid+t.Refunded+t.Escrowed && t.Escrowed == 0, "sessions: deposited %s = paid %s + refunded %s", t.Deposited, t.Paid, t.Refunded); err != nil {
		return err
	}
	now, err := d.total(ctx)
	if err != nil {
		return err
	}
	if err := d.OK(now+d.fair.Amount == d.supply, "supply: %s at the beginning = %s now + %s burned", aim(d.supply), aim(now), d.fair.Amount); err != nil {
		return err
	}
	if err := d.stop(); err != nil {
		return err
	}
	err = devnet.Check(d.home)
	return d.OK(err == nil, "the ledger is stopped and its state recounted: every pool, every reward, every escrow, every vote, and all balances together are the supply %s", problem(err))
}
