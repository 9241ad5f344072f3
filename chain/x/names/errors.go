package names

import (
	"google.golang.org/grpc/codes"

	errorsmod "cosmossdk.io/errors"
)

// Codes are part of the ledger's interface: clients match on (Name, code). They start at
// 2, since 0 means success and 1 an error without a code. The gRPC code is what a query
// shows.
var (
	ErrName      = errorsmod.RegisterWithGRPCCode(Name, 2, codes.InvalidArgument, "not a name")
	ErrTaken     = errorsmod.RegisterWithGRPCCode(Name, 3, codes.AlreadyExists, "name is taken")
	ErrAlike     = errorsmod.RegisterWithGRPCCode(Name, 4, codes.AlreadyExists, "name looks like another")
	ErrNotFound  = errorsmod.RegisterWithGRPCCode(Name, 5, codes.NotFound, "nobody has this name")
	ErrNotOwner  = errorsmod.RegisterWithGRPCCode(Name, 6, codes.PermissionDenied, "only the name's owner may do this")
	ErrOwner     = errorsmod.RegisterWithGRPCCode(Name, 7, codes.InvalidArgument, "account cannot own a name")
	ErrFee       = errorsmod.RegisterWithGRPCCode(Name, 8, codes.FailedPrecondition, "fee is above what was agreed to")
	ErrPeriods   = errorsmod.RegisterWithGRPCCode(Name, 9, codes.FailedPrecondition, "name is paid for too far ahead")
	ErrParams    = errorsmod.RegisterWithGRPCCode(Name, 10, codes.InvalidArgument, "parameters are not acceptable")
	ErrAuthority = errorsmod.RegisterWithGRPCCode(Name, 11, codes.PermissionDenied, "only governance may do this")
)
