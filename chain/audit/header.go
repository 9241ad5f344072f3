package audit

import (
	"bytes"

	cmtbytes "github.com/cometbft/cometbft/libs/bytes"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	cmttypes "github.com/cometbft/cometbft/types"

	"github.com/essaim/essaim"
)

// Header is a block's header, and if it is signed, who signed it. Its JSON form is
// CometBFT's.
type Header struct {
	Hash       cmtbytes.HexBytes     `json:"hash"` // of the header, again: what people compare
	Header     *cmttypes.Header      `json:"header"`
	Commit     *cmttypes.Commit      `json:"commit,omitempty"`
	Validators []*cmttypes.Validator `json:"validators,omitempty"`
}

const headerHint = "get it from a node that you trust: essaim audit header HEIGHT"

// Encode writes the header's file.
func (h Header) Encode() ([]byte, error) {
	out, err := cmtjson.MarshalIndent(h, "", "  ")
	return append(out, '\n'), err
}

// ReadHeader reads a header's file and checks it in itself: the hash, and with a commit
// the signatures of more than two thirds of the voting power. It cannot say whether the
// header is the right chain's: compare Hash, or Header.ValidatorsHash, with what you
// trust.
//
// Errors: CodeBadInput for what is no header, CodeRefused for one that does not hold.
func ReadHeader(text []byte) (Header, error) {
	var h Header
	if err := cmtjson.Unmarshal(text, &h); err != nil || h.Header == nil {
		return h, essaim.Errorf(essaim.CodeBadInput, headerHint, "the trusted header's file is not what `essaim audit header` writes")
	}
	if err := h.Header.ValidateBasic(); err != nil {
		return h, refusedHeader("%w", err)
	}
	if got := h.Header.Hash(); !bytes.Equal(got, h.Hash) {
		return h, refusedHeader("its hash is %s, the file says %s", got, h.Hash)
	}
	if h.Commit == nil && h.Validators == nil {
		return h, nil
	}
	return h, h.checkSignatures()
}

// Signed reports whether the file has signatures, which ReadHeader then has checked.
func (h Header) Signed() bool { return h.Commit != nil }

func (h Header) checkSignatures() error {
	if h.Commit == nil || len(h.Validators) == 0 {
		return refusedHeader("it has signatures or validators, but not both")
	}
	set, err := cmttypes.ValidatorSetFromExistingValidators(h.Validators)
	if err != nil {
		return refusedHeader("validators: %w", err)
	}
	block := cmttypes.LightBlock{SignedHeader: &cmttypes.SignedHeader{Header: h.Header, Commit: h.Commit}, ValidatorSet: set}
	if err := block.ValidateBasic(h.Header.ChainID); err != nil {
		return refusedHeader("%w", err)
	}
	if err := set.VerifyCommitLight(h.Header.ChainID, h.Commit.BlockID, h.Header.Height, h.Commit); err != nil {
		return refusedHeader("signatures: %w", err)
	}
	return nil
}

func refusedHeader(format string, args ...any) error {
	return essaim.Errorf(essaim.CodeRefused, headerHint, "the trusted header does not hold: "+format, args...)
}
