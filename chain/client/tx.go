package client

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	abci "github.com/cometbft/cometbft/abci/types"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	"github.com/cosmos/gogoproto/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

func txOf(r *ctypes.ResultTx) (essaim.Tx, error) {
	t := essaim.Tx{Hash: strings.ToUpper(hex.EncodeToString(r.Hash)), Height: r.Height, Gas: uint64(max(r.TxResult.GasUsed, 0))}
	for _, e := range r.TxResult.Events {
		paid, err := payments(e)
		if err != nil {
			return t, err
		}
		t.Payments = append(t.Payments, paid...)
	}
	return t, nil
}

// answer decodes the message's response out of a transaction's result.
func answer(data []byte, into codecMessage) error {
	var all sdk.TxMsgData
	if err := all.Unmarshal(data); err != nil {
		return err
	}
	if len(all.MsgResponses) != 1 {
		return fmt.Errorf("%d responses, want 1", len(all.MsgResponses))
	}
	return into.Unmarshal(all.MsgResponses[0].Value)
}

// payments reads a settlement's event; other events have none.
func payments(e abci.Event) ([]essaim.Payment, error) {
	if e.Type != proto.MessageName(&marketv1.EventSettled{}) {
		return nil, nil
	}
	m, err := sdk.ParseTypedEvent(e)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", e.Type, err)
	}
	var out []essaim.Payment
	for _, p := range m.(*marketv1.EventSettled).Payouts {
		to, err := essaim.ParseAddress(p.To)
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", e.Type, err)
		}
		out = append(out, essaim.Payment{To: to, Reason: p.Reason, Amount: essaim.Amount(p.Amount)})
	}
	return out, nil
}

// SettledBy finds the transaction that has settled a session, in the block that the
// settlement names: for those who have not heard the answer to theirs, or did not send it.
//
// Errors: CodeNotFound if the session is not settled, CodeUnavailable if the node does not
// keep the block.
func (c *Client) SettledBy(ctx context.Context, id essaim.SessionID) (essaim.Tx, error) {
	s, err := c.Settlement(ctx, id)
	if err != nil {
		return essaim.Tx{}, err
	}
	block, err := c.rpc.Block(ctx, &s.Height)
	if err != nil {
		return essaim.Tx{}, unreachable(ctx, err)
	}
	results, err := c.rpc.BlockResults(ctx, &s.Height)
	if err != nil {
		return essaim.Tx{}, unreachable(ctx, err)
	}
	for i, tx := range block.Block.Txs {
		if i < len(results.TxsResults) && settles(results.TxsResults[i].Events, id) {
			return txOf(&ctypes.ResultTx{Hash: tx.Hash(), Height: s.Height, TxResult: *results.TxsResults[i]})
		}
	}
	return essaim.Tx{}, essaim.Errorf(essaim.CodeInternal, "", "block %d does not settle session %s", s.Height, id)
}

func settles(events []abci.Event, id essaim.SessionID) bool {
	return slices.ContainsFunc(events, func(e abci.Event) bool {
		if e.Type != proto.MessageName(&marketv1.EventSettled{}) {
			return false
		}
		m, err := sdk.ParseTypedEvent(e)
		return err == nil && m.(*marketv1.EventSettled).Session == uint64(id)
	})
}

// Tx finds a transaction by its hash, in hex.
//
// Errors: CodeNotFound if it is in no block; for one that is in a block but failed there,
// the reason, together with the Tx.
func (c *Client) Tx(ctx context.Context, hash string) (essaim.Tx, error) {
	r, err := c.find(ctx, hash)
	if err != nil {
		return essaim.Tx{}, err
	}
	t, err := txOf(r)
	if r.TxResult.Code != 0 {
		return t, refused("transaction "+t.Hash, r.TxResult.Codespace, r.TxResult.Code, r.TxResult.Log)
	}
	return t, err
}

