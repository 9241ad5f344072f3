package chain_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/model"
	"github.com/essaim/essaim/gen/chain/modelv1"
)

func TestModel(t *testing.T) {
	w := newWorld(t)
	owner, other := account(2), account(3)
	mine := essaim.DigestOf(manifest("mine"))
	r := w.must(t, &modelv1.MsgRegisterModel{Owner: owner.String(), Manifest: manifest("mine"), UnitPrice: 7, RoyaltyBps: 300})
	var answer modelv1.MsgRegisterModelResponse
	if err := answer.Unmarshal(r.Data); err == nil && answer.Digest != mine.String() {
		t.Fatalf("digest %s", answer.Digest)
	}
	got, ok, err := w.app.Model.Model(w.ctx, mine)
	if err != nil || !ok || got.Name != "mine" || got.Kind != "image" || got.Engine != "pixel" || got.Licence != "Apache-2.0" ||
		got.UnitPrice != 7 || got.Royalty != 300 || got.Owner != owner || got.Digest != mine || !bytes.Equal(got.Manifest, manifest("mine")) {
		t.Fatalf("%+v %v %v", got, ok, err)
	}

	register := func(manifest string) sdk.Msg {
		return &modelv1.MsgRegisterModel{Owner: owner.String(), Manifest: []byte(manifest)}
	}
	module := essaim.Address(authtypes.NewModuleAddress("market"))
	for name, c := range map[string]struct {
		msg  sdk.Msg
		want error
	}{
		"twice":             {&modelv1.MsgRegisterModel{Owner: other.String(), Manifest: manifest("mine")}, model.ErrRegistered},
		"no manifest":       {register(""), model.ErrManifest},
		"no JSON":           {register("name: x"), model.ErrManifest},
		"an array":          {register("[]"), model.ErrManifest},
		"null":              {register("null"), model.ErrManifest},
		"trailing bytes":    {register(string(manifest("x")) + "{}"), model.ErrManifest},
		"no name":           {register(`{"kind":"image","engine":"pixel"}`), model.ErrManifest},
		"a number for name": {register(`{"name":1,"kind":"image","engine":"pixel"}`), model.ErrManifest},
		"bad UTF-8":         {register("{\"name\":\"\xff\",\"kind\":\"image\",\"engine\":\"pixel\"}"), model.ErrManifest},
		"long name":         {register(string(manifest(strings.Repeat("x", 129)))), model.ErrManifest},
		"too large":         {register(fmt.Sprintf(`{"name":"x","kind":"image","engine":"pixel","more":%q}`, strings.Repeat("x", model.MaxManifest))), model.ErrManifest},
		"high royalty":      {&modelv1.MsgRegisterModel{Owner: owner.String(), Manifest: manifest("x"), RoyaltyBps: model.MaxRoyalty + 1}, model.ErrRoyalty},
		"no owner":          {&modelv1.MsgRegisterModel{Owner: "x", Manifest: manifest("x")}, model.ErrOwner},
		"offer by another":  {&modelv1.MsgUpdateOffer{Owner: other.String(), Model: mine.String()}, model.ErrNotOwner},
		"offer of nothing":  {&modelv1.MsgUpdateOffer{Owner: owner.String(), Model: essaim.Digest{}.String()}, model.ErrNotFound},
		"offer of garbage":  {&modelv1.MsgUpdateOffer{Owner: owner.String(), Model: "x"}, model.ErrDigest},
		"offer too high":    {&modelv1.MsgUpdateOffer{Owner: owner.String(), Model: mine.String(), RoyaltyBps: model.MaxRoyalty + 1}, model.ErrRoyalty},
		"gift by another":   {&modelv1.MsgTransfer{Owner: other.String(), Model: mine.String(), NewOwner: other.String()}, model.ErrNotOwner},
		"gift to garbage":   {&modelv1.MsgTransfer{Owner: owner.String(), Model: mine.String(), NewOwner: "x"}, model.ErrOwner},
		"gift to nobody":    {&modelv1.MsgTransfer{Owner: owner.String(), Model: mine.String(), NewOwner: essaim.Address{}.String()}, model.ErrOwner},
		"gift to a module":  {&modelv1.MsgTransfer{Owner: owner.String(), Model: mine.String(), NewOwner: module.String()}, model.ErrOwner},
	} {
		t.Run(name, func(t *testing.T) { refused(t, w, c.msg, c.want) })
	}

	w.must(t, &modelv1.MsgUpdateOffer{Owner: owner.String(), Model: mine.String(), UnitPrice: 9, RoyaltyBps: 400})
	w.must(t, &modelv1.MsgTransfer{Owner: owner.String(), Model: mine.String(), NewOwner: other.Hex()}) // either spelling
	got, _, _ = w.app.Model.Model(w.ctx, mine)
	if got.Owner != other || got.UnitPrice != 9 || got.Royalty != 400 {
		t.Fatalf("%+v", got)
	}
	if _, err := w.do(&modelv1.MsgUpdateOffer{Owner: owner.String(), Model: mine.String()}); !errors.Is(err, model.ErrNotOwner) {
		t.Fatal("the old owner still may:", err)
	}
}
