package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/cometbft/cometbft/crypto/merkle"
	cmtcrypto "github.com/cometbft/cometbft/proto/tendermint/crypto"
	"github.com/cosmos/cosmos-sdk/store/v2/rootmulti"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/trail"
)

// maxLine bounds a line, in bytes: a record is at most as long as the results of a block.
const maxLine = 64 << 20

// Report is what a file that holds has proved.
type Report struct {
	ChainID string         `json:"chain_id"`
	From    int64          `json:"from"` // every record of the blocks from here
	To      int64          `json:"to"`   // to here is in the file
	Header  int64          `json:"header"`
	Hash    string         `json:"header_hash"`
	Signed  bool           `json:"signed"` // the header came with signatures, and they hold
	Blocks  int            `json:"blocks"` // with records
	Records int            `json:"records"`
	Types   map[string]int `json:"types"` // how many records of each type
}

// Verify checks a file against a header that ReadHeader has returned.
//
// Errors: CodeRefused names the line and what is wrong with it.
func Verify(r io.Reader, h Header) (Report, error) {
	c := &checker{in: bufio.NewReaderSize(r, 1<<16), header: h, proofs: rootmulti.DefaultProofRuntime()}
	c.report = Report{Signed: h.Signed(), Hash: h.Hash.String(), Types: map[string]int{}}
	if err := c.run(); err != nil {
		hint := "the file was changed, cut or put together from others: export it again"
		if c.line == 1 && errors.Is(err, errHeader) {
			hint = headerHint
		}
		return Report{}, essaim.Errorf(essaim.CodeRefused, hint, "line %d: %w", c.line, err)
	}
	return c.report, nil
}

var errHeader = errors.New("the trusted header is another")

type checker struct {
	in     *bufio.Reader
	line   int
	header Header
	proofs *merkle.ProofRuntime
	head   Head
	before int64 // height of the last block line; 0: none yet
	report Report
}

func (c *checker) run() error {
	if err := c.readHead(); err != nil {
		return err
	}
	for {
		text, err := c.next()
		if err != nil {
			return err
		}
		var done bool
		if done, err = c.blockOrEnd(text); err != nil {
			return err
		}
		if done {
			break
		}
	}
	if _, err := c.in.ReadByte(); !errors.Is(err, io.EOF) {
		c.line++
		return errors.New("something follows the last line")
	}
	return nil
}

func (c *checker) readHead() error {
	text, err := c.next()
	if err != nil {
		return err
	}
	h := &c.head
	if err := decode(text, h); err != nil {
		return err
	}
	trusted := c.header.Header
	switch {
	case h.Kind != KindTrail:
		return fmt.Errorf("kind is %q, want %q", h.Kind, KindTrail)
	case h.Version != trail.Version:
		return fmt.Errorf("version is %d, this program knows %d", h.Version, trail.Version)
	case h.ChainID != trusted.ChainID:
		return fmt.Errorf("%w: it is of chain %s, the file of %s", errHeader, trusted.ChainID, h.ChainID)
	case h.Header != trusted.Height:
		return fmt.Errorf("%w: its height is %d, the file's proofs lead to %d", errHeader, trusted.Height, h.Header)
	case h.From < 1 || h.To < h.From || h.To >= h.Header:
		return fmt.Errorf("heights %d to %d make no range before %d", h.From, h.To, h.Header)
	}
	c.report.ChainID, c.report.From, c.report.To, c.report.Header = h.ChainID, h.From, h.To, h.Header
	return nil
}

// blockOrEnd reads what may follow the first line or a block's records.
func (c *checker) blockOrEnd(text []byte) (done bool, err error) {
	var probe struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(text, &probe); err != nil {
		return false, err
	}
	switch probe.Kind {
	case KindBlock:
		return false, c.block(text)
	case KindNext:
		b, err := c.readBlock(text)
		if err == nil && (b.Height <= c.head.To || b.Height >= c.head.Header) {
			err = fmt.Errorf("height %d is not after the range", b.Height)
		}
		return true, err
	case KindLast:
		return true, c.last(text)
	}
	return false, fmt.Errorf("kind is %q where a block or the end should be", probe.Kind)
}

