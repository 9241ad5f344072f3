package chain_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

func TestRegisterRefusals(t *testing.T) {
	w := newWorld(t)
	owner := account(2)
	w.must(t, registerMiner(owner, "taken"))
	type edit = func(m *registryv1.MsgRegisterMiner)
	offer := registryv1.Offer{Model: essaim.DigestOf(manifest("first")).String(), UnitPrice: 1}
	for name, c := range map[string]struct {
		edit edit
		want error
	}{
		"no node key":     {func(m *registryv1.MsgRegisterMiner) { m.NodeKey = "" }, registry.ErrNodeKey},
		"short node key":  {func(m *registryv1.MsgRegisterMiner) { m.NodeKey = m.NodeKey[2:] }, registry.ErrNodeKey},
		"zero node key":   {func(m *registryv1.MsgRegisterMiner) { m.NodeKey = essaim.NodeKey{}.String() }, registry.ErrNodeKey},
		"taken node key":  {func(m *registryv1.MsgRegisterMiner) { *m = *registerMiner(owner, "taken") }, registry.ErrRegistered},
		"no owner":        {func(m *registryv1.MsgRegisterMiner) { m.Owner = "" }, registry.ErrOwner},
		"another's proof": {func(m *registryv1.MsgRegisterMiner) { m.Owner = account(3).String() }, registry.ErrPossession},
		"another role":    {func(m *registryv1.MsgRegisterMiner) { m.Possession = possession(owner, essaim.RoleCoordinator, "new") }, registry.ErrPossession},
		"another key":     {func(m *registryv1.MsgRegisterMiner) { m.Possession = possession(owner, essaim.RoleMiner, "other") }, registry.ErrPossession},
		"no proof":        {func(m *registryv1.MsgRegisterMiner) { m.Possession = nil }, registry.ErrPossession},
		"small bond":      {func(m *registryv1.MsgRegisterMiner) { m.Bond = 999 }, registry.ErrBond},
		"too poor":        {func(m *registryv1.MsgRegisterMiner) { m.Bond = uint64(rich) }, errAny},
		"no HPKE key":     {func(m *registryv1.MsgRegisterMiner) { m.HpkeKey = nil }, registry.ErrHPKEKey},
		"long HPKE key":   {func(m *registryv1.MsgRegisterMiner) { m.HpkeKey = make([]byte, registry.MaxHPKEKey+1) }, registry.ErrHPKEKey},
		"no model":        {func(m *registryv1.MsgRegisterMiner) { m.Offers[0].Model = "x" }, registry.ErrOffer},
		"unknown model":   {func(m *registryv1.MsgRegisterMiner) { m.Offers[0].Model = essaim.DigestOf(nil).String() }, registry.ErrOffer},
		"model twice":     {func(m *registryv1.MsgRegisterMiner) { m.Offers = append(m.Offers, offer) }, registry.ErrOffer},
		"too many offers": {func(m *registryv1.MsgRegisterMiner) { m.Offers = make([]registryv1.Offer, registry.MaxOffers+1) }, registry.ErrOffer},
		"model in upper hex": {func(m *registryv1.MsgRegisterMiner) {
			m.Offers = []registryv1.Offer{offer, {Model: strings.ToUpper(offer.Model)}}
		}, registry.ErrOffer},
	} {
		t.Run(name, func(t *testing.T) {
			m := registerMiner(owner, "new")
			c.edit(m)
			refused(t, w, m, c.want)
		})
	}
	for name, c := range map[string]struct {
		edit func(m *registryv1.MsgRegisterCoordinator)
		want error
	}{
		"small bond":    {func(m *registryv1.MsgRegisterCoordinator) { m.Bond = 19_999 }, registry.ErrBond},
		"high fee":      {func(m *registryv1.MsgRegisterCoordinator) { m.FeeBps = registry.MaxFee + 1 }, registry.ErrFee},
		"no scheme":     {func(m *registryv1.MsgRegisterCoordinator) { m.Url = "gate.example" }, registry.ErrURL},
		"script":        {func(m *registryv1.MsgRegisterCoordinator) { m.Url = "javascript:alert(1)" }, registry.ErrURL},
		"space":         {func(m *registryv1.MsgRegisterCoordinator) { m.Url = "https://a b" }, registry.ErrURL},
		"control":       {func(m *registryv1.MsgRegisterCoordinator) { m.Url = "https://a\x1b[2J" }, registry.ErrURL},
		"long URL":      {func(m *registryv1.MsgRegisterCoordinator) { m.Url = "https://" + strings.Repeat("a", registry.MaxURL) }, registry.ErrURL},
		"a miner's key": {func(m *registryv1.MsgRegisterCoordinator) { *m = *registerCoordinator(owner, "taken") }, registry.ErrRegistered},
	} {
		t.Run("coordinator: "+name, func(t *testing.T) {
			m := registerCoordinator(owner, "new")
			c.edit(m)
			refused(t, w, m, c.want)
		})
	}
}

// errAny stands for a refusal by another module.
var errAny = errors.New("any")

// refused asserts that a message fails with an error and changes nothing.
func refused(t *testing.T, w *world, msg sdk.Msg, want error) {
	t.Helper()
	b := w.branch()
	before := b.fingerprint()
	_, err := b.do(msg)
	if err == nil || want != errAny && !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
	if b.fingerprint() != before {
		t.Fatal("a refused message changed the state")
	}
	b.check(t)
}

