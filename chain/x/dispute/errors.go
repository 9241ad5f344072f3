package dispute

import (
	"google.golang.org/grpc/codes"

	errorsmod "cosmossdk.io/errors"
)

// Codes are part of the ledger's interface: clients match on (Name, code). They start at
// 2, since 0 means success and 1 an error without a code. The gRPC code is what a query
// shows.
var (
	ErrNotFound   = errorsmod.RegisterWithGRPCCode(Name, 2, codes.NotFound, "no such dispute")
	ErrReceipt    = errorsmod.RegisterWithGRPCCode(Name, 3, codes.InvalidArgument, "receipt is not acceptable")
	ErrDisputed   = errorsmod.RegisterWithGRPCCode(Name, 4, codes.AlreadyExists, "the miner was found wrong about the receipt before")
	ErrModel      = errorsmod.RegisterWithGRPCCode(Name, 5, codes.FailedPrecondition, "no dispute is possible about the model")
	ErrMiner      = errorsmod.RegisterWithGRPCCode(Name, 6, codes.FailedPrecondition, "no such miner")
	ErrChallenger = errorsmod.RegisterWithGRPCCode(Name, 7, codes.PermissionDenied, "not the challenger of this dispute")
	ErrSignature  = errorsmod.RegisterWithGRPCCode(Name, 8, codes.Unauthenticated, "the move is not signed by the miner")
	ErrMove       = errorsmod.RegisterWithGRPCCode(Name, 9, codes.InvalidArgument, "the rules do not allow the move")
	ErrEnded      = errorsmod.RegisterWithGRPCCode(Name, 10, codes.FailedPrecondition, "the dispute is over")
	ErrParams     = errorsmod.RegisterWithGRPCCode(Name, 11, codes.InvalidArgument, "parameters are not acceptable")
	ErrAuthority  = errorsmod.RegisterWithGRPCCode(Name, 12, codes.PermissionDenied, "only governance may do this")
	ErrAddress    = errorsmod.RegisterWithGRPCCode(Name, 13, codes.InvalidArgument, "not an account")
	ErrState      = errorsmod.RegisterWithGRPCCode(Name, 14, codes.Internal, "stored dispute is not acceptable")
)
