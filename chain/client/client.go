// Package client is how everybody else speaks to the ledger: roles, tools and the command
// line read it and send it transactions in the network's words.
//
// What it exports mentions no type of the Cosmos SDK, so that miner, coordinator and
// wallet declare the few methods they need as interfaces of their own and never import
// it. It keeps no keys: a Signer signs. It keeps no state but the next sequence number of
// each signer, which lets one process send many transactions at once from one account.
//
// Errors carry a code of package essaim: CodeUnavailable if the node cannot be reached or
// has no block yet, CodeNotFound, CodeInsufficient, CodeConflict, CodeExpired, CodeRefused or
// CodeBadInput if the ledger says no.
package client

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cometbft/cometbft/libs/bytes"
	rpcclient "github.com/cometbft/cometbft/rpc/client"
	rpchttp "github.com/cometbft/cometbft/rpc/client/http"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	cmttypes "github.com/cometbft/cometbft/types"
	"github.com/cosmos/gogoproto/proto"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/encoding"
	"github.com/essaim/essaim/chain/node"
)

// RPC is the part of CometBFT's interface that the client uses. A node in this process
// has it, and so has CometBFT's HTTP client.
type RPC interface {
	Status(ctx context.Context) (*ctypes.ResultStatus, error)
	ABCIInfo(ctx context.Context) (*ctypes.ResultABCIInfo, error)
	ABCIQueryWithOptions(ctx context.Context, path string, data bytes.HexBytes, o rpcclient.ABCIQueryOptions) (*ctypes.ResultABCIQuery, error)
	BroadcastTxSync(ctx context.Context, tx cmttypes.Tx) (*ctypes.ResultBroadcastTx, error)
	Tx(ctx context.Context, hash []byte, prove bool) (*ctypes.ResultTx, error)
	TxSearch(ctx context.Context, query string, prove bool, page, perPage *int, order string) (*ctypes.ResultTxSearch, error)
	Block(ctx context.Context, height *int64) (*ctypes.ResultBlock, error)
	BlockResults(ctx context.Context, height *int64) (*ctypes.ResultBlockResults, error)
	Commit(ctx context.Context, height *int64) (*ctypes.ResultCommit, error)
	Validators(ctx context.Context, height *int64, page, perPage *int) (*ctypes.ResultValidators, error)
}

// Client speaks to one node. It is safe for concurrent use.
type Client struct {
	rpc   RPC
	enc   encoding.Encoding
	trial bool // simulate instead of sending

	mu      sync.Mutex
	chainID string // once known
	senders map[essaim.Address]*sender
}

// New makes a client of anything that answers CometBFT's interface.
func New(rpc RPC) (*Client, error) {
	enc, err := encoding.New()
	if err != nil {
		return nil, err
	}
	return &Client{rpc: rpc, enc: enc, senders: map[essaim.Address]*sender{}}, nil
}

// Local makes a client of a node in this process. After the node's Stop, every call
// returns CodeUnavailable.
func Local(n *node.Node) (*Client, error) { return New(n) }

// Dial makes a client of a node's RPC address, such as http://127.0.0.1:26657. It sends
// nothing yet: a node that is not there shows at the first call.
func Dial(url string) (*Client, error) {
	rpc, err := rpchttp.New(url, "/websocket")
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "give a URL such as http://127.0.0.1:26657", "node address %q: %w", url, err)
	}
	return New(rpc)
}

// Status is where a node stands.
type Status struct {
	ChainID    string    `json:"chain_id"`
	Height     int64     `json:"height"` // of the last committed block; 0: none yet
	Time       time.Time `json:"time"`   // of that block
	CatchingUp bool      `json:"catching_up"`
	Peer       string    `json:"peer"` // the node's ID on the peer network
}

// Status asks the node where it stands.
func (c *Client) Status(ctx context.Context) (Status, error) {
	s, err := c.rpc.Status(ctx)
	if err != nil {
		return Status{}, unreachable(ctx, err)
	}
	height, err := c.Height(ctx)
	return Status{
		ChainID: s.NodeInfo.Network, Height: height, Time: s.SyncInfo.LatestBlockTime,
		CatchingUp: s.SyncInfo.CatchingUp, Peer: string(s.NodeInfo.DefaultNodeID),
	}, err
}

// ChainID asks the node which chain it is on, once.
func (c *Client) ChainID(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.chainID == "" {
		s, err := c.rpc.Status(ctx)
		if err != nil {
			return "", unreachable(ctx, err)
		}
		c.chainID = s.NodeInfo.Network
	}
	return c.chainID, nil
}

// Height is the last committed height: what queries see. The block store is ahead of it
// for a moment.
func (c *Client) Height(ctx context.Context) (int64, error) {
	info, err := c.rpc.ABCIInfo(ctx)
	if err != nil {
		return 0, unreachable(ctx, err)
	}
	return info.Response.LastBlockHeight, nil
}

// BlockTime is how long a block took lately, for rough dates; 0 before the second block.
func (c *Client) BlockTime(ctx context.Context) (time.Duration, error) {
	last, err := c.rpc.Commit(ctx, nil)
	if err != nil {
		return 0, unreachable(ctx, err)
	}
	const window = 100
	begin := max(last.Height-window, 1)
	first, err := c.rpc.Commit(ctx, &begin)
	if err != nil {
		return 0, unreachable(ctx, err)
	}
	return last.Time.Sub(first.Time) / time.Duration(max(last.Height-begin, 1)), nil
}

// WaitHeight returns once the height is committed. A node that cannot be reached ends the
// wait.
func (c *Client) WaitHeight(ctx context.Context, height int64) error {
	return poll(ctx, func() (bool, error) {
		h, err := c.Height(ctx)
		return h >= height, err
	})
}

// call makes one gRPC query of the last committed state.
func (c *Client) call(ctx context.Context, method string, req, resp proto.Message) error {
	return c.callAt(ctx, 0, method, req, resp)
}

// callAt asks what was true after a block; 0: the last one.
func (c *Client) callAt(ctx context.Context, height int64, method string, req, resp proto.Message) error {
	bz, err := proto.Marshal(req)
	if err != nil {
		return err
	}
	bz, err = c.abci(ctx, height, method, bz)
	if err != nil {
		return err
	}
	if err := c.enc.Codec.Unmarshal(bz, resp.(codecMessage)); err != nil {
		return fmt.Errorf("answer to %s: %w", method, err)
	}
	return nil
}

type codecMessage interface {
	proto.Message
	Marshal() ([]byte, error)
	MarshalTo([]byte) (int, error)
	MarshalToSizedBuffer([]byte) (int, error)
	Size() int
	Unmarshal([]byte) error
}

func (c *Client) abci(ctx context.Context, height int64, method string, request []byte) ([]byte, error) {
	r, err := c.rpc.ABCIQueryWithOptions(ctx, method, request, rpcclient.ABCIQueryOptions{Height: height})
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	if r.Response.Code != 0 {
		name := method[strings.LastIndexByte(method, '/')+1:]
		return nil, refused("query "+name, r.Response.Codespace, r.Response.Code, r.Response.Log)
	}
	return r.Response.Value, nil
}

// poll asks until done, first often and then less, or until the context ends.
func poll(ctx context.Context, done func() (bool, error)) error {
	const first, last = 2 * time.Millisecond, 200 * time.Millisecond
	timer := time.NewTimer(0)
	defer timer.Stop()
	for wait := first; ; wait = min(wait*3/2, last) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		if ok, err := done(); ok || err != nil {
			return err
		}
		timer.Reset(wait)
	}
}
