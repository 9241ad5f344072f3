package essaim

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
