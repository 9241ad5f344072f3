package model

import (
	"bytes"
	"context"
	"encoding/json"
	"unicode/utf8"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/modelv1"
)

type msgServer struct{ Keeper }

var _ modelv1.MsgServer = msgServer{}

// RegisterModel records a manifest that nobody has registered yet.
func (s msgServer) RegisterModel(ctx context.Context, m *modelv1.MsgRegisterModel) (*modelv1.MsgRegisterModelResponse, error) {
	model, digest, err := parse(m)
	if err != nil {
		return nil, err
	}
	for _, d := range model.Data {
		if to, err := essaim.ParseAddress(d.Owner); err != nil || s.bank.BlockedAddr(to[:]) {
			return nil, ErrData.Wrapf("%s cannot receive coins", d.Owner)
		}
	}
	switch known, err := s.models.Has(ctx, digest[:]); {
	case err != nil:
		return nil, err
	case known:
		return nil, ErrRegistered.Wrap(digest.String())
	}
	if err := s.models.Set(ctx, digest[:], model); err != nil {
		return nil, err
	}
	event := &modelv1.EventRegistered{Model: digest.String(), Owner: model.Owner}
	return &modelv1.MsgRegisterModelResponse{Digest: digest.String()}, emit(ctx, event)
}

// UpdateOffer replaces price and royalty. Sessions that are open already are settled at
// the royalty of the day.
func (s msgServer) UpdateOffer(ctx context.Context, m *modelv1.MsgUpdateOffer) (*modelv1.MsgUpdateOfferResponse, error) {
	digest, model, err := s.owned(ctx, m.Model, m.Owner)
	if err != nil {
		return nil, err
	}
	if all := royalties(m.RoyaltyBps, model.Data); all > MaxRoyalty {
		return nil, ErrRoyalty.Wrapf("%d basis points, at most %d", all, MaxRoyalty)
	}
	model.UnitPrice, model.RoyaltyBps = m.UnitPrice, m.RoyaltyBps
	return &modelv1.MsgUpdateOfferResponse{}, s.models.Set(ctx, digest[:], model)
}

// Transfer changes the owner. An account that cannot receive coins is refused: paying it
// a royalty would fail every settlement that names the model.
func (s msgServer) Transfer(ctx context.Context, m *modelv1.MsgTransfer) (*modelv1.MsgTransferResponse, error) {
	digest, model, err := s.owned(ctx, m.Model, m.Owner)
	if err != nil {
		return nil, err
	}
	to, err := essaim.ParseAddress(m.NewOwner)
	if err != nil {
		return nil, ErrOwner.Wrap(err.Error())
	}
	if to.IsZero() || s.bank.BlockedAddr(to[:]) {
		return nil, ErrOwner.Wrapf("%s cannot receive coins", to)
	}
	model.Owner = to.String()
	if err := s.models.Set(ctx, digest[:], model); err != nil {
		return nil, err
	}
	return &modelv1.MsgTransferResponse{}, emit(ctx, &modelv1.EventTransferred{Model: digest.String(), Owner: model.Owner})
}

// owned loads a model for its owner.
func (s msgServer) owned(ctx context.Context, digest, owner string) (essaim.Digest, modelv1.Model, error) {
	d, model, err := s.get(ctx, digest)
	if err != nil {
		return d, model, err
	}
	by, err := essaim.ParseAddress(owner)
	if err != nil {
		return d, model, ErrOwner.Wrap(err.Error())
	}
	if by.String() != model.Owner {
		return d, model, ErrNotOwner.Wrapf("it belongs to %s", model.Owner)
	}
	return d, model, nil
}

// parse checks a registration and reads the fields of the manifest that the ledger
// shows. The rest of the manifest is for engines.
func parse(m *modelv1.MsgRegisterModel) (modelv1.Model, essaim.Digest, error) {
	owner, err := essaim.ParseAddress(m.Owner)
	switch {
	case err != nil:
		return modelv1.Model{}, essaim.Digest{}, ErrOwner.Wrap(err.Error())
	case royalties(m.RoyaltyBps, m.Data) > MaxRoyalty:
		return modelv1.Model{}, essaim.Digest{}, ErrRoyalty.Wrapf("%d basis points, at most %d", royalties(m.RoyaltyBps, m.Data), MaxRoyalty)
	case len(m.Manifest) > MaxManifest:
		return modelv1.Model{}, essaim.Digest{}, ErrManifest.Wrapf("%d bytes, at most %d", len(m.Manifest), MaxManifest)
	}
	data, err := parseData(m.Data)
	if err != nil {
		return modelv1.Model{}, essaim.Digest{}, err
	}
	// Go replaces invalid UTF-8 silently; other JSON readers would show another name.
	if !utf8.Valid(m.Manifest) || !bytes.HasPrefix(bytes.TrimSpace(m.Manifest), []byte("{")) {
		return modelv1.Model{}, essaim.Digest{}, ErrManifest.Wrap("not a JSON object in UTF-8")
	}
	var f struct{ Name, Kind, Engine, Licence string }
	if err := json.Unmarshal(m.Manifest, &f); err != nil {
		return modelv1.Model{}, essaim.Digest{}, ErrManifest.Wrap(err.Error())
	}
	for _, field := range []struct {
		name, value string
		need        bool
	}{{"name", f.Name, true}, {"kind", f.Kind, true}, {"engine", f.Engine, true}, {"licence", f.Licence, false}} {
		if len(field.value) > maxText || field.need && field.value == "" {
			return modelv1.Model{}, essaim.Digest{}, ErrManifest.Wrapf("%s has %d bytes, want 1 to %d", field.name, len(field.value), maxText)
		}
	}
	return modelv1.Model{
		Manifest: m.Manifest, Owner: owner.String(),
		Name: f.Name, Kind: f.Kind, Engine: f.Engine, Licence: f.Licence,
		UnitPrice: m.UnitPrice, RoyaltyBps: m.RoyaltyBps, Data: data,
	}, essaim.DigestOf(m.Manifest), nil
}

// royalties is the model's owner's and the data owners' part of each price. It cannot
// overflow: 32 bits each.
func royalties(owner uint32, data []modelv1.DataShare) uint64 {
	sum := uint64(owner)
	for _, d := range data {
		sum += uint64(d.RoyaltyBps)
	}
	return sum
}

// parseData checks the owners of data, each named once.
func parseData(data []modelv1.DataShare) (out []modelv1.DataShare, err error) {
	if len(data) > MaxData {
		return nil, ErrData.Wrapf("%d of them, at most %d", len(data), MaxData)
	}
	seen := map[essaim.Address]bool{}
	for _, d := range data {
		owner, err := essaim.ParseAddress(d.Owner)
		if err != nil || owner.IsZero() || seen[owner] || d.RoyaltyBps == 0 {
			return nil, ErrData.Wrapf("%q with %d basis points: malformed, repeated or without a share", d.Owner, d.RoyaltyBps)
		}
		seen[owner] = true
		out = append(out, modelv1.DataShare{Owner: owner.String(), RoyaltyBps: d.RoyaltyBps})
	}
	return out, nil
}
