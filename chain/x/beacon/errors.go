package beacon

import (
	"google.golang.org/grpc/codes"

	errorsmod "cosmossdk.io/errors"
)

// Codes are part of the ledger's interface: clients match on (Name, code). They start at
// 2, since 0 means success and 1 an error without a code. The gRPC code is what a query
// shows.
var (
	ErrParams     = errorsmod.RegisterWithGRPCCode(Name, 2, codes.InvalidArgument, "parameters are not acceptable")
	ErrAuthority  = errorsmod.RegisterWithGRPCCode(Name, 3, codes.PermissionDenied, "only governance may do this")
	ErrNotFound   = errorsmod.RegisterWithGRPCCode(Name, 4, codes.NotFound, "no beacon of this height is kept")
	ErrAddress    = errorsmod.RegisterWithGRPCCode(Name, 5, codes.InvalidArgument, "address is not acceptable")
	ErrKey        = errorsmod.RegisterWithGRPCCode(Name, 6, codes.InvalidArgument, "key is not acceptable")
	ErrPossession = errorsmod.RegisterWithGRPCCode(Name, 7, codes.InvalidArgument, "proof of possession does not match")
	ErrValidator  = errorsmod.RegisterWithGRPCCode(Name, 8, codes.NotFound, "the account operates no validator")
	ErrPending    = errorsmod.RegisterWithGRPCCode(Name, 9, codes.FailedPrecondition, "the validator's last key is not in use yet")
	ErrState      = errorsmod.RegisterWithGRPCCode(Name, 10, codes.Internal, "stored state is malformed")
)
