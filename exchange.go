package essaim

import "crypto/ed25519"

// What a client and a coordinator say to each other. The same values travel as JSON
// over HTTP and as they are inside one process.

// CoordinatorInfo introduces a coordinator.
type CoordinatorInfo struct {
	ChainID     string      `json:"chain_id"`
	Coordinator NodeKey     `json:"coordinator"`
	Owner       Address     `json:"owner"`
	Fee         Bps         `json:"fee"`
	Models      []ModelInfo `json:"models"`        // what connected miners can run now
	Miners      int         `json:"miners"`        // connected now
	LedgerURL   string      `json:"ledger_url"`    // CometBFT RPC of a node that can be asked; "": none
	PeerAddrs   []string    `json:"peer_addrs"`    // multiaddresses that miners dial
	Version     string      `json:"version"`       // of the program
	MinDeposit  Amount      `json:"min_deposit"`   // smallest deposit worth a settlement
	ExpiryAhead int64       `json:"expiry_blocks"` // a session must be open at least this long
}

// ModelInfo is a model on offer.
type ModelInfo struct {
	Digest    Digest   `json:"digest"`
	Name      string   `json:"name"`
	Kind      Kind     `json:"kind"`
	Engine    string   `json:"engine"`
	Exact     bool     `json:"exact"` // same task, same bits, on every machine
	Sizes     []string `json:"sizes"` // "WxH"; the first is the default
	MinSteps  int      `json:"min_steps"`
	MaxSteps  int      `json:"max_steps"`
	Steps     int      `json:"steps"` // default
	Meter     Meter    `json:"meter,omitempty"`
	Inits     bool     `json:"inits,omitempty"` // takes a picture to begin with
	UnitPrice Amount   `json:"unit_price"`      // lowest among the connected miners
	Miners    int      `json:"miners"`          // how many offer it
}

// QuoteRequest asks what a task would cost and who would run it.
type QuoteRequest struct {
	Kind   Kind   `json:"kind"`
	Model  Digest `json:"model"`
	Width  uint32 `json:"width,omitempty"`
	Height uint32 `json:"height,omitempty"`
	Steps  uint32 `json:"steps,omitempty"`
	Count  int    `json:"count,omitempty"` // tasks of this sort; 0 means 1
	Units  uint64 `json:"units,omitempty"` // of a task, at the most; 0 means 1

	// Conversation names what the task goes on with, so that the miner is named first that has had it last, if that one
	// is free. At most 64 bytes, chosen at random or under a secret: never made of its words alone. "": none.
	Conversation string `json:"conversation,omitempty"`
}

// Quote answers a QuoteRequest. The input is to be sealed to every candidate, so
// that losing the first costs no further round trip.
type Quote struct {
	Model      Digest      `json:"model"`
	MaxPrice   Amount      `json:"max_price"` // of one task, with any of the candidates
	Candidates []Candidate `json:"candidates"`
	Expires    int64       `json:"expires"` // Unix milliseconds
}

// Candidate is a miner that may get the task.
type Candidate struct {
	Miner   NodeKey `json:"miner"`
	HPKEKey []byte  `json:"hpke_key"` // must equal the one the ledger has for the miner
	Price   Amount  `json:"price"`    // of one task
}

// Submission hands in a task.
type Submission struct {
	Task    []byte `json:"task"`              // COSE_Sign1 by the session's key
	Input   []byte `json:"input"`             // sealed to the quote's candidates
	Voucher []byte `json:"voucher,omitempty"` // COSE_Sign1 by the session's key: what was accepted before
	Consent []byte `json:"consent,omitempty"` // the input sealed to the coordinator, so that it may be checked without the client; nil: it may not

	// Only names the one miner that may get the task; zero: any. It does not travel: only
	// who is in the coordinator's process chooses miners.
	Only NodeKey `json:"-"`

	Conversation string `json:"conversation,omitempty"` // as in the quote's request

	// For is whom the payer pays for, and Last says that all others go first. They do not travel either: who is
	// elsewhere is one payer.
	For  string `json:"-"`
	Last bool   `json:"-"`
}

