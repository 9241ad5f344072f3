package chain_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	"pgregory.net/rapid"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/names"
	"github.com/essaim/essaim/gen/chain/namesv1"
)

const nameFee = 1000

// namesWorld has short periods.
func namesWorld(t testing.TB) *world {
	w := newWorld(t)
	w.must(t, &namesv1.MsgUpdateParams{Authority: authtypes.NewModuleAddress(govtypes.ModuleName).String(), Params: namesv1.Params{Fee: nameFee, PeriodBlocks: 100, GraceBlocks: 20}})
	return w
}

func register(by essaim.Address, name string) sdk.Msg {
	return &namesv1.MsgRegister{Owner: by.String(), Name: name, MaxFee: 1 << 40}
}

func renew(by essaim.Address, name string) sdk.Msg {
	return &namesv1.MsgRenew{Owner: by.String(), Name: name, MaxFee: 1 << 40}
}

func TestNames(t *testing.T) {
	w := namesWorld(t)
	ada, bob, poor := account(2), account(3), essaim.Address{0: 1}
	before := w.balance(pool)
	w.must(t, register(ada, "morning_star"))
	if got := w.balance(ada); got != rich-nameFee {
		t.Errorf("she has %d", got)
	}
	if got := w.balance(pool) - before; got != nameFee {
		t.Errorf("the community has %d more", got)
	}
	module := essaim.Address(authtypes.NewModuleAddress("market"))
	for name, c := range map[string]struct {
		msg  sdk.Msg
		want error
	}{
		"twice":               {register(bob, "morning_star"), names.ErrTaken},
		"by its owner":        {register(ada, "morning_star"), names.ErrTaken},
		"rn for m":            {register(bob, "rnorning_star"), names.ErrAlike},
		"0 for o, 1 for i":    {register(bob, "m0rn1ng_star"), names.ErrAlike},
		"without underscore":  {register(bob, "morningstar"), names.ErrAlike},
		"5 for s":             {register(bob, "morning_5tar"), names.ErrAlike},
		"short":               {register(bob, "ab"), names.ErrName},
		"long":                {register(bob, "a23456789012345678901234567890123"), names.ErrName},
		"capitals":            {register(bob, "Alice"), names.ErrName},
		"another alphabet":    {register(bob, "аlice"), names.ErrName}, // its first letter is Cyrillic
		"an accent":           {register(bob, "aline\u0301"), names.ErrName},
		"nothing to see":      {register(bob, "ali\u200bce"), names.ErrName},
		"at":                  {register(bob, "@alice"), names.ErrName},
		"a space":             {register(bob, "al ice"), names.ErrName},
		"a digit first":       {register(bob, "0x1234"), names.ErrName},
		"underscore first":    {register(bob, "_alice"), names.ErrName},
		"underscore last":     {register(bob, "alice_"), names.ErrName},
		"two underscores":     {register(bob, "al__ice"), names.ErrName},
		"a dearer fee":        {&namesv1.MsgRegister{Owner: bob.String(), Name: "abc", MaxFee: nameFee}, names.ErrFee},
		"no money":            {register(poor, "alice"), sdkerrors.ErrInsufficientFunds},
		"no account":          {&namesv1.MsgRegister{Owner: "x", Name: "alice"}, names.ErrOwner},
		"a module":            {register(module, "alice"), names.ErrOwner},
		"another's renewal":   {renew(bob, "morning_star"), names.ErrNotOwner},
		"renewal of nothing":  {renew(bob, "alice"), names.ErrNotFound},
		"another's gift":      {&namesv1.MsgTransfer{Owner: bob.String(), Name: "morning_star", NewOwner: bob.String()}, names.ErrNotOwner},
		"gift to a module":    {&namesv1.MsgTransfer{Owner: ada.String(), Name: "morning_star", NewOwner: module.String()}, names.ErrOwner},
		"gift to nobody":      {&namesv1.MsgTransfer{Owner: ada.String(), Name: "morning_star", NewOwner: essaim.Address{}.String()}, names.ErrOwner},
		"parameters by a man": {&namesv1.MsgUpdateParams{Authority: ada.String()}, names.ErrAuthority},
	} {
		t.Run(name, func(t *testing.T) { refused(t, w, c.msg, c.want) })
	}
	w.must(t, register(bob, "abc"))
	if got := w.balance(bob); got != rich-100*nameFee {
		t.Errorf("three characters cost %d", rich-got)
	}
	w.must(t, &namesv1.MsgTransfer{Owner: ada.String(), Name: "morning_star", NewOwner: bob.Hex()})
	refused(t, w, renew(ada, "morning_star"), names.ErrNotOwner)
	for range names.MaxPeriods - 1 {
		w.must(t, renew(bob, "morning_star"))
	}
	refused(t, w, renew(bob, "morning_star"), names.ErrPeriods)
	w.check(t)
}

