package registry

import (
	"google.golang.org/grpc/codes"

	errorsmod "cosmossdk.io/errors"
)

// Codes are part of the ledger's interface: clients match on (Name, code). They start at
// 2, since 0 means success and 1 an error without a code. The gRPC code is what a query
// shows.
var (
	ErrNodeKey    = errorsmod.RegisterWithGRPCCode(Name, 2, codes.InvalidArgument, "node key must be 64 hex digits")
	ErrBond       = errorsmod.RegisterWithGRPCCode(Name, 3, codes.InvalidArgument, "bond is too small")
	ErrRegistered = errorsmod.RegisterWithGRPCCode(Name, 4, codes.AlreadyExists, "node key is already registered")
	ErrNotFound   = errorsmod.RegisterWithGRPCCode(Name, 5, codes.NotFound, "no actor holds this node key")
	ErrNotOwner   = errorsmod.RegisterWithGRPCCode(Name, 6, codes.PermissionDenied, "only the actor's owner may do this")
	ErrRetired    = errorsmod.RegisterWithGRPCCode(Name, 7, codes.FailedPrecondition, "actor is retired")
	ErrPossession = errorsmod.RegisterWithGRPCCode(Name, 8, codes.Unauthenticated, "node key has not signed this registration")
	ErrOffer      = errorsmod.RegisterWithGRPCCode(Name, 9, codes.InvalidArgument, "offers are not acceptable")
	ErrHPKEKey    = errorsmod.RegisterWithGRPCCode(Name, 10, codes.InvalidArgument, "HPKE key is not acceptable")
	ErrFee        = errorsmod.RegisterWithGRPCCode(Name, 11, codes.InvalidArgument, "fee is not acceptable")
	ErrURL        = errorsmod.RegisterWithGRPCCode(Name, 12, codes.InvalidArgument, "URL is not acceptable")
	ErrOwner      = errorsmod.RegisterWithGRPCCode(Name, 13, codes.InvalidArgument, "account cannot own an actor")
	ErrParams     = errorsmod.RegisterWithGRPCCode(Name, 14, codes.InvalidArgument, "parameters are not acceptable")
	ErrAuthority  = errorsmod.RegisterWithGRPCCode(Name, 15, codes.PermissionDenied, "only governance may do this")
	ErrRole       = errorsmod.RegisterWithGRPCCode(Name, 16, codes.InvalidArgument, "actor is neither miner nor coordinator")
	ErrStake      = errorsmod.RegisterWithGRPCCode(Name, 17, codes.FailedPrecondition, "stake is not acceptable")
	ErrJailed     = errorsmod.RegisterWithGRPCCode(Name, 18, codes.FailedPrecondition, "actor is jailed")
	ErrFrozen     = errorsmod.RegisterWithGRPCCode(Name, 19, codes.FailedPrecondition, "pool is frozen while a slash can be reversed")
	ErrCommission = errorsmod.RegisterWithGRPCCode(Name, 20, codes.InvalidArgument, "commission is not acceptable")
	ErrSlash      = errorsmod.RegisterWithGRPCCode(Name, 21, codes.InvalidArgument, "slash is not acceptable")
	ErrEvidence   = errorsmod.RegisterWithGRPCCode(Name, 22, codes.InvalidArgument, "evidence is not acceptable")
	ErrNoSlash    = errorsmod.RegisterWithGRPCCode(Name, 23, codes.NotFound, "no such slash")
	ErrEnded      = errorsmod.RegisterWithGRPCCode(Name, 24, codes.FailedPrecondition, "slash is outside its appeal window")
	ErrNotJailed  = errorsmod.RegisterWithGRPCCode(Name, 25, codes.FailedPrecondition, "actor is not jailed")
	ErrRotation   = errorsmod.RegisterWithGRPCCode(Name, 26, codes.FailedPrecondition, "node key cannot be rotated now")
	ErrAway       = errorsmod.RegisterWithGRPCCode(Name, 27, codes.InvalidArgument, "maintenance is not acceptable")
)
