package trail

import (
	"google.golang.org/grpc/codes"

	errorsmod "cosmossdk.io/errors"
)

// Codes are part of the ledger's interface: clients match on (Name, code). They start at
// 2, since 0 means success and 1 an error without a code. The gRPC code is what a query
// shows.
var (
	ErrNotFound = errorsmod.RegisterWithGRPCCode(Name, 2, codes.NotFound, "no records in this block")
)
