// Package audit is the file that holds what the ledger did, with the proof of it, and the
// check of such a file against a header that the reader trusts.
//
// The check needs no node and no network: it follows each record to the Merkle root of its
// block, the root through the application's state to the hash in the header, and the
// blocks to each other, so that nothing between the first and the last height of the file
// can be missing. docs/protocol/trail.md describes the file line by line.
//
// chain/client writes such files. The package must not judge what a record says: only
// whether the chain has committed to it.
package audit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"

	"github.com/essaim/essaim/gen/chain/trailv1"
)

// Kinds of lines. A file is one trail line; for each block with records a block line and
// its record lines; and one line that proves that no block was left out at the end, next
// or last.
const (
	KindTrail  = "trail"
	KindBlock  = "block"
	KindRecord = "record"
	KindNext   = "next" // the first block with records after the range
	KindLast   = "last" // there is none: the newest block with records
)

// Head is the first line: what the file is about.
type Head struct {
	Kind    string `json:"kind"`
	Version int    `json:"version"`
	ChainID string `json:"chain_id"`
	From    int64  `json:"from"`   // first height of the range
	To      int64  `json:"to"`     // last height of the range
	Header  int64  `json:"header"` // height of the header whose application hash the proofs lead to
}

// Block is the line of a block with records, or of the next one after the range.
type Block struct {
	Kind     string `json:"kind"`
	Height   int64  `json:"height"`
	Previous int64  `json:"previous"` // height of the block with records before it; 0: none
	Count    uint32 `json:"count"`
	Root     Hex    `json:"root"`
	Proof    []byte `json:"proof"` // CometBFT's ProofOps in protobuf
}

// Record is the line of one record.
type Record struct {
	Kind   string          `json:"kind"`
	Height int64           `json:"height"`
	Index  uint32          `json:"index"` // within the block
	Record json.RawMessage `json:"record"`
	Path   []Hex           `json:"path"` // from the record's sibling to a child of the root
}

// Last is the line of a file whose range reaches to the newest record.
type Last struct {
	Kind   string `json:"kind"`
	Height int64  `json:"height"`
	Proof  []byte `json:"proof"`
}

// Hex is bytes that are written as lower-case hexadecimal digits.
type Hex []byte

// String is the digits.
func (h Hex) String() string { return hex.EncodeToString(h) }

// MarshalText writes the digits.
func (h Hex) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

// UnmarshalText reads the digits.
func (h *Hex) UnmarshalText(text []byte) (err error) {
	*h, err = hex.AppendDecode(nil, text)
	return err
}

// NewBlock is the line of an entry.
func NewBlock(kind string, e trailv1.Entry, proof []byte) Block {
	return Block{Kind: kind, Height: e.Height, Previous: e.Previous, Count: e.Count, Root: e.Root, Proof: proof}
}

func (b Block) entry() trailv1.Entry {
	return trailv1.Entry{Height: b.Height, Previous: b.Previous, Count: b.Count, Root: b.Root}
}

// Write writes one line in its only form.
func Write(w io.Writer, line any) error {
	bz, err := encode(line)
	if err != nil {
		return err
	}
	_, err = w.Write(bz)
	return err
}

func encode(line any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // records are hashed as they stand
	err := e.Encode(line)
	return b.Bytes(), err
}