func (c *Client) find(ctx context.Context, hash string) (*ctypes.ResultTx, error) {
	bz, err := hex.DecodeString(strings.TrimPrefix(hash, "0x"))
	if err != nil || len(bz) != len(essaim.Digest{}) {
		return nil, essaim.Errorf(essaim.CodeBadInput, "give the 64 hex digits of a transaction's hash", "%q is not a transaction's hash", hash)
	}
	r, err := c.rpc.Tx(ctx, bz, false)
	if notFound(err) {
		return nil, essaim.Errorf(essaim.CodeNotFound, "it may still wait for a block, or the node may not keep it", "no transaction %s in any block", hash)
	}
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	return r, nil
}

// DecodeTx finds a transaction by its hash and writes all that is known of it as JSON, for
// people: the messages, the outcome and the events.
func (c *Client) DecodeTx(ctx context.Context, hash string) (json.RawMessage, error) {
	r, err := c.find(ctx, hash)
	if err != nil {
		return nil, err
	}
	tx, err := c.enc.Signed.TxDecoder()(r.Tx)
	if err != nil {
		return nil, fmt.Errorf("decode transaction %s: %w", hash, err)
	}
	body, err := c.enc.Signed.TxJSONEncoder()(tx)
	if err != nil {
		return nil, fmt.Errorf("decode transaction %s: %w", hash, err)
	}
	type event struct {
		Type       string            `json:"type"`
		Attributes map[string]string `json:"attributes"`
	}
	out := struct {
		Hash      string          `json:"hash"`
		Height    int64           `json:"height"`
		Code      uint32          `json:"code"` // 0: success
		Codespace string          `json:"codespace,omitempty"`
		Log       string          `json:"log,omitempty"`
		GasUsed   int64           `json:"gas_used"`
		Tx        json.RawMessage `json:"tx"`
		Events    []event         `json:"events"`
	}{
		Hash: r.Hash.String(), Height: r.Height, Code: r.TxResult.Code, Codespace: r.TxResult.Codespace,
		Log: r.TxResult.Log, GasUsed: r.TxResult.GasUsed, Tx: body,
	}
	for _, e := range r.TxResult.Events {
		attributes := map[string]string{}
		for _, a := range e.Attributes {
			attributes[a.Key] = a.Value
		}
		out.Events = append(out.Events, event{e.Type, attributes})
	}
	return json.Marshal(out)
}

// Query calls any query method of the ledger, such as
// /essaim.market.v1.Query/Totals, with request and answer in JSON. An empty request
// stands for {}.
//
// Errors: CodeBadInput if there is no such method or the request does not fit it.
func (c *Client) Query(ctx context.Context, method string, request json.RawMessage) (json.RawMessage, error) {
	in, out, err := messages(method)
	if err != nil {
		return nil, err
	}
	if len(request) > 0 {
		if err := c.enc.Codec.UnmarshalJSON(request, in); err != nil {
			return nil, essaim.Errorf(essaim.CodeBadInput, "", "request to %s: %w", method, err)
		}
	}
	if err := c.call(ctx, method, in, out); err != nil {
		return nil, err
	}
	return c.enc.Codec.MarshalJSON(out)
}

// messages makes the request and the response of a query method.
func messages(method string) (in, out codecMessage, err error) {
	unknown := essaim.Errorf(essaim.CodeBadInput, "give a method such as /essaim.market.v1.Query/Totals", "no query method %q", method)
	service, name, ok := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	if !ok {
		return nil, nil, unknown
	}
	d, err := proto.HybridResolver.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil, nil, unknown
	}
	s, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil, nil, unknown
	}
	m := s.Methods().ByName(protoreflect.Name(name))
	if m == nil {
		return nil, nil, unknown
	}
	in, inOK := instance(m.Input())
	out, outOK := instance(m.Output())
	if !inOK || !outOK {
		return nil, nil, unknown
	}
	return in, out, nil
}

func instance(d protoreflect.MessageDescriptor) (codecMessage, bool) {
	t := proto.MessageType(string(d.FullName()))
	if t == nil {
		return nil, false
	}
	m, ok := reflect.New(t.Elem()).Interface().(codecMessage)
	return m, ok
}
