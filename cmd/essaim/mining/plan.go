package mining

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine/all"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/wallet"
)

// plan is what a miner is going to offer, and what the ledger must be told for that.
type plan struct {
	Miner       essaim.NodeKey `json:"miner"`
	Coordinator essaim.NodeKey `json:"coordinator"`
	Dir         string         `json:"dir"`
	Models      []offered      `json:"models"`
	Faults      []string       `json:"faults"`          // engines that are there and cannot be used
	Registers   bool           `json:"registers"`       // the miner is not on the ledger yet
	Updates     bool           `json:"updates"`         // it is, with other offers
	Bond        essaim.Amount  `json:"bond,omitempty"`  // when it is registered
	Stake       essaim.Amount  `json:"stake,omitempty"` // when it was

	chainID, ledger string
	peers           []string
	engines         []string // DRIVER=ADDRESS
	actor           essaim.Actor
	keys            wallet.NodeKeys
}

// offered is a model that an engine here has.
type offered struct {
	Name    string        `json:"name"`
	Engine  string        `json:"engine"`
	Digest  essaim.Digest `json:"digest"`
	Kind    essaim.Kind   `json:"kind"`
	Rate    float64       `json:"units_per_second,omitempty"`
	Price   essaim.Amount `json:"price,omitempty"`  // of a unit, in uaim
	Market  essaim.Amount `json:"market,omitempty"` // the least that connected miners ask; 0: nobody is
	New     bool          `json:"new,omitempty"`    // the ledger does not know it, and will
	Skipped string        `json:"skipped,omitempty"`

	manifest []byte
}

// hour is what an hour of nothing but this model brings, before royalty and fees.
func (o offered) hour() essaim.Amount { return essaim.Amount(o.Rate * 3600 * float64(o.Price)) }

func makePlan(ctx context.Context, chain *chainclient.Client, info essaim.CoordinatorInfo, o options) (p plan, err error) {
	p = plan{Coordinator: info.Coordinator, Dir: o.dir, Faults: []string{}, Models: []offered{}, chainID: info.ChainID, ledger: info.LedgerURL, peers: info.PeerAddrs}
	if p.keys, err = wallet.LoadNodeKeys(o.dir); err != nil {
		return p, err
	}
	p.Miner = p.keys.ID()
	if p.Bond, err = essaim.ParseAmount(o.bond); err != nil {
		return p, essaim.Errorf(essaim.CodeBadInput, "write AIM like 1000", "--bond: %w", err)
	}
	hourly, err := essaim.ParseAmount(o.hourly)
	if err != nil {
		return p, essaim.Errorf(essaim.CodeBadInput, "write AIM like 0.5", "--hourly: %w", err)
	}
	places, err := usual(o.at)
	if err != nil {
		return p, err
	}
	bench, err := openBench(o.dir)
	if err != nil {
		return p, err
	}
	for _, f := range all.Local(ctx, places) {
		if f.Err != nil {
			p.Faults = append(p.Faults, fmt.Sprintf("%s %s: %v", f.Driver, f.Address, f.Err))
			continue
		}
		if f.Address != "" {
			p.engines = append(p.engines, f.Driver+"="+f.Address)
		}
		for _, m := range f.Models {
			if slices.ContainsFunc(p.Models, func(o offered) bool { return o.Digest == m.Digest }) {
				continue
			}
			of := offered{Name: m.Name, Engine: f.Driver, Digest: m.Digest, Kind: m.Kind, manifest: m.Manifest}
			if of.Skipped = o.skips(m.Name); of.Skipped == "" {
				if err := of.price(ctx, chain, info, bench, f, hourly, o.models); err != nil {
					return p, err
				}
			}
			p.Models = append(p.Models, of)
		}
	}
	if len(p.offers()) == 0 {
		return p, essaim.Errorf(essaim.CodeUnavailable, "`essaim miner engines` shows what is here; --register-models offers models that the ledger does not know", "no engine here has a model to offer")
	}
	return p, p.compare(ctx, chain)
}

// skips says why a model is not offered; "": it is.
func (o options) skips(name string) string {
	has := func(list []string) bool {
		return slices.ContainsFunc(list, func(part string) bool { return strings.Contains(strings.ToLower(name), strings.ToLower(part)) })
	}
	switch {
	case has(o.deny):
		return "denied"
	case len(o.allow) > 0 && !has(o.allow):
		return "not allowed"
	}
	return ""
}

