package essaim

import (
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// MaxProof bounds the proof of a receipt, in bytes: what a transaction can show to the ledger.
const MaxProof = 700_000

// Receipt is a miner's signed statement of one finished attempt. It proves who says
// what about which task; that the output is right is what a verdict is for.
type Receipt struct {
	Version     uint64    `cbor:"1,keyasint" json:"version"`
	ChainID     string    `cbor:"2,keyasint" json:"chain_id"`
	Task        Digest    `cbor:"3,keyasint" json:"task"`
	Session     SessionID `cbor:"4,keyasint" json:"session"`
	Seq         uint64    `cbor:"5,keyasint" json:"seq"`
	Attempt     uint64    `cbor:"6,keyasint" json:"attempt"` // from 1
	Miner       NodeKey   `cbor:"7,keyasint" json:"miner"`
	Coordinator NodeKey   `cbor:"8,keyasint" json:"coordinator"`
	Model       Digest    `cbor:"9,keyasint" json:"model"`
	Engine      string    `cbor:"10,keyasint" json:"engine"`
	Input       Digest    `cbor:"11,keyasint" json:"input"`
	Seed        uint64    `cbor:"12,keyasint" json:"seed"`
	Width       uint32    `cbor:"13,keyasint" json:"width"`  // pixels
	Height      uint32    `cbor:"14,keyasint" json:"height"` // pixels
	Steps       uint32    `cbor:"15,keyasint" json:"steps"`
	Output      Digest    `cbor:"16,keyasint" json:"output"` // SHA-256 of the file
	MediaType   string    `cbor:"17,keyasint" json:"media_type"`
	Size        uint64    `cbor:"18,keyasint" json:"size"`   // of the file, in bytes
	Pixels      Digest    `cbor:"19,keyasint" json:"pixels"` // SHA-256 of the RGB bytes
	Sealed      Digest    `cbor:"20,keyasint" json:"sealed"` // SHA-256 of the sealed result blob
	Trace       Digest    `cbor:"21,keyasint" json:"trace"`  // root over the engine's steps; zero: none
	Units       uint64    `cbor:"22,keyasint" json:"units"`
	Price       Amount    `cbor:"23,keyasint" json:"price"`
	Started     int64     `cbor:"24,keyasint" json:"started"`  // Unix milliseconds, by the miner's clock
	Finished    int64     `cbor:"25,keyasint" json:"finished"` // Unix milliseconds, by the miner's clock

	Proof Digest `cbor:"26,keyasint,omitzero" json:"proof,omitzero"` // SHA-256 of the proof that came with the output; zero: none
}

// NewReceipt starts a receipt for a task: everything that must agree with the task
// is copied from it.
func NewReceipt(t Task) Receipt {
	return Receipt{
		Version: taskVersion, ChainID: t.ChainID, Task: t.Digest(), Session: t.Session, Seq: t.Seq,
		Model: t.Model, Input: t.Input, Seed: t.Seed, Width: t.Width, Height: t.Height, Steps: t.Steps,
	}
}

// Digest names the receipt: SHA-256 of its deterministic CBOR encoding.
func (r Receipt) Digest() Digest {
	c := coders.Get().(*coder)
	r.fields(c)
	return c.digest()
}

// CID is the name of the output in content-addressed storage.
func (r Receipt) CID() string { return CIDOf(r.Output) }

// Binds reports whether the receipt answers this task: same task, session, model,
// input and parameters, at a price within the maximum.
//
// Errors: CodeRefused, naming the first check that failed.
func (r Receipt) Binds(t Task) error {
	fit := func(asked, made uint32) bool { return asked == 0 || asked == made }
	checks := []struct {
		name string
		ok   bool
	}{
		{"version", r.Version == taskVersion},
		{"chain", r.ChainID == t.ChainID},
		{"task", r.Task == t.Digest()},
		{"session", r.Session == t.Session && r.Seq == t.Seq},
		{"model", r.Model == t.Model},
		{"input", r.Input == t.Input},
		{"seed", r.Seed == t.Seed},
		{"size", fit(t.Width, r.Width) && fit(t.Height, r.Height)},
		{"steps", fit(t.Steps, r.Steps) || t.Kind == KindChat && r.Steps <= t.Steps},
		{"units", t.Counts(r.Units)},
		{"price", r.Price <= t.MaxPrice},
		{"output", !r.Output.IsZero()},
		{"proof", t.Verify != VerifyProof || !r.Proof.IsZero()},
	}
	for _, c := range checks {
		if !c.ok {
			return Errorf(CodeRefused, "the miner's statement is about something else than was asked", "receipt does not bind its task: %s differs", c.name)
		}
	}
	return nil
}

// Ack is a coordinator's promise to settle receipts. The promises of one session add
// up: each says what the miner has earned with the model so far, so that the last one is
// enough to show what a settlement must pay. It names one receipt and holds for all that
// its total covers.
type Ack struct {
	ChainID  string    `cbor:"1,keyasint"`
	Receipt  Digest    `cbor:"2,keyasint"` // one of them
	Session  SessionID `cbor:"3,keyasint"`
	Price    Amount    `cbor:"4,keyasint"` // of this receipt
	Miner    NodeKey   `cbor:"5,keyasint"`
	Model    Digest    `cbor:"6,keyasint"`
	Total    Amount    `cbor:"7,keyasint"` // of the session's receipts by this miner with this model until now
	Deadline int64     `cbor:"8,keyasint"` // height by which it is settled: the session's expiry
}

// Acknowledges reports whether the promise is about the session, miner and model of this
// receipt and large enough for it. Whether it covers all receipts that it has answered is
// the miner's sum.
//
// Errors: CodeRefused.
func (a Ack) Acknowledges(r Receipt) error {
	want := a
	want.ChainID, want.Session, want.Miner, want.Model = r.ChainID, r.Session, r.Miner, r.Model
	if a != want || a.Total < max(a.Price, r.Price) || a.Deadline <= 0 {
		return Errorf(CodeRefused, "do not serve this coordinator", "something else than receipt %s was acknowledged", r.Digest().Short())
	}
	return nil
}

// ReceiptFile is what a user keeps: the signed task and the signed receipt, enough
// to check both offline. It does not hold the prompt.
type ReceiptFile struct {
	Task    []byte `cbor:"1,keyasint"`
	Receipt []byte `cbor:"2,keyasint"`
}

// Encode is the file's bytes.
func (f ReceiptFile) Encode() []byte { return encode(f) }

// DecodeReceiptFile reads a receipt file and checks nothing of what is in it.
//
// Errors: CodeBadInput.
func DecodeReceiptFile(b []byte) (f ReceiptFile, err error) {
	err = decode("receipt file", b, &f)
	return f, err
}

// ReadReceiptFile opens a receipt file and runs every check that needs no network:
// both signatures, and that the receipt binds the task.
//
// Errors: CodeRefused or CodeBadInput, naming the check that failed.
func ReadReceiptFile(b []byte) (Receipt, Task, NodeKey, error) {
	f, err := DecodeReceiptFile(b)
	if err != nil {
		return Receipt{}, Task{}, NodeKey{}, err
	}
	t, payer, err := OpenTask(f.Task)
	if err != nil {
		return Receipt{}, t, payer, err
	}
	r, err := OpenReceipt(f.Receipt)
	if err != nil {
		return r, t, payer, err
	}
	return r, t, payer, r.Binds(t)
}

// CIDOf spells a SHA-256 digest as a CID (version 1, raw codec), the name that IPFS
// tools use for the same bytes.
func CIDOf(d Digest) string {
	h, err := multihash.Encode(d[:], multihash.SHA2_256)
	if err != nil {
		panic(err) // a 32-byte digest always encodes
	}
	return cid.NewCidV1(cid.Raw, h).String()
}

// ParseCID reads a version 1, raw, SHA-256 CID.
//
// Errors: CodeBadInput for any other kind.
func ParseCID(s string) (Digest, error) {
	var d Digest
	c, err := cid.Decode(s)
	if err != nil {
		return d, Errorf(CodeBadInput, "a CID starts with bafkrei", "%q is not a CID: %v", s, err)
	}
	m, err := multihash.Decode(c.Hash())
	if err != nil || c.Version() != 1 || c.Type() != cid.Raw || m.Code != multihash.SHA2_256 || len(m.Digest) != len(d) {
		return d, Errorf(CodeBadInput, "only CID version 1, raw, SHA-256 is stored here", "%q is another kind of CID", s)
	}
	copy(d[:], m.Digest)
	return d, nil
}