func TestActorLife(t *testing.T) {
	w := newWorld(t)
	owner, other := account(2), account(3)
	key := public("m").String()
	w.must(t, registerMiner(owner, "m"))
	w.check(t)
	if got := w.balance(owner); got != rich-1000 {
		t.Fatalf("balance %d after bonding", got)
	}
	update := &registryv1.MsgUpdate{Owner: owner.String(), NodeKey: key, HpkeKey: []byte("new"), Offers: nil}
	w.must(t, update)
	w.must(t, &registryv1.MsgAddBond{Owner: owner.String(), NodeKey: strings.ToUpper(key), Amount: 500})
	w.check(t)

	for name, c := range map[string]struct {
		msg  sdk.Msg
		want error
	}{
		"update by another":       {&registryv1.MsgUpdate{Owner: other.String(), NodeKey: key, HpkeKey: []byte("x")}, registry.ErrNotOwner},
		"update of nobody":        {&registryv1.MsgUpdate{Owner: owner.String(), NodeKey: public("nobody").String()}, registry.ErrNotFound},
		"update to no HPKE key":   {&registryv1.MsgUpdate{Owner: owner.String(), NodeKey: key}, registry.ErrHPKEKey},
		"a miner's fee":           {&registryv1.MsgUpdate{Owner: owner.String(), NodeKey: key, HpkeKey: []byte("x"), FeeBps: 1}, registry.ErrFee},
		"a miner's URL":           {&registryv1.MsgUpdate{Owner: owner.String(), NodeKey: key, HpkeKey: []byte("x"), Url: "http://x"}, registry.ErrURL},
		"bond by another":         {&registryv1.MsgAddBond{Owner: other.String(), NodeKey: key, Amount: 1}, registry.ErrNotOwner},
		"no bond":                 {&registryv1.MsgAddBond{Owner: owner.String(), NodeKey: key}, registry.ErrBond},
		"bond that overflows":     {&registryv1.MsgAddBond{Owner: owner.String(), NodeKey: key, Amount: 1<<64 - 1}, registry.ErrBond},
		"retired by another":      {&registryv1.MsgRetire{Owner: other.String(), NodeKey: key}, registry.ErrNotOwner},
		"malformed owner":         {&registryv1.MsgRetire{Owner: "x", NodeKey: key}, registry.ErrOwner},
		"malformed key":           {&registryv1.MsgRetire{Owner: owner.String(), NodeKey: "x"}, registry.ErrNodeKey},
		"parameters by an owner":  {&registryv1.MsgUpdateParams{Authority: owner.String(), Params: registry.DefaultParams()}, registry.ErrAuthority},
		"parameters with no wait": {&registryv1.MsgUpdateParams{Authority: governance(), Params: registryv1.Params{}}, registry.ErrParams},
	} {
		t.Run(name, func(t *testing.T) { refused(t, w, c.msg, c.want) })
	}

	w.must(t, &registryv1.MsgRetire{Owner: owner.String(), NodeKey: key}) // at height 2: released at 12
	for _, msg := range []sdk.Msg{update, &registryv1.MsgAddBond{Owner: owner.String(), NodeKey: key, Amount: 1}, &registryv1.MsgRetire{Owner: owner.String(), NodeKey: key}} {
		refused(t, w, msg, registry.ErrRetired)
	}
	w.advance(t, 12)
	a, ok, err := w.app.Registry.Actor(w.ctx, public("m"))
	if err != nil || !ok || a.RetiredAt != 2 || a.Bond != 1500 || !bytes.Equal(a.HPKEKey, []byte("new")) {
		t.Fatalf("before release: %+v %v %v", a, ok, err)
	}
	refused(t, w, registerMiner(owner, "m"), registry.ErrRegistered)
	w.advance(t, 13)
	if _, ok, _ := w.app.Registry.Actor(w.ctx, public("m")); ok || w.balance(owner) != rich {
		t.Fatalf("after release: still there (%v), or balance %d", ok, w.balance(owner))
	}
	w.check(t)
	w.must(t, registerCoordinator(owner, "m")) // the key is free again
	w.must(t, &registryv1.MsgUpdateParams{Authority: governance(), Params: registry.DefaultParams()})
	w.check(t)
}

// TestReleasesAreBounded: a block's end does a limited amount of work, and the next ones
// do the rest.
func TestReleasesAreBounded(t *testing.T) {
	w := newWorld(t)
	const n = 150
	for i := range n {
		name, owner := string(rune('A'+i)), account(2+i%2)
		w.must(t, registerMiner(owner, name))
		w.must(t, &registryv1.MsgRetire{Owner: owner.String(), NodeKey: public(name).String()})
	}
	for _, want := range []essaim.Amount{2*rich - n*1000, 2*rich - 50*1000, 2 * rich} {
		w.advance(t, max(12, w.ctx.BlockHeight()+1))
		if got := w.balance(account(2)) + w.balance(account(3)); got != want {
			t.Fatalf("height %d: balance %d, want %d", w.ctx.BlockHeight(), got, want)
		}
		w.check(t)
	}
}

func governance() string { return authtypes.NewModuleAddress("gov").String() }
