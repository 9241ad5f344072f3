package model

import (
	"google.golang.org/grpc/codes"

	errorsmod "cosmossdk.io/errors"
)

// Codes are part of the ledger's interface: clients match on (Name, code). They start at
// 2, since 0 means success and 1 an error without a code. The gRPC code is what a query
// shows.
var (
	ErrManifest   = errorsmod.RegisterWithGRPCCode(Name, 2, codes.InvalidArgument, "manifest is not acceptable")
	ErrRoyalty    = errorsmod.RegisterWithGRPCCode(Name, 3, codes.InvalidArgument, "royalty is too high")
	ErrRegistered = errorsmod.RegisterWithGRPCCode(Name, 4, codes.AlreadyExists, "model is already registered")
	ErrNotFound   = errorsmod.RegisterWithGRPCCode(Name, 5, codes.NotFound, "no such model")
	ErrNotOwner   = errorsmod.RegisterWithGRPCCode(Name, 6, codes.PermissionDenied, "only the model's owner may do this")
	ErrDigest     = errorsmod.RegisterWithGRPCCode(Name, 7, codes.InvalidArgument, "digest must be 64 hex digits")
	ErrOwner      = errorsmod.RegisterWithGRPCCode(Name, 8, codes.InvalidArgument, "account cannot own a model")
	ErrData       = errorsmod.RegisterWithGRPCCode(Name, 9, codes.InvalidArgument, "owner of data is not acceptable")
)
