package node

import (
	"context"

	"github.com/cometbft/cometbft/libs/bytes"
	rpcclient "github.com/cometbft/cometbft/rpc/client"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	cmttypes "github.com/cometbft/cometbft/types"

	"github.com/essaim/essaim"
)

// The methods below are CometBFT's, each refused once the node has stopped: on a closed
// database CometBFT would panic, and what keeps it from that (stores.use) would end the
// caller's goroutine.

// Status says which chain this is and how far the node has come.
func (n *Node) Status(ctx context.Context) (*ctypes.ResultStatus, error) {
	return call(n, func() (*ctypes.ResultStatus, error) { return n.rpc.Status(ctx) })
}

// ABCIInfo says which height the application has committed.
func (n *Node) ABCIInfo(ctx context.Context) (*ctypes.ResultABCIInfo, error) {
	return call(n, func() (*ctypes.ResultABCIInfo, error) { return n.rpc.ABCIInfo(ctx) })
}

// ABCIQueryWithOptions calls a gRPC query method of the application.
func (n *Node) ABCIQueryWithOptions(ctx context.Context, path string, data bytes.HexBytes, o rpcclient.ABCIQueryOptions) (*ctypes.ResultABCIQuery, error) {
	return call(n, func() (*ctypes.ResultABCIQuery, error) { return n.rpc.ABCIQueryWithOptions(ctx, path, data, o) })
}

// BroadcastTxSync checks a transaction and gives it to the mempool.
func (n *Node) BroadcastTxSync(ctx context.Context, tx cmttypes.Tx) (*ctypes.ResultBroadcastTx, error) {
	return call(n, func() (*ctypes.ResultBroadcastTx, error) { return n.rpc.BroadcastTxSync(ctx, tx) })
}

// Tx finds a transaction in a block.
func (n *Node) Tx(ctx context.Context, hash []byte, prove bool) (*ctypes.ResultTx, error) {
	return call(n, func() (*ctypes.ResultTx, error) { return n.rpc.Tx(ctx, hash, prove) })
}

// TxSearch finds transactions by what happened in them.
func (n *Node) TxSearch(ctx context.Context, query string, prove bool, page, perPage *int, order string) (*ctypes.ResultTxSearch, error) {
	return call(n, func() (*ctypes.ResultTxSearch, error) { return n.rpc.TxSearch(ctx, query, prove, page, perPage, order) })
}

// Block returns a block with its transactions.
func (n *Node) Block(ctx context.Context, height *int64) (*ctypes.ResultBlock, error) {
	return call(n, func() (*ctypes.ResultBlock, error) { return n.rpc.Block(ctx, height) })
}

// BlockResults returns what a block emitted.
func (n *Node) BlockResults(ctx context.Context, height *int64) (*ctypes.ResultBlockResults, error) {
	return call(n, func() (*ctypes.ResultBlockResults, error) { return n.rpc.BlockResults(ctx, height) })
}

// Commit returns a block's header with its signatures; of the newest block if height is nil.
func (n *Node) Commit(ctx context.Context, height *int64) (*ctypes.ResultCommit, error) {
	return call(n, func() (*ctypes.ResultCommit, error) { return n.rpc.Commit(ctx, height) })
}

// Validators returns a page of those who may sign a block.
func (n *Node) Validators(ctx context.Context, height *int64, page, perPage *int) (*ctypes.ResultValidators, error) {
	return call(n, func() (*ctypes.ResultValidators, error) { return n.rpc.Validators(ctx, height, page, perPage) })
}

func call[T any](n *Node, f func() (T, error)) (out T, err error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.stopped {
		return out, essaim.Errorf(essaim.CodeUnavailable, "start it again", "the node is stopped")
	}
	return f()
}
