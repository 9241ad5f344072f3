package client

import (
	"bytes"
	"context"
	"fmt"
	"io"

	rpcclient "github.com/cometbft/cometbft/rpc/client"
	cmttypes "github.com/cometbft/cometbft/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/audit"
	"github.com/essaim/essaim/chain/x/trail"
	"github.com/essaim/essaim/gen/chain/trailv1"
)

// TrailRange says which records to export, and which header is to prove them.
type TrailRange struct {
	From   int64 // first height; 0: the first
	To     int64 // last height; 0: the one before Header
	Header int64 // height of the header that proves them, which is after To; 0: the newest
}

// minProof is the lowest height whose state a node proves.
const minProof = 2

// complete fills in what is not given.
func (c *Client) complete(ctx context.Context, r TrailRange) (TrailRange, error) {
	newest, err := c.rpc.Commit(ctx, nil)
	if err != nil {
		return r, unreachable(ctx, err)
	}
	if r.Header == 0 {
		r.Header = newest.Height
	}
	if r.To == 0 {
		r.To = r.Header - 1
	}
	r.From = max(r.From, 1)
	switch {
	case r.Header > newest.Height:
		return r, tooEarly(newest.Height, r.Header)
	case r.Header <= minProof:
		return r, essaim.Errorf(essaim.CodeUnavailable, "wait a few blocks", "the header of block %d proves nothing yet", r.Header)
	case r.From > r.To:
		return r, essaim.Errorf(essaim.CodeBadInput, "", "block %d is after %d", r.From, r.To)
	case r.To >= r.Header:
		return r, essaim.Errorf(essaim.CodeBadInput, "give a later header, or an earlier end", "the header of block %d proves blocks before it, not %d", r.Header, r.To)
	}
	return r, nil
}

func tooEarly(newest, want int64) error {
	return essaim.Errorf(essaim.CodeUnavailable, "wait for it, or name an earlier block", "the newest block is %d, not yet %d", newest, want)
}

// ExportTrail writes every record of a range, each with its proof, for audit.Verify.
//
// Errors: CodeNotFound if the chain has no record yet, CodeConflict if the node's block
// results are not what the chain has committed to, CodeUnavailable if the header is still to
// come.
func (c *Client) ExportTrail(ctx context.Context, w io.Writer, r TrailRange) error {
	r, err := c.complete(ctx, r)
	if err != nil {
		return err
	}
	id, err := c.ChainID(ctx)
	if err != nil {
		return err
	}
	e := exporter{c, w, r.Header - 1}
	newest, err := e.entries(ctx, 0, 1)
	if err != nil {
		return err
	}
	if len(newest) == 0 {
		return essaim.Errorf(essaim.CodeNotFound, "", "the chain has no record before block %d", r.Header)
	}
	if err := audit.Write(w, audit.Head{
		Kind: audit.KindTrail, Version: trail.Version, ChainID: id, From: r.From, To: r.To, Header: r.Header,
	}); err != nil {
		return err
	}
	for from, last := r.From, int64(0); ; from = last + 1 {
		entries, err := e.entries(ctx, from, pageSize)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return e.last(ctx)
		}
		for _, entry := range entries {
			if entry.Height > r.To {
				return e.block(ctx, audit.KindNext, entry)
			}
			if err := e.records(ctx, entry); err != nil {
				return err
			}
			last = entry.Height
		}
	}
}

// exporter writes one file, from the state that one block left.
type exporter struct {
	*Client
	w  io.Writer
	at int64 // height of that block
}

func (e exporter) entries(ctx context.Context, from int64, limit uint32) ([]trailv1.Entry, error) {
	bz, err := (&trailv1.QueryRootsRequest{From: from, Limit: limit}).Marshal()
	if err != nil {
		return nil, err
	}
	bz, _, err = e.state(ctx, "/essaim.trail.v1.Query/Roots", bz, false)
	if err != nil {
		return nil, err
	}
	var r trailv1.QueryRootsResponse
	return r.Entries, r.Unmarshal(bz)
}

