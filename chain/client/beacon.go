package client

import (
	"context"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/beaconv1"
)

// Beacon is the random value of one block.
type Beacon struct {
	Height        int64         `json:"height"`
	Value         essaim.Digest `json:"value"`
	Contributors  uint32        `json:"contributors"`  // validators whose outputs are in it
	Validators    uint32        `json:"validators"`    // that could have contributed
	Unpredictable bool          `json:"unpredictable"` // nobody knew it alone beforehand; never on a network of one validator
}

// Beacon returns a height's beacon, of height 0 the newest.
//
// Errors: CodeNotFound for a height that has not come or is no longer kept.
func (c *Client) Beacon(ctx context.Context, height int64) (Beacon, error) {
	var r beaconv1.QueryBeaconResponse
	if err := c.call(ctx, "/essaim.beacon.v1.Query/Beacon", &beaconv1.QueryBeaconRequest{Height: height}, &r); err != nil {
		return Beacon{}, err
	}
	b := Beacon{Height: r.Beacon.Height, Contributors: r.Beacon.Contributors, Validators: r.Beacon.Validators, Unpredictable: r.Beacon.Unpredictable}
	if copy(b.Value[:], r.Beacon.Value) != len(b.Value) {
		return Beacon{}, essaim.Errorf(essaim.CodeInternal, "", "beacon of height %d has %d bytes", b.Height, len(r.Beacon.Value))
	}
	return b, nil
}

// BeaconAt is the value of Beacon.
func (c *Client) BeaconAt(ctx context.Context, height int64) (essaim.Digest, error) {
	b, err := c.Beacon(ctx, height)
	return b.Value, err
}

// RegisterBeaconKey gives the signer's validator the key that it proves with, in hex, with
// the key's proof of possession. It is used from the height on that is returned.
//
// Errors: CodeNotFound if the signer operates no validator, CodeConflict if the last key is
// not in use yet.
func (c *Client) RegisterBeaconKey(ctx context.Context, by Signer, key string, possession []byte) (from int64, _ essaim.Tx, _ error) {
	var r beaconv1.MsgRegisterKeyResponse
	tx, err := c.ask(ctx, by, &beaconv1.MsgRegisterKey{Operator: by.Address().String(), Key: key, Possession: possession}, &r)
	return r.From, tx, err
}