// readBlock reads the line of an entry, which must follow on the one before.
func (c *checker) readBlock(text []byte) (b Block, err error) {
	if err := decode(text, &b); err != nil {
		return b, err
	}
	if err := c.follows(b.Previous); err != nil {
		return b, err
	}
	if len(b.Root) != merkleSize || b.Count == 0 || b.Previous < 0 || b.Height <= b.Previous {
		return b, errors.New("this is no entry")
	}
	return b, c.prove(trail.EntryKey(b.Height), trail.EntryValue(b.entry()), b.Proof)
}

const merkleSize = 32

// follows compares the height of the block with records before this place with the file.
func (c *checker) follows(previous int64) error {
	switch {
	case c.before == 0 && previous >= c.head.From:
		return fmt.Errorf("block %d is in the range and missing", previous)
	case c.before != 0 && previous != c.before:
		return fmt.Errorf("the block with records before this place is %d, the file has %d there", previous, c.before)
	}
	return nil
}

func (c *checker) block(text []byte) error {
	b, err := c.readBlock(text)
	if err != nil {
		return err
	}
	if b.Height < c.head.From || b.Height > c.head.To {
		return fmt.Errorf("block %d is not in the range", b.Height)
	}
	c.before = b.Height
	c.report.Blocks++
	for i := range b.Count {
		text, err := c.next()
		if err != nil {
			return err
		}
		if err := c.record(text, b, i); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) record(text []byte, b Block, index uint32) error {
	var r Record
	if err := decode(text, &r); err != nil {
		return err
	}
	if r.Kind != KindRecord || r.Height != b.Height || r.Index != index {
		return fmt.Errorf("this is %s %d of block %d, record %d of block %d should be here", r.Kind, r.Index, r.Height, index, b.Height)
	}
	p := merkle.Proof{Total: int64(b.Count), Index: int64(index), LeafHash: merkle.HashFromByteSlices([][]byte{r.Record})}
	for _, aunt := range r.Path {
		p.Aunts = append(p.Aunts, aunt)
	}
	if err := p.ValidateBasic(); err != nil {
		return err
	}
	if err := p.Verify(b.Root, r.Record); err != nil {
		return fmt.Errorf("the record is not what block %d has committed to: %w", b.Height, err)
	}
	var of struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(r.Record, &of); err != nil {
		return err
	}
	c.report.Records++
	c.report.Types[of.Type]++
	return nil
}

func (c *checker) last(text []byte) error {
	var l Last
	if err := decode(text, &l); err != nil {
		return err
	}
	if err := c.follows(l.Height); err != nil {
		return err
	}
	return c.prove(trail.LastKey(), trail.LastValue(l.Height), l.Proof)
}

// prove follows a key of the trail's state to the header's application hash.
func (c *checker) prove(key, value, proof []byte) error {
	var ops cmtcrypto.ProofOps
	if err := ops.Unmarshal(proof); err != nil {
		return fmt.Errorf("proof: %w", err)
	}
	if again, err := ops.Marshal(); err != nil || !bytes.Equal(again, proof) {
		return errors.New("proof: not in its only form")
	}
	var path merkle.KeyPath
	path = path.AppendKey([]byte(trail.Name), merkle.KeyEncodingURL).AppendKey(key, merkle.KeyEncodingHex)
	if err := c.proofs.VerifyValue(&ops, c.header.Header.AppHash, path.String(), value); err != nil {
		return fmt.Errorf("not under the header's application hash: %w", err)
	}
	return nil
}

// next reads a line, which must end.
func (c *checker) next() ([]byte, error) {
	c.line++
	var text []byte
	for {
		part, err := c.in.ReadSlice('\n')
		text = append(text, part...)
		switch {
		case len(text) > maxLine:
			return nil, errors.New("too long")
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return nil, errors.New("the file ends too early")
		}
		return text, err
	}
}

// decode reads a line and refuses any form of it but the one that Write gives, so that no
// byte of a file is without meaning.
func decode(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if again, err := encode(into); err != nil || !bytes.Equal(again, text) {
		return errors.New("not in its only form")
	}
	return nil
}
