package client

import (
	"context"
	"strings"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/namesv1"
)

// Name is a name on the ledger.
type Name struct {
	Name    string         `json:"name"` // without @
	Owner   essaim.Address `json:"owner"`
	Expires int64          `json:"expires"` // the first height at which it stands for nobody
}

func nameOf(n namesv1.Name) (Name, error) {
	owner, err := essaim.ParseAddress(n.Owner)
	return Name{n.Name, owner, n.Expires}, err
}

// bare is a name as the ledger has it: people write @Alice.
func bare(name string) string { return strings.ToLower(strings.TrimPrefix(name, "@")) }

// Name returns a name that stands for somebody now.
//
// Errors: CodeNotFound if it is free or has expired, CodeBadInput for what is no name.
func (c *Client) Name(ctx context.Context, name string) (Name, error) {
	var r namesv1.QueryNameResponse
	if err := c.call(ctx, "/essaim.names.v1.Query/Name", &namesv1.QueryNameRequest{Name: bare(name)}, &r); err != nil {
		return Name{}, err
	}
	return nameOf(r.Name)
}

// Resolve is the owner of Name.
func (c *Client) Resolve(ctx context.Context, name string) (essaim.Address, error) {
	n, err := c.Name(ctx, name)
	return n.Owner, err
}

// Names lists up to a hundred names of an account, those in their grace included.
func (c *Client) Names(ctx context.Context, owner essaim.Address) (out []Name, err error) {
	var r namesv1.QueryNamesResponse
	if err := c.call(ctx, "/essaim.names.v1.Query/Names", &namesv1.QueryNamesRequest{Owner: owner.String()}, &r); err != nil {
		return nil, err
	}
	for _, n := range r.Names {
		name, err := nameOf(n)
		if err != nil {
			return nil, err
		}
		out = append(out, name)
	}
	return out, nil
}

// NameFee says what a name costs for a period, and which name is it or looks like it; empty: it is
// free.
func (c *Client) NameFee(ctx context.Context, name string) (fee essaim.Amount, like string, err error) {
	var r namesv1.QueryQuoteResponse
	err = c.call(ctx, "/essaim.names.v1.Query/Quote", &namesv1.QueryQuoteRequest{Name: bare(name)}, &r)
	return essaim.Amount(r.Fee), r.Like, err
}

// RegisterName takes a name for a period, for at most a fee.
//
// Errors: CodeConflict if it is taken, or looks like one that is; CodeInsufficient if it costs more.
func (c *Client) RegisterName(ctx context.Context, by Signer, name string, most essaim.Amount) (Name, essaim.Tx, error) {
	var r namesv1.MsgRegisterResponse
	tx, err := c.ask(ctx, by, &namesv1.MsgRegister{Owner: by.Address().String(), Name: bare(name), MaxFee: uint64(most)}, &r)
	return Name{bare(name), by.Address(), r.Expires}, tx, err
}

// RenewName pays for one more period.
func (c *Client) RenewName(ctx context.Context, by Signer, name string, most essaim.Amount) (Name, essaim.Tx, error) {
	var r namesv1.MsgRenewResponse
	tx, err := c.ask(ctx, by, &namesv1.MsgRenew{Owner: by.Address().String(), Name: bare(name), MaxFee: uint64(most)}, &r)
	return Name{bare(name), by.Address(), r.Expires}, tx, err
}

// TransferName gives a name to another account.
func (c *Client) TransferName(ctx context.Context, by Signer, name string, to essaim.Address) (essaim.Tx, error) {
	return c.do(ctx, by, &namesv1.MsgTransfer{Owner: by.Address().String(), Name: bare(name), NewOwner: to.String()})
}