// price measures the model, and proposes what to ask: what others ask, else what its owner
// suggests, and never less than an hour must bring.
func (o *offered) price(ctx context.Context, chain *chainclient.Client, info essaim.CoordinatorInfo, b *bench, f all.Found, hourly essaim.Amount, registers bool) error {
	model, err := chain.Model(ctx, o.Digest)
	switch {
	case err == nil:
		o.Price = model.UnitPrice
	case essaim.CodeOf(err) != essaim.CodeNotFound:
		return err
	case !registers || o.manifest == nil:
		o.Skipped = "not on the ledger"
		return nil
	default:
		o.New = true
	}
	if o.Rate, err = b.rate(ctx, f, o.Digest); err != nil {
		o.Skipped = "fails: " + err.Error()
		return nil
	}
	for _, m := range info.Models {
		if m.Digest == o.Digest && m.Miners > 0 {
			o.Market, o.Price = m.UnitPrice, m.UnitPrice
		}
	}
	o.Price = max(o.Price, floor(hourly, o.Rate), 1)
	return nil
}

// floor is what a unit costs if an hour of them brings so much, rounded up.
func floor(hourly essaim.Amount, rate float64) essaim.Amount {
	perHour := rate * 3600
	if perHour < 1 {
		return hourly
	}
	return essaim.Amount((float64(hourly) + perHour - 1) / perHour)
}

func (p *plan) offers() (out []essaim.Offer) {
	for _, m := range p.Models {
		if m.Skipped == "" {
			out = append(out, essaim.Offer{Model: m.Digest, UnitPrice: m.Price})
		}
	}
	slices.SortFunc(out, func(a, b essaim.Offer) int { return strings.Compare(a.Model.String(), b.Model.String()) })
	return out
}

// compare finds out what the ledger must be told. A miner keeps the prices that it is
// registered with: its owner may have chosen them.
func (p *plan) compare(ctx context.Context, chain *chainclient.Client) error {
	a, err := chain.Actor(ctx, p.Miner)
	if essaim.CodeOf(err) == essaim.CodeNotFound && err != nil {
		p.Registers = true
		return nil
	}
	if err != nil {
		return err
	}
	p.actor, p.Stake, p.Bond = a, a.Stake, 0
	for i := range p.Models {
		m := &p.Models[i]
		if price, ok := a.Price(m.Digest); ok {
			m.Price = price
		} else if m.Skipped == "" {
			p.Updates = true
		}
	}
	p.Updates = p.Updates || len(a.Offers) != len(p.offers())
	return nil
}

func (p plan) changes() bool { return p.Registers || p.Updates }

func (p plan) what() string {
	switch {
	case p.Registers:
		return fmt.Sprintf("to be registered with a bond of %s", p.Bond)
	case p.Updates:
		return "to be registered anew: its offers have changed"
	}
	return ""
}

// register tells the ledger.
func (p plan) register(ctx context.Context, chain *chainclient.Client, owner *wallet.Account) error {
	for _, m := range p.Models {
		if !m.New || m.Skipped != "" {
			continue
		}
		if _, _, err := chain.RegisterModel(ctx, owner, m.manifest, m.Price, modelRoyalty); err != nil {
			return fmt.Errorf("register model %s: %w", m.Name, err)
		}
	}
	a := p.actor
	a.Offers = p.offers()
	if p.Updates {
		_, err := chain.UpdateActor(ctx, owner, a)
		return err
	}
	a = essaim.Actor{Role: essaim.RoleMiner, NodeKey: p.Miner, Owner: owner.Address(), HPKEKey: p.keys.HPKE.PublicKey(), Offers: a.Offers, Bond: p.Bond, CommissionChange: commissionChange}
	proof := ed25519.Sign(p.keys.Sign, essaim.PossessionBytes(p.chainID, a.Owner, a.Role, a.NodeKey))
	_, err := chain.RegisterMiner(ctx, owner, a, proof)
	return err
}

const (
	modelRoyalty     essaim.Bps = 500
	commissionChange essaim.Bps = 100 // in an epoch: as much as the ledger's default allows
)

// config is the miner's node.toml.
func (p plan) config(o options, keys string) node.Config {
	m := &node.Miner{Coordinators: p.peers, Capacity: o.capacity, Engines: p.engines, Prices: map[string]uint64{}, Grace: node.Duration(o.grace), Page: o.page, Submitter: o.owner, Keys: keys}
	for _, of := range p.offers() {
		m.Prices[of.Model.String()] = uint64(of.UnitPrice)
		m.Offer = append(m.Offer, of.Model.String())
	}
	return node.Config{Dir: o.dir, Role: node.RoleMiner, ChainID: p.chainID, Ledger: p.ledger, Miner: m}
}