// Progress tells a client how its task is doing.
type Progress struct {
	Task    Digest    `json:"task"`
	State   TaskState `json:"state"`
	Attempt uint64    `json:"attempt"`
	Miner   NodeKey   `json:"miner"`
	Step    int       `json:"step"`
	Steps   int       `json:"steps"`
	Part    []byte    `json:"part,omitempty"` // what was written since the step before, or a preview; sealed; a slow reader misses some
	Note    string    `json:"note,omitempty"` // such as "miner 1a2b3c4d is gone, offering the task to another"
}

// Delivery is a finished task.
type Delivery struct {
	Task    Digest `json:"task"`
	Receipt []byte `json:"receipt"` // COSE_Sign1 by the miner
	Sealed  []byte `json:"sealed"`  // the encoded Output, sealed to the input's reply key
}

// Output is the plaintext of a sealed result.
type Output struct {
	MediaType string   `cbor:"1,keyasint"`
	Data      []byte   `cbor:"2,keyasint"`
	Warnings  []string `cbor:"3,keyasint"`
	Proof     []byte   `cbor:"4,keyasint,omitempty"` // that the model makes this of the input (docs/protocol/proof.md); nil: none
}

// Encode is the output's deterministic CBOR encoding.
func (o Output) Encode() []byte { return encode(o) }

// DecodeOutput reads an encoded output.
func DecodeOutput(b []byte) (Output, error) {
	var o Output
	return o, decode("output", b, &o)
}

// TaskRecord is what a coordinator knows of a task.
type TaskRecord struct {
	Digest   Digest    `json:"digest"`
	Session  SessionID `json:"session"`
	Seq      uint64    `json:"seq"`
	State    TaskState `json:"state"`
	Reason   string    `json:"reason,omitempty"` // why it ended as it did
	Miner    NodeKey   `json:"miner"`
	Attempts uint64    `json:"attempts"`
	Price    Amount    `json:"price"`
	Receipt  []byte    `json:"receipt,omitempty"` // COSE_Sign1

	// Trace is the ID of the OpenTelemetry trace that the task was part of, 32 hex digits; "": none, or it was forgotten.
	Trace string `json:"trace,omitempty"`
}

// Tx is a transaction that was committed.
type Tx struct {
	Hash     string    `json:"hash"` // upper-case hex
	Height   int64     `json:"height"`
	Gas      uint64    `json:"gas,omitempty"`      // used
	Payments []Payment `json:"payments,omitempty"` // of a settlement
}

// Payment is money that a settlement moved out of escrow.
type Payment struct {
	To     Address `json:"to"`
	Amount Amount  `json:"amount"`
	Reason string  `json:"reason"` // "miner", "royalty", "coordinator", "treasury" or "refund"
}

// Settled reports a session's settlement.
type Settled struct {
	Session SessionID `json:"session"`
	Root    SumRoot   `json:"root"`
	Tx      Tx        `json:"tx"`
}

// CloseRequest asks a coordinator to settle a session now.
type CloseRequest struct {
	ChainID string    `cbor:"1,keyasint"`
	Session SessionID `cbor:"2,keyasint"`
	Voucher []byte    `cbor:"3,keyasint,omitempty"` // COSE_Sign1 by the same key; what it covers is paid at once
}

// SignClose signs a close request with the session's key.
func SignClose(c CloseRequest, key ed25519.PrivateKey) ([]byte, error) {
	return sign(typeClose, c, key)
}

// OpenClose checks the signature and returns the request with the key that signed
// it.
func OpenClose(b []byte) (CloseRequest, NodeKey, error) {
	var c CloseRequest
	k, err := open("close request", typeClose, b, &c)
	return c, k, err
}
