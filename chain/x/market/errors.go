package market

import (
	"google.golang.org/grpc/codes"

	errorsmod "cosmossdk.io/errors"
)

// Codes are part of the ledger's interface: clients match on (Name, code). They start at
// 2, since 0 means success and 1 an error without a code. The gRPC code is what a query
// shows.
var (
	ErrDeposit     = errorsmod.RegisterWithGRPCCode(Name, 2, codes.InvalidArgument, "deposit must be positive")
	ErrSessionKey  = errorsmod.RegisterWithGRPCCode(Name, 3, codes.InvalidArgument, "session key must be 64 hex digits")
	ErrExpiry      = errorsmod.RegisterWithGRPCCode(Name, 4, codes.InvalidArgument, "expiry is not acceptable")
	ErrCoordinator = errorsmod.RegisterWithGRPCCode(Name, 5, codes.FailedPrecondition, "no such coordinator at work")
	ErrNotFound    = errorsmod.RegisterWithGRPCCode(Name, 6, codes.NotFound, "no such session")
	ErrClosed      = errorsmod.RegisterWithGRPCCode(Name, 7, codes.FailedPrecondition, "session is closed")
	ErrExpired     = errorsmod.RegisterWithGRPCCode(Name, 8, codes.FailedPrecondition, "session has expired")
	ErrSettlement  = errorsmod.RegisterWithGRPCCode(Name, 9, codes.InvalidArgument, "settlement is not acceptable")
	ErrSignature   = errorsmod.RegisterWithGRPCCode(Name, 10, codes.Unauthenticated, "settlement is not signed by the session's coordinator")
	ErrPayee       = errorsmod.RegisterWithGRPCCode(Name, 11, codes.FailedPrecondition, "payee is not a registered miner")
	ErrModel       = errorsmod.RegisterWithGRPCCode(Name, 12, codes.FailedPrecondition, "model is not registered")
	ErrPayer       = errorsmod.RegisterWithGRPCCode(Name, 13, codes.InvalidArgument, "account cannot pay for a session")
	ErrParams      = errorsmod.RegisterWithGRPCCode(Name, 14, codes.InvalidArgument, "parameters are not acceptable")
	ErrAuthority   = errorsmod.RegisterWithGRPCCode(Name, 15, codes.PermissionDenied, "only governance may do this")
	ErrCover       = errorsmod.RegisterWithGRPCCode(Name, 16, codes.FailedPrecondition, "the coordinator's stake covers no more open deposits")
	ErrAck         = errorsmod.RegisterWithGRPCCode(Name, 17, codes.InvalidArgument, "acknowledgement is not acceptable")
	ErrOpen        = errorsmod.RegisterWithGRPCCode(Name, 18, codes.FailedPrecondition, "session is not over")
	ErrLate        = errorsmod.RegisterWithGRPCCode(Name, 19, codes.FailedPrecondition, "session cannot be contested any more")
	ErrKept        = errorsmod.RegisterWithGRPCCode(Name, 20, codes.FailedPrecondition, "the promise was kept")
	ErrClaimed     = errorsmod.RegisterWithGRPCCode(Name, 21, codes.AlreadyExists, "the claim was upheld before")
	ErrVoucher     = errorsmod.RegisterWithGRPCCode(Name, 22, codes.InvalidArgument, "voucher is not acceptable")
	ErrStale       = errorsmod.RegisterWithGRPCCode(Name, 23, codes.AlreadyExists, "the ledger has seen a newer one")
	ErrOpening     = errorsmod.RegisterWithGRPCCode(Name, 24, codes.InvalidArgument, "opening is not acceptable")
	ErrTrue        = errorsmod.RegisterWithGRPCCode(Name, 25, codes.FailedPrecondition, "the opening proves nothing wrong")
	ErrConvicted   = errorsmod.RegisterWithGRPCCode(Name, 26, codes.AlreadyExists, "the leaf was proven false before")
	ErrDraw        = errorsmod.RegisterWithGRPCCode(Name, 27, codes.NotFound, "no such draw is open")
	ErrLapsed      = errorsmod.RegisterWithGRPCCode(Name, 28, codes.FailedPrecondition, "session is not lapsed, or is no longer")
)