// state asks for something as it was after the exporter's block.
func (e exporter) state(ctx context.Context, path string, data []byte, prove bool) (value, proof []byte, err error) {
	r, err := e.rpc.ABCIQueryWithOptions(ctx, path, data, rpcclient.ABCIQueryOptions{Height: e.at, Prove: prove})
	if err != nil {
		return nil, nil, unreachable(ctx, err)
	}
	if r.Response.Code != 0 {
		return nil, nil, refused(fmt.Sprintf("the state after block %d", e.at), r.Response.Codespace, r.Response.Code, r.Response.Log)
	}
	if prove {
		proof, err = r.Response.ProofOps.Marshal()
	}
	return r.Response.Value, proof, err
}

func (e exporter) proof(ctx context.Context, key, want []byte) ([]byte, error) {
	value, proof, err := e.state(ctx, "/store/"+trail.Name+"/key", key, true)
	if err == nil && !bytes.Equal(value, want) {
		err = essaim.Errorf(essaim.CodeConflict, "ask another node", "the node contradicts itself about the state after block %d", e.at)
	}
	return proof, err
}

func (e exporter) block(ctx context.Context, kind string, entry trailv1.Entry) error {
	proof, err := e.proof(ctx, trail.EntryKey(entry.Height), trail.EntryValue(entry))
	if err != nil {
		return err
	}
	return audit.Write(e.w, audit.NewBlock(kind, entry, proof))
}

func (e exporter) last(ctx context.Context) error {
	value, proof, err := e.state(ctx, "/store/"+trail.Name+"/key", trail.LastKey(), true)
	if err != nil {
		return err
	}
	height, err := trail.ReadLast(value)
	if err != nil {
		return err
	}
	return audit.Write(e.w, audit.Last{Kind: audit.KindLast, Height: height, Proof: proof})
}

// records writes a block and its records, which must be those that the chain committed to.
func (e exporter) records(ctx context.Context, entry trailv1.Entry) error {
	results, err := e.rpc.BlockResults(ctx, &entry.Height)
	if err != nil {
		return unreachable(ctx, err)
	}
	before, after := trail.Split(results.FinalizeBlockEvents)
	records := trail.Records(before, results.TxsResults, after)
	if len(records) != int(entry.Count) || !bytes.Equal(trail.Root(records), entry.Root) {
		return essaim.Errorf(essaim.CodeConflict, "ask another node: this one's records were changed, or it runs another version",
			"block %d: the node's %d records are not the %d that the chain has committed to", entry.Height, len(records), entry.Count)
	}
	if err := e.block(ctx, audit.KindBlock, entry); err != nil {
		return err
	}
	for i, path := range trail.Paths(records) {
		line := audit.Record{Kind: audit.KindRecord, Height: entry.Height, Index: uint32(i), Record: records[i], Path: []audit.Hex{}}
		for _, hash := range path {
			line.Path = append(line.Path, hash)
		}
		if err := audit.Write(e.w, line); err != nil {
			return err
		}
	}
	return nil
}

// TrustedHeader returns the file of a block's header with its signatures, for
// audit.ReadHeader. It is worth as much trust as the node is. Height 0 is the newest.
//
// Errors: CodeUnavailable, also for a block that is still to come.
func (c *Client) TrustedHeader(ctx context.Context, height int64) ([]byte, error) {
	r, err := c.rpc.Commit(ctx, nil)
	if err == nil && height > r.Height {
		return nil, tooEarly(r.Height, height)
	}
	if err == nil && height > 0 {
		r, err = c.rpc.Commit(ctx, &height)
	}
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	validators, err := c.validators(ctx, r.Height)
	if err != nil {
		return nil, err
	}
	return audit.Header{Hash: r.Header.Hash(), Header: r.Header, Commit: r.SignedHeader.Commit, Validators: validators}.Encode()
}

func (c *Client) validators(ctx context.Context, height int64) (out []*cmttypes.Validator, err error) {
	perPage := 100 // CometBFT's maximum
	for page := 1; ; page++ {
		r, err := c.rpc.Validators(ctx, &height, &page, &perPage)
		if err != nil {
			return nil, unreachable(ctx, err)
		}
		out = append(out, r.Validators...)
		if len(out) >= r.Total || len(r.Validators) == 0 {
			return out, nil
		}
	}
}