// TestNamesEnd: who does not renew loses the name at once, and to others after the grace.
func TestNamesEnd(t *testing.T) {
	w := namesWorld(t)
	ada, bob := account(2), account(3)
	begin := w.ctx.BlockHeight()
	w.must(t, register(ada, "alice"))
	stands := func() bool {
		for _, n := range listNames(w) {
			if n.Name == "alice" {
				return w.ctx.BlockHeight() < n.Expires
			}
		}
		return false
	}
	at := func(h int64) { w.ctx = w.ctx.WithBlockHeight(begin + h) }
	at(99)
	if !stands() {
		t.Error("the last height of its period")
	}
	at(100)
	if stands() {
		t.Error("its period is over")
	}
	refused(t, w, register(bob, "alice"), names.ErrTaken)
	refused(t, w, register(bob, "aiice"), names.ErrAlike)
	refused(t, w, &namesv1.MsgTransfer{Owner: ada.String(), Name: "alice", NewOwner: bob.String()}, names.ErrNotFound)
	late := w.branch()
	late.must(t, renew(ada, "alice"))
	if n := listNames(late)[0]; n.Expires != begin+200 {
		t.Errorf("renewed in the grace until %d", n.Expires)
	}
	at(120)
	refused(t, w, renew(ada, "alice"), names.ErrNotFound)
	other := w.branch()
	other.must(t, register(bob, "aiice")) // the one it looks like is gone
	if l := listNames(other); len(l) != 1 || l[0].Name != "aiice" {
		t.Errorf("%v", l)
	}
	w.must(t, register(bob, "alice"))
	if l := listNames(w); len(l) != 1 || l[0].Owner != bob.String() || l[0].Expires != begin+220 {
		t.Errorf("%v", l)
	}
}

func listNames(w *world) []namesv1.Name {
	var g namesv1.GenesisState
	w.app.Codec.MustUnmarshalJSON(names.NewModule(w.app.Names).ExportGenesis(w.ctx, w.app.Codec), &g)
	return g.Names
}

// TestNamesAgree: whatever is done in whatever order, names are as a map of them says, the fees
// are what the owners have paid, and a chain that begins from the export has the same.
func TestNamesAgree(t *testing.T) {
	base := namesWorld(t)
	spelled := []string{"alice", "aiice", "al1ce", "bob_1", "bobl", "clara", "dara", "zoe", "morn", "mom_n"}
	rapid.Check(t, func(rt *rapid.T) {
		w := base.branch()
		type held struct {
			owner   int
			expires int64
		}
		model, paid := map[string]held{}, map[int]uint64{}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			by, name := rapid.IntRange(2, 4).Draw(rt, "by"), rapid.SampledFrom(spelled).Draw(rt, "name")
			now := w.ctx.BlockHeight()
			fee := map[int]uint64{3: 100 * nameFee, 4: 10 * nameFee, 5: nameFee}[len(name)]
			h, known := model[name]
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0:
				free := true
				for other, x := range model {
					free = free && (names.Look(other) != names.Look(name) || now >= x.expires+20)
				}
				_, err := w.do(register(account(by), name))
				if (err == nil) != free {
					rt.Fatalf("register %s: %v, free %v", name, err, free)
				}
				if free {
					maps.DeleteFunc(model, func(other string, _ held) bool { return names.Look(other) == names.Look(name) })
					model[name], paid[by] = held{by, now + 100}, paid[by]+fee
				}
			case 1:
				ok := known && h.owner == by && now < h.expires+20 && h.expires+100 <= now+1000
				_, err := w.do(renew(account(by), name))
				if (err == nil) != ok {
					rt.Fatalf("renew %s: %v, want %v", name, err, ok)
				}
				if ok {
					model[name], paid[by] = held{by, max(h.expires, now) + 100}, paid[by]+fee
				}
			case 2:
				to := rapid.IntRange(2, 4).Draw(rt, "to")
				ok := known && h.owner == by && now < h.expires
				_, err := w.do(&namesv1.MsgTransfer{Owner: account(by).String(), Name: name, NewOwner: account(to).String()})
				if (err == nil) != ok {
					rt.Fatalf("transfer %s: %v, want %v", name, err, ok)
				}
				if ok {
					model[name] = held{to, h.expires}
				}
			case 3:
				w.ctx = w.ctx.WithBlockHeight(now + int64(rapid.IntRange(1, 130).Draw(rt, "blocks")))
			}
		}
		var got, want []string
		for _, n := range listNames(w) {
			got = append(got, fmt.Sprintf("%s %s %d", n.Name, n.Owner, n.Expires))
		}
		for name, h := range model {
			want = append(want, fmt.Sprintf("%s %s %d", name, account(h.owner), h.expires))
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			rt.Fatalf("names %v, want %v", got, want)
		}
		for by := 2; by <= 4; by++ {
			if has := w.balance(account(by)); has != rich-essaim.Amount(paid[by]) {
				rt.Fatalf("account %d has %d, has paid %d", by, has, paid[by])
			}
		}
		w.check(rt)
		sameAfterExport(rt, w, base.branch())
	})
}

// sameAfterExport: a chain that begins from the export has the same names.
func sameAfterExport(rt *rapid.T, w, fresh *world) {
	m := names.NewModule(w.app.Names)
	out := m.ExportGenesis(w.ctx, w.app.Codec)
	if err := m.ValidateGenesis(w.app.Codec, nil, out); err != nil {
		rt.Fatal(err)
	}
	m.InitGenesis(fresh.ctx, fresh.app.Codec, out)
	if again := m.ExportGenesis(fresh.ctx, fresh.app.Codec); !bytes.Equal(again, out) {
		rt.Fatalf("exported %s, then %s", out, again)
	}
}
