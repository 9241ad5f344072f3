package essaim

// Dispute is a game about a receipt, as the ledger keeps it. docs/protocol/dispute.md has the rules; package
// quant/dispute plays.
type Dispute struct {
	ID          uint64    `json:"id"`
	Receipt     Digest    `json:"receipt"`
	Session     SessionID `json:"session"`
	Miner       NodeKey   `json:"miner"`
	Challenger  Address   `json:"challenger"`
	Payer       Address   `json:"payer"`
	Bond        Amount    `json:"bond"`
	Restitution Amount    `json:"restitution"` // what the payer gets back at most, once the miner is found wrong
	Deadline    int64     `json:"deadline"`    // after this height the side whose turn it is has lost; 0: over
	Turn        uint64    `json:"turn"`        // moves made
	Game        []byte    `json:"game,omitempty"`
	Verdict     string    `json:"verdict,omitempty"` // "miner wrong", "challenger wrong", "undecided"; empty: it is being played
	Silent      bool      `json:"silent,omitempty"`  // it ended because a side did not move
	Slash       uint64    `json:"slash,omitempty"`
}

const typeMove = "application/essaim.dispute-move+cbor"

// MoveBytes is what a miner's node key signs to make a move in a dispute on the ledger: the move
// answers the game as it stands after so many moves.
func MoveBytes(chainID string, dispute, turn uint64, move []byte, miner NodeKey) []byte {
	return detached(typeMove, miner, disputeMove{chainID, dispute, turn, DigestOf(move)})
}

type disputeMove struct {
	ChainID string `cbor:"1,keyasint"`
	Dispute uint64 `cbor:"2,keyasint"`
	Turn    uint64 `cbor:"3,keyasint"`
	Move    Digest `cbor:"4,keyasint"`
}
