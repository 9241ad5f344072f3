package chain_test

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmttypes "github.com/cometbft/cometbft/types"
	dbm "github.com/cosmos/cosmos-db"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain"
	"github.com/essaim/essaim/chain/x/beacon"
	"github.com/essaim/essaim/gen/chain/beaconv1"
)

// validating is one validator of a quorum.
type validating struct {
	app     *chain.App
	key     ed25519.PrivateKey
	address sdk.ConsAddress
	secret  beacon.Secret
	silent  bool                // votes with no extension
	forge   func([]byte) []byte // what it sends instead of its proof, unseen by the others
}

// quorum is validators with an application each, driven as consensus drives them.
type quorum struct {
	of     []*validating
	height int64
	began  time.Time
	last   abci.ExtendedCommitInfo // for the block at height
}

func secretOf(name string) beacon.Secret { return beacon.Secret(sha256.Sum256([]byte(name))) }

// newQuorum makes validators with the given stakes in AIM; the ledger knows the keys of the first keyed.
func newQuorum(t testing.TB, keyed int, stakes ...essaim.Amount) *quorum {
	t.Helper()
	g := genesis()
	g.Validators = nil
	q := &quorum{began: g.Time}
	for i, stake := range stakes {
		name := string(rune('a' + i))
		v := &validating{key: nodeKey("validates " + name), secret: secretOf(name)}
		public := v.key.Public().(ed25519.PublicKey)
		sum := sha256.Sum256(public)
		v.address = sum[:20]
		q.of = append(q.of, v)
		entry := chain.Validator{Name: name, Key: [32]byte(public), Operator: essaim.Address{0xfe, byte(i)}, Stake: stake * essaim.AIM}
		if i < keyed {
			entry.Beacon = v.secret.Public()
		}
		g.Validators = append(g.Validators, entry)
	}
	doc, err := g.Doc()
	if err != nil {
		t.Fatal(err)
	}
	params := doc.ConsensusParams.ToProto()
	for _, v := range q.of {
		v.app, err = chain.New(chain.Options{DB: dbm.NewMemDB(), ChainID: chainID, Prover: &chain.Prover{Validator: v.address, Secret: v.secret}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { v.app.Close() })
		if _, err := v.app.InitChain(&abci.RequestInitChain{
			ChainId: chainID, Time: doc.GenesisTime, InitialHeight: 1, ConsensusParams: &params, AppStateBytes: doc.AppState,
		}); err != nil {
			t.Fatal(err)
		}
	}
	// CometBFT's order: the strongest first, then by address.
	powers := map[*validating]essaim.Amount{}
	for i, v := range q.of {
		powers[v] = stakes[i]
		q.last.Votes = append(q.last.Votes, abci.ExtendedVoteInfo{Validator: abci.Validator{Address: v.address, Power: int64(stakes[i])}})
	}
	slices.SortFunc(q.of, func(a, b *validating) int {
		return cmp.Or(cmp.Compare(powers[b], powers[a]), bytes.Compare(a.address, b.address))
	})
	slices.SortFunc(q.last.Votes, func(a, b abci.ExtendedVoteInfo) int {
		return cmp.Or(cmp.Compare(b.Validator.Power, a.Validator.Power), bytes.Compare(a.Validator.Address, b.Validator.Address))
	})
	return q
}

// commit is what the header of a block says of the votes for the one before.
func (q *quorum) commit() (c abci.CommitInfo) {
	if q.height == 0 {
		return c
	}
	c.Round = q.last.Round
	for _, v := range q.last.Votes {
		c.Votes = append(c.Votes, abci.VoteInfo{Validator: v.Validator, BlockIdFlag: v.BlockIdFlag})
	}
	return c
}

func (q *quorum) time() time.Time { return q.began.Add(time.Duration(q.height+1) * time.Second) }

// propose is what an honest proposer puts into the next block.
func (q *quorum) propose(t testing.TB) [][]byte {
	t.Helper()
	local := q.last
	if q.height == 0 {
		local = abci.ExtendedCommitInfo{}
	}
	r, err := q.of[0].app.PrepareProposal(&abci.RequestPrepareProposal{
		Height: q.height + 1, Time: q.time(), MaxTxBytes: 1 << 20, LocalLastCommit: local, ProposerAddress: q.of[0].address,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r.Txs
}

// accepts tells whether a validator would vote for a block.
func (q *quorum) accepts(i int, txs [][]byte) bool {
	r, err := q.of[i].app.ProcessProposal(&abci.RequestProcessProposal{
		Height: q.height + 1, Time: q.time(), Txs: txs, ProposedLastCommit: q.commit(), ProposerAddress: q.of[0].address, Hash: make([]byte, 32),
	})
	return err == nil && r.Status == abci.ResponseProcessProposal_ACCEPT
}

func (q *quorum) welcomes(t testing.TB, of, by int, extension []byte) bool {
	t.Helper()
	r, err := q.of[by].app.VerifyVoteExtension(&abci.RequestVerifyVoteExtension{
		Height: q.height + 1, ValidatorAddress: q.of[of].address, VoteExtension: extension, Hash: make([]byte, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r.Status == abci.ResponseVerifyVoteExtension_ACCEPT
}

func (q *quorum) extension(t testing.TB, i int) []byte {
	t.Helper()
	r, err := q.of[i].app.ExtendVote(t.Context(), &abci.RequestExtendVote{Height: q.height + 1, Hash: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	return r.VoteExtension
}

// vote is a validator's precommit at a height.
func (q *quorum) vote(i int, height int64, extension []byte) abci.ExtendedVoteInfo {
	v := q.last.Votes[i]
	v.BlockIdFlag, v.VoteExtension = cmtproto.BlockIDFlagCommit, extension
	v.ExtensionSignature = ed25519.Sign(q.of[i].key, cmttypes.VoteExtensionSignBytes(chainID, &cmtproto.Vote{Height: height, Extension: extension}))
	return v
}

// block makes one block with all validators: proposal, votes, execution.
func (q *quorum) block(t testing.TB) {
	t.Helper()
	txs, next := q.propose(t), make([]abci.ExtendedVoteInfo, len(q.of))
	for i, v := range q.of {
		if !q.accepts(i, txs) {
			t.Fatalf("height %d: validator %d refuses an honest block", q.height+1, i)
		}
		extension := q.extension(t, i)
		if v.silent {
			extension = nil
		}
		if v.forge != nil {
			extension = v.forge(extension)
		} else if !q.welcomes(t, i, (i+1)%len(q.of), extension) {
			t.Fatalf("height %d: an honest vote of %d is refused", q.height+1, i)
		}
		next[i] = q.vote(i, q.height+1, extension)
	}
	var hash []byte
	for i, v := range q.of {
		r, err := v.app.FinalizeBlock(&abci.RequestFinalizeBlock{
			Height: q.height + 1, Time: q.time(), Txs: txs, DecidedLastCommit: q.commit(), ProposerAddress: q.of[0].address, Hash: make([]byte, 32),
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range r.TxResults {
			if x.Code != 0 || len(r.TxResults) != len(txs) {
				t.Fatal(r.TxResults)
			}
		}
		if i > 0 && !bytes.Equal(hash, r.AppHash) {
			t.Fatalf("height %d: validators disagree", q.height+1)
		}
		hash = r.AppHash
		if _, err := v.app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	q.last = abci.ExtendedCommitInfo{Votes: next}
	q.height++
}

func (q *quorum) beacon(t testing.TB, height int64) beaconv1.Beacon {
	t.Helper()
	b, ok, err := q.of[0].app.Beacon.Beacon(q.of[0].app.NewContext(true), height)
	if err != nil || !ok {
		t.Fatalf("beacon of height %d: %v %v", height, ok, err)
	}
	return b
}

func (q *quorum) expect(t testing.TB, contributors uint32, unpredictable bool) {
	t.Helper()
	b := q.beacon(t, q.height)
	if b.Contributors != contributors || b.Unpredictable != unpredictable || int(b.Validators) != len(q.of) {
		t.Fatalf("%+v, want %d contributors, unpredictable %v", b, contributors, unpredictable)
	}
}

// TestBeacon: every block has another beacon, the same for all, from all validators'
// outputs; those who know their proofs can recompute it.
func TestBeacon(t *testing.T) {
	q := newQuorum(t, 4, 100, 100, 100, 100)
	seen := map[string]int64{}
	for range 6 {
		votes := q.last.Votes
		q.block(t)
		b := q.beacon(t, q.height)
		if at, twice := seen[string(b.Value)]; twice {
			t.Fatal("heights", at, q.height, "have the same beacon")
		}
		seen[string(b.Value)] = q.height
		if q.height == 1 {
			if b.Contributors != 0 || b.Unpredictable {
				t.Fatal("nobody has voted before height 1", b)
			}
			continue
		}
		q.expect(t, 4, true)
		var before [32]byte // the beacon of the height before the votes
		if q.height > 2 {
			copy(before[:], q.beacon(t, q.height-2).Value)
		}
		for i, v := range q.of {
			if _, ok := v.secret.Public().Verify(beacon.Input(chainID, q.height-1, before), votes[i].VoteExtension); !ok {
				t.Fatal("a proof is not over the chain, the height and the beacon before")
			}
		}
	}
}

// TestBeaconValidators: who withholds contributes nothing and stays a validator; who tampers
// is not heard, and where nobody looked, contributes nothing either.
func TestBeaconValidators(t *testing.T) {
	q := newQuorum(t, 3, 100, 90, 80, 70) // the last has no key on the ledger
	q.block(t)
	if len(q.extension(t, 3)) != 0 {
		t.Error("a validator proves with a key that the ledger does not know")
	}
	mine := q.extension(t, 1)
	for name, bad := range map[string][]byte{
		"another's proof":   q.extension(t, 0),
		"a changed proof":   append([]byte{mine[0] ^ 1}, mine[1:]...),
		"a changed scalar":  append(bytes.Clone(mine[:79]), mine[79]^0x10),
		"a longer proof":    append(bytes.Clone(mine), 0),
		"a shorter proof":   mine[:79],
		"another height's":  q.last.Votes[1].VoteExtension,
		"something else":    []byte("x"),
		"another key's":     secretOf("other").Prove([]byte("x")),
		"zeros":             make([]byte, beacon.ProofSize),
		"another statement": q.of[1].secret.Possession(chainID, essaim.Address{}),
	} {
		if q.welcomes(t, 1, 2, bad) {
			t.Errorf("%s is welcome", name)
		}
	}
	if !q.welcomes(t, 1, 2, mine) || !q.welcomes(t, 1, 2, nil) || q.welcomes(t, 3, 2, mine) {
		t.Error("a proof and none are welcome, a proof of one without a key is not")
	}
	q.block(t)
	q.expect(t, 3, true)
	q.of[2].silent = true
	q.block(t)
	q.block(t)
	q.expect(t, 2, false) // 90 of 340 without the strongest
	q.of[2].silent = false
	q.of[0].forge = func([]byte) []byte { return []byte("came late, nobody looked") }
	q.block(t)
	q.block(t)
	q.expect(t, 2, false)
	q.of[0].forge = nil
	q.block(t)
	q.block(t)
	q.expect(t, 3, true)
}

// TestBeaconProposers: a proposer can neither leave out, change, exchange nor reorder what
// the validators of its own block's commit have signed.
func TestBeaconProposers(t *testing.T) {
	q := newQuorum(t, 4, 100, 100, 100, 100)
	if txs := q.propose(t); len(txs) != 0 || !q.accepts(1, nil) {
		t.Fatal("the first block has no votes before it", txs)
	}
	q.block(t)
	before := q.propose(t)
	q.block(t)
	honest := q.propose(t)
	if len(honest) != 1 || !q.accepts(1, honest) {
		t.Fatal("the honest block is refused")
	}
	prefix := []byte("\x00essaim-beacon\x00")
	inject := func(change func(*abci.ExtendedCommitInfo)) [][]byte {
		c := abci.ExtendedCommitInfo{Round: q.last.Round, Votes: slices.Clone(q.last.Votes)}
		change(&c)
		bz, err := c.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return [][]byte{append(bytes.Clone(prefix), bz...)}
	}
	if !q.accepts(1, inject(func(*abci.ExtendedCommitInfo) {})) {
		t.Fatal("the test does not spell an honest block")
	}
	for name, txs := range map[string][][]byte{
		"nothing":             nil,
		"not in front":        {[]byte("x"), honest[0]},
		"the one before":      before,
		"junk":                {append(bytes.Clone(prefix), "junk"...)},
		"junk behind":         {append(bytes.Clone(honest[0]), 0x20, 1)},
		"empty":               {prefix},
		"one dropped":         inject(func(c *abci.ExtendedCommitInfo) { c.Votes = c.Votes[1:] }),
		"one shown as absent": inject(func(c *abci.ExtendedCommitInfo) { c.Votes[2] = absent(c.Votes[2]) }),
		"one emptied":         inject(func(c *abci.ExtendedCommitInfo) { c.Votes[2].VoteExtension = nil }),
		"one unsigned":        inject(func(c *abci.ExtendedCommitInfo) { c.Votes[2].ExtensionSignature = nil }),
		"two exchanged":       inject(func(c *abci.ExtendedCommitInfo) { c.Votes[1], c.Votes[2] = c.Votes[2], c.Votes[1] }),
		"one twice":           inject(func(c *abci.ExtendedCommitInfo) { c.Votes[1] = c.Votes[2] }),
		"another's extension": inject(func(c *abci.ExtendedCommitInfo) { c.Votes[1].VoteExtension = c.Votes[2].VoteExtension }),
		"another round":       inject(func(c *abci.ExtendedCommitInfo) { c.Round = 1 }),
		"more power":          inject(func(c *abci.ExtendedCommitInfo) { c.Votes[0].Validator.Power = 1000 }),
		"its own invention":   inject(func(c *abci.ExtendedCommitInfo) { c.Votes[1] = q.vote(0, q.height, []byte("x")) }),
		"an older vote":       inject(func(c *abci.ExtendedCommitInfo) { c.Votes[1] = q.vote(1, q.height-1, nil) }),
	} {
		if q.accepts(1, txs) {
			t.Errorf("%s: accepted", name)
		}
	}
	q.block(t)
	// One of four may be missing from the block's commit itself; two may not.
	q.last.Votes[3] = absent(q.last.Votes[3])
	q.block(t)
	q.expect(t, 3, true)
	q.last.Votes[2], q.last.Votes[3] = absent(q.last.Votes[2]), absent(q.last.Votes[3])
	if q.accepts(1, q.propose(t)) {
		t.Error("half of the power is enough")
	}
}

func absent(v abci.ExtendedVoteInfo) abci.ExtendedVoteInfo {
	return abci.ExtendedVoteInfo{Validator: v.Validator, BlockIdFlag: cmtproto.BlockIDFlagAbsent}
}

// TestBeaconAlone: a network of one has beacons and says what they are worth; so has one
// whose validators have no keys.
func TestBeaconAlone(t *testing.T) {
	for keyed := range 2 {
		q := newQuorum(t, keyed, 100)
		for range 3 {
			q.block(t)
		}
		q.expect(t, uint32(keyed), false)
	}
}

// TestBeaconStrongest: where one validator is most of a network, the others' contributions
// do not make its beacons unpredictable.
func TestBeaconStrongest(t *testing.T) {
	q := newQuorum(t, 2, 900, 100)
	for range 3 {
		q.block(t)
	}
	q.expect(t, 2, false)
}

// TestBeaconBounded: old beacons go, also when the parameter falls, and an export has the rest.
func TestBeaconBounded(t *testing.T) {
	w := newWorld(t)
	k, m := w.app.Beacon, beacon.NewModule(w.app.Beacon)
	for w.ctx = w.ctx.WithBlockHeight(2); w.ctx.BlockHeight() <= 60; w.ctx = w.ctx.WithBlockHeight(w.ctx.BlockHeight() + 1) {
		if w.ctx.BlockHeight() == 50 {
			w.must(t, &beaconv1.MsgUpdateParams{Authority: governance(), Params: beaconv1.Params{KeepBlocks: beacon.MinKeep}})
		}
		if err := k.Advance(w.ctx, nil); err != nil {
			t.Fatal(err)
		}
	}
	for h := int64(0); h <= 61; h++ {
		if _, ok, err := k.At(w.ctx, h); err != nil || ok != (h > 60-beacon.MinKeep && h <= 60) {
			t.Fatal(h, ok, err)
		}
	}
	exported := m.ExportGenesis(w.ctx, w.app.Codec)
	if err := m.ValidateGenesis(w.app.Codec, nil, exported); err != nil {
		t.Fatal(err)
	}
	other := newWorld(t)
	m = beacon.NewModule(other.app.Beacon)
	if err := other.app.Beacon.Advance(other.ctx.WithBlockHeight(60), nil); err != nil { // is overwritten
		t.Fatal(err)
	}
	m.InitGenesis(other.ctx, other.app.Codec, exported)
	a, _, _ := k.At(w.ctx, 60)
	if b, ok, err := other.app.Beacon.At(other.ctx, 60); a != b || !ok || err != nil {
		t.Fatal(a, b, ok, err)
	}
	for _, bad := range []*beaconv1.MsgUpdateParams{
		{Authority: governance(), Params: beaconv1.Params{KeepBlocks: beacon.MinKeep - 1}},
		{Authority: governance(), Params: beaconv1.Params{KeepBlocks: beacon.MaxKeep + 1}},
		{Authority: account(1).String(), Params: beacon.DefaultParams()},
	} {
		if _, err := w.do(bad); err == nil {
			t.Errorf("%v passes", bad)
		}
	}
}

// TestBeaconKeys: a key is registered by the validator's operator who holds it, and proves
// from two heights later on; until then the one before does.
func TestBeaconKeys(t *testing.T) {
	w := newWorld(t)
	operator, validator := essaim.Address{0: 0xfe}, sdk.ConsAddress(nil)
	sum := sha256.Sum256(nodeKey("validator").Public().(ed25519.PublicKey))
	validator = sum[:20]
	proves := func(height int64, s beacon.Secret) bool {
		t.Helper()
		proof, err := w.app.Beacon.Extend(w.ctx, validator, s, height)
		if err != nil {
			t.Fatal(err)
		}
		ok, err := w.app.Beacon.Acceptable(w.ctx, validator, height, proof)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		return len(proof) > 0
	}
	first, second := secretOf("first"), secretOf("second")
	message := func(who essaim.Address, key, holder beacon.Secret, chain string, of essaim.Address) *beaconv1.MsgRegisterKey {
		return &beaconv1.MsgRegisterKey{Operator: who.String(), Key: key.Public().String(), Possession: holder.Possession(chain, of)}
	}
	order := message(operator, first, first, chainID, operator)
	order.Key = "0100000000000000000000000000000000000000000000000000000000000000" // the identity, of order 1
	for name, m := range map[string]*beaconv1.MsgRegisterKey{
		"without the key":    message(operator, first, second, chainID, operator),
		"for another":        message(operator, first, first, chainID, account(1)),
		"on another chain":   message(operator, first, first, "other", operator),
		"by nobody":          message(account(1), first, first, chainID, account(1)),
		"of small order":     order,
		"without possession": {Operator: operator.String(), Key: first.Public().String()},
		"not a key":          {Operator: operator.String(), Key: "00"},
	} {
		if _, err := w.do(m); err == nil {
			t.Errorf("a key %s is registered", name)
		}
	}
	if proves(3, first) {
		t.Error("proves without a key on the ledger")
	}
	w.must(t, message(operator, first, first, chainID, operator)) // height 2: from 4 on
	if proves(2, first) || proves(3, first) || !proves(4, first) || proves(4, second) {
		t.Error("the first key is not used from height 4 on")
	}
	if _, err := w.do(message(operator, second, second, chainID, operator)); err == nil {
		t.Error("a key is replaced before it is used")
	}
	w.ctx = w.ctx.WithBlockHeight(4)
	w.must(t, message(operator, second, second, chainID, operator))
	if !proves(4, first) || !proves(5, first) || proves(6, first) || proves(5, second) || !proves(6, second) {
		t.Error("the second key does not take over at height 6")
	}
	if err := beacon.NewHooks(w.app.Beacon).AfterValidatorRemoved(w.ctx, validator, nil); err != nil || proves(6, second) {
		t.Error("a validator that is gone proves", err)
	}
}

// BenchmarkBeacon is what one node computes for the beacon in a block of four validators: its own proof,
// the others' on receipt, all four in the block. Commit signatures, which every chain
// with extensions checks, are apart.
func BenchmarkBeacon(b *testing.B) {
	q := newQuorum(b, 4, 100, 100, 100, 100)
	q.block(b)
	q.block(b)
	v, ctx := q.of[0], q.of[0].app.NewContext(true).WithChainID(chainID).WithBlockHeight(q.height+1)
	b.Run("prove", func(b *testing.B) {
		for b.Loop() {
			if _, err := v.app.Beacon.Extend(ctx, v.address, v.secret, q.height+1); err != nil {
				b.Fatal(err)
			}
		}
	})
	mine := q.extension(b, 1)
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			if ok, err := v.app.Beacon.Acceptable(ctx, q.of[1].address, q.height+1, mine); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("advance4", func(b *testing.B) {
		for b.Loop() {
			branch, _ := ctx.CacheContext()
			if err := v.app.Beacon.Advance(branch, q.last.Votes); err != nil {
				b.Fatal(err)
			}
		}
	})
	txs := q.propose(b)
	b.Run("process4", func(b *testing.B) {
		b.ReportMetric(float64(len(txs[0])), "bytes/block")
		for b.Loop() {
			if !q.accepts(0, txs) {
				b.Fatal("refused")
			}
		}
	})
}
