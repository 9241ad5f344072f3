package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	signingv1beta1 "cosmossdk.io/api/cosmos/tx/signing/v1beta1"
	"cosmossdk.io/math"
	abci "github.com/cometbft/cometbft/abci/types"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	cmtbytes "github.com/cometbft/cometbft/libs/bytes"
	"github.com/cometbft/cometbft/p2p"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmtversion "github.com/cometbft/cometbft/proto/tendermint/version"
	rpcclient "github.com/cometbft/cometbft/rpc/client"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	cmttypes "github.com/cometbft/cometbft/types"
	"google.golang.org/protobuf/types/known/anypb"
	"pgregory.net/rapid"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	signingtypes "github.com/cosmos/cosmos-sdk/types/tx/signing"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	"github.com/cosmos/cosmos-sdk/x/tx/signing"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain"
	"github.com/essaim/essaim/chain/audit"
	"github.com/essaim/essaim/chain/client"
	"github.com/essaim/essaim/chain/ethkey"
	"github.com/essaim/essaim/gen/chain/modelv1"
)

// past is a chain of one validator with all that its node remembers, made block by block
// without consensus. The validator's operator is account 0.
type past struct {
	client.RPC
	app     *chain.App
	key     cmted25519.PrivKey
	time    time.Time
	results []*abci.ResponseFinalizeBlock // of block 1 and so on
	numbers map[essaim.Address]uint64     // of accounts
	used    map[essaim.Address]uint64     // sequence numbers
}

func newPast(t testing.TB) *past {
	t.Helper()
	p := &past{key: cmted25519.PrivKey(nodeKey("v")), time: begin, used: map[essaim.Address]uint64{}, numbers: map[essaim.Address]uint64{}}
	g := chain.Genesis{
		ChainID: chainID, Time: begin,
		Validators: []chain.Validator{{Name: "v", Key: [32]byte(public("v")), Operator: account(t, 0).Address(), Stake: 100 * essaim.AIM, Balance: rich}},
	}
	for i := range uint32(3) {
		p.numbers[account(t, i).Address()] = uint64(i)
		if i > 0 {
			g.Accounts = append(g.Accounts, chain.Account{Address: account(t, i).Address(), Balance: rich})
		}
	}
	doc, err := g.Doc()
	if err != nil {
		t.Fatal(err)
	}
	p.app = onDoc(t, doc).app
	p.results = []*abci.ResponseFinalizeBlock{{AppHash: p.app.LastCommitID().Hash}} // the block that onDoc makes has no records
	return p
}

func (p *past) height() int64 { return int64(len(p.results)) }

// block makes the next block.
func (p *past) block(t testing.TB, txs ...[]byte) *abci.ResponseFinalizeBlock {
	t.Helper()
	p.time = p.time.Add(time.Second)
	r, err := p.app.FinalizeBlock(&abci.RequestFinalizeBlock{Height: p.height() + 1, Time: p.time, Txs: txs})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.app.Commit(); err != nil {
		t.Fatal(err)
	}
	p.results = append(p.results, r)
	return r
}

// sign makes a transaction; its sequence number counts as used.
func (p *past) sign(t testing.TB, by key, gas uint64, msgs ...sdk.Msg) []byte {
	t.Helper()
	b := p.app.Signed.NewTxBuilder()
	if err := b.SetMsgs(msgs...); err != nil {
		t.Fatal(err)
	}
	b.SetGasLimit(gas)
	who := by.Address()
	pub := &ethkey.PubKey{Key: by.public}
	data := &signingtypes.SingleSignatureData{SignMode: signingtypes.SignMode_SIGN_MODE_DIRECT}
	sig := signingtypes.SignatureV2{PubKey: pub, Data: data, Sequence: p.used[who]}
	p.used[who]++
	if err := b.SetSignatures(sig); err != nil {
		t.Fatal(err)
	}
	packed, err := codectypes.NewAnyWithValue(pub)
	if err != nil {
		t.Fatal(err)
	}
	bz, err := p.app.Signed.SignModeHandler().GetSignBytes(t.Context(), signingv1beta1.SignMode_SIGN_MODE_DIRECT, signing.SignerData{
		Address: who.String(), ChainID: chainID, AccountNumber: p.numbers[who], Sequence: sig.Sequence,
		PubKey: &anypb.Any{TypeUrl: packed.TypeUrl, Value: packed.Value},
	}, b.GetTx().(authsigning.V2AdaptableTx).GetSigningTxData())
	if err != nil {
		t.Fatal(err)
	}
	if data.Signature, err = by.Sign(bz); err != nil {
		t.Fatal(err)
	}
	if err := b.SetSignatures(sig); err != nil {
		t.Fatal(err)
	}
	out, err := p.app.Signed.TxEncoder()(b.GetTx())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (p *past) Status(context.Context) (*ctypes.ResultStatus, error) {
	return &ctypes.ResultStatus{NodeInfo: p2p.DefaultNodeInfo{Network: chainID}}, nil
}

func (p *past) ABCIQueryWithOptions(ctx context.Context, path string, data cmtbytes.HexBytes, o rpcclient.ABCIQueryOptions) (*ctypes.ResultABCIQuery, error) {
	r, err := p.app.Query(ctx, &abci.RequestQuery{Path: path, Data: data, Height: o.Height, Prove: o.Prove})
	if err != nil {
		return nil, err
	}
	return &ctypes.ResultABCIQuery{Response: *r}, nil
}

func (p *past) BlockResults(_ context.Context, height *int64) (*ctypes.ResultBlockResults, error) {
	r := p.results[*height-1]
	return &ctypes.ResultBlockResults{Height: *height, TxsResults: r.TxResults, FinalizeBlockEvents: r.Events}, nil
}

func (p *past) validators() []*cmttypes.Validator {
	return []*cmttypes.Validator{cmttypes.NewValidator(p.key.PubKey(), 100)}
}

func (p *past) Validators(context.Context, *int64, *int, *int) (*ctypes.ResultValidators, error) {
	v := p.validators()
	return &ctypes.ResultValidators{Validators: v, Count: len(v), Total: len(v)}, nil
}

// Commit makes the header of a block, which proves the state after the one before, and signs it.
func (p *past) Commit(_ context.Context, height *int64) (*ctypes.ResultCommit, error) {
	h := p.height()
	if height != nil {
		h = *height
	}
	set := cmttypes.NewValidatorSet(p.validators())
	header := &cmttypes.Header{
		Version: cmtversion.Consensus{Block: 11}, ChainID: chainID, Height: h, Time: begin.Add(time.Duration(h) * time.Second),
		AppHash: p.results[h-2].AppHash, ValidatorsHash: set.Hash(), NextValidatorsHash: set.Hash(),
		ConsensusHash: set.Hash(), ProposerAddress: p.key.PubKey().Address(),
	}
	id := cmttypes.BlockID{Hash: header.Hash(), PartSetHeader: cmttypes.PartSetHeader{Total: 1, Hash: header.Hash()}}
	vote := &cmtproto.Vote{Type: cmtproto.PrecommitType, Height: h, BlockID: id.ToProto(), Timestamp: header.Time}
	sig, err := p.key.Sign(cmttypes.VoteSignBytes(chainID, vote))
	if err != nil {
		return nil, err
	}
	commit := &cmttypes.Commit{Height: h, BlockID: id, Signatures: []cmttypes.CommitSig{{
		BlockIDFlag: cmttypes.BlockIDFlagCommit, ValidatorAddress: header.ProposerAddress, Timestamp: header.Time, Signature: sig,
	}}}
	return &ctypes.ResultCommit{SignedHeader: cmttypes.SignedHeader{Header: header, Commit: commit}}, nil
}

// export writes a file and the header that proves it.
func (p *past) export(t testing.TB, r client.TrailRange) (file []byte, header audit.Header) {
	t.Helper()
	c, w := dial(t, p), &bytes.Buffer{}
	if err := c.ExportTrail(t.Context(), w, r); err != nil {
		t.Fatal(err)
	}
	var head audit.Head
	if err := json.NewDecoder(bytes.NewReader(w.Bytes())).Decode(&head); err != nil {
		t.Fatal(err)
	}
	return w.Bytes(), p.header(t, head.Header)
}

func (p *past) header(t testing.TB, height int64) audit.Header {
	t.Helper()
	text, err := dial(t, p).TrustedHeader(t.Context(), height)
	if err != nil {
		t.Fatal(err)
	}
	h, err := audit.ReadHeader(text)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (p *past) model(t testing.TB, by key, gas uint64, names ...string) []byte {
	var msgs []sdk.Msg
	for _, name := range names {
		msgs = append(msgs, &modelv1.MsgRegisterModel{Owner: by.Address().String(), Manifest: manifest(name)})
	}
	return p.sign(t, by, gas, msgs...)
}

// Gas for any of the tests' transactions, and for one message only.
const enough, scarce = 1_000_000, 60_000

// seen is what the test knows of a record without reading an event.
type seen struct {
	Height int64
	Tx     int
	Type   string
	Model  string
}

func recorded(t testing.TB, file []byte) (out []seen) {
	t.Helper()
	for line := range bytes.Lines(file) {
		var l struct {
			Kind   string
			Height int64
			Record struct {
				Tx         int
				Type       string
				Attributes struct{ Model string }
			}
		}
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		if l.Kind == audit.KindRecord {
			out = append(out, seen{l.Height, l.Record.Tx, l.Record.Type, l.Record.Attributes.Model})
		}
	}
	return out
}

// plan is a transaction that registers models; a poor one may run out of gas in between.
type plan struct {
	models []string
	poor   bool
}

// expect says which records it leaves if all goes well, and whether it can.
func (d plan) expect(height int64, tx int, taken map[string]bool) (out []seen, ok bool) {
	mine := map[string]bool{}
	for _, name := range d.models {
		digest := essaim.DigestOf(manifest(name)).String()
		if taken[digest] || mine[digest] {
			return nil, false
		}
		mine[digest] = true
		out = append(out, seen{height, tx, "essaim.model.v1.EventRegistered", digest})
	}
	return out, true
}

// TestTrailIsWhatHappened exports random schedules, in which transactions fail in the
// first message, in the last, and for lack of gas, and compares with what was done. Every
// export must hold against its header.
func TestTrailIsWhatHappened(t *testing.T) {
	var records, failed int
	rapid.Check(t, func(rt *rapid.T) {
		p := newPast(t)
		taken := map[string]bool{}
		var want []seen
		for range rapid.IntRange(3, 8).Draw(rt, "blocks") {
			var txs [][]byte
			var plans []plan
			for range rapid.IntRange(0, 4).Draw(rt, "txs") {
				by := account(t, uint32(rapid.IntRange(0, 2).Draw(rt, "by")))
				d := plan{poor: rapid.IntRange(0, 3).Draw(rt, "gas") == 0}
				if rapid.IntRange(0, 3).Draw(rt, "kind") == 0 {
					txs = append(txs, p.sign(t, by, enough, &banktypes.MsgSend{
						FromAddress: by.Address().String(), ToAddress: essaim.Address{9}.String(), Amount: sdk.NewCoins(sdk.NewInt64Coin(essaim.Denom, 1)),
					}))
				} else {
					d.models = rapid.SliceOfN(rapid.SampledFrom(strings.Split("abcdefghijklmnop", "")), 1, 3).Draw(rt, "models")
					gas := uint64(enough)
					if d.poor {
						gas = scarce
					}
					txs = append(txs, p.model(t, by, gas, d.models...))
				}
				plans = append(plans, d)
			}
			results := p.block(t, txs...).TxResults
			for i, d := range plans {
				events, ok := d.expect(p.height(), i, taken)
				if code := results[i].Code; ok != (code == 0) && !(d.poor && code == 11) {
					rt.Fatalf("transaction %d of block %d: %s", i, p.height(), results[i].Log)
				}
				if results[i].Code != 0 {
					failed++
					continue
				}
				for _, e := range events {
					taken[e.Model] = true
				}
				want = append(want, events...)
			}
		}
		p.block(t, p.model(t, account(t, 1), enough, "so that there is one"))
		want = append(want, seen{p.height(), 0, "essaim.model.v1.EventRegistered", essaim.DigestOf(manifest("so that there is one")).String()})
		p.block(t)
		p.block(t)

		file, header := p.export(t, client.TrailRange{})
		report, err := audit.Verify(bytes.NewReader(file), header)
		if err != nil {
			rt.Fatal(err)
		}
		if got := recorded(t, file); !reflect.DeepEqual(got, want) || report.Records != len(want) || report.To != p.height()-1 {
			rt.Fatalf("exported %v\nwant     %v", got, want)
		}
		records += len(want)

		from := rapid.Int64Range(1, p.height()-1).Draw(rt, "from")
		to := rapid.Int64Range(from, p.height()-1).Draw(rt, "to")
		part, header := p.export(t, client.TrailRange{From: from, To: to, Header: rapid.Int64Range(max(to+1, p.height()-1), p.height()).Draw(rt, "header")})
		if _, err := audit.Verify(bytes.NewReader(part), header); err != nil {
			rt.Fatal(err)
		}
		var inRange []seen
		for _, w := range want {
			if w.Height >= from && w.Height <= to {
				inRange = append(inRange, w)
			}
		}
		if got := recorded(t, part); !reflect.DeepEqual(got, inRange) {
			rt.Fatalf("%d to %d: exported %v\nwant     %v", from, to, got, inRange)
		}
	})
	t.Logf("%d records, %d failed transactions", records, failed)
}

// small is a past with three blocks of records, one of them of two transactions.
func small(t testing.TB) *past {
	p := newPast(t)
	p.block(t, p.model(t, account(t, 0), enough, "a"), p.model(t, account(t, 1), enough, "b", "c"))
	p.block(t)
	p.block(t, p.model(t, account(t, 0), enough, "d"))
	p.block(t, p.model(t, account(t, 0), enough, "e"))
	p.block(t)
	p.block(t)
	return p
}

// TestEveryByteCounts changes each byte of two exports, one that ends with the newest record
// and one that does not: the check must notice. Only the first line's range may become
// another that the rest still proves.
func TestEveryByteCounts(t *testing.T) {
	p := small(t)
	for _, r := range []client.TrailRange{{}, {From: 2, To: 4}} {
		file, header := p.export(t, r)
		want, err := audit.Verify(bytes.NewReader(file), header)
		if err != nil {
			t.Fatal(err)
		}
		for i := range file {
			for _, bit := range []byte{1, 0x20} {
				file[i] ^= bit
				got, err := audit.Verify(bytes.NewReader(file), header)
				file[i] ^= bit
				if err == nil && (i > bytes.IndexByte(file, '\n') || reflect.DeepEqual(got, want)) {
					t.Errorf("byte %d (%q) can be changed", i, file[i])
				}
			}
		}
	}
}

// TestLinesBelong drops, repeats, swaps and borrows lines.
func TestLinesBelong(t *testing.T) {
	p := small(t)
	file, header := p.export(t, client.TrailRange{})
	lines := strings.SplitAfter(string(file), "\n")
	lines = lines[:len(lines)-1]
	refuse := func(what string, lines ...string) {
		t.Helper()
		_, err := audit.Verify(strings.NewReader(strings.Join(lines, "")), header)
		if essaim.CodeOf(err) != essaim.CodeRefused || essaim.HintOf(err) == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	splice := func(from, to int, with ...string) []string {
		return append(append(append([]string(nil), lines[:from]...), with...), lines[to:]...)
	}
	for i, l := range lines {
		refuse(fmt.Sprint("without line ", i+1), splice(i, i+1)...)
		refuse(fmt.Sprint("twice line ", i+1), splice(i, i, l)...)
		refuse(fmt.Sprint("cut at line ", i+1), lines[:i]...)
		refuse(fmt.Sprint("cut in line ", i+1), append(append([]string(nil), lines[:i]...), l[:len(l)/2])...)
		for j := i + 1; j < len(lines); j++ {
			swapped := append([]string(nil), lines...)
			swapped[i], swapped[j] = swapped[j], swapped[i]
			refuse(fmt.Sprintf("lines %d and %d swapped", i+1, j+1), swapped...)
			refuse(fmt.Sprintf("without lines %d to %d", i+1, j+1), splice(i, j+1)...)
		}
	}
	refuse("more lines", append(append([]string(nil), lines...), "\n")...)
	refuse("nothing")
	refuse("white space", splice(1, 2, strings.Replace(lines[1], ":", ": ", 1))...)

	p.block(t, p.model(t, account(t, 2), enough, "f"))
	p.block(t)
	p.block(t)
	later, _ := p.export(t, client.TrailRange{})
	for i, l := range strings.SplitAfter(string(later), "\n") {
		if i < len(lines) && l != lines[i] {
			refuse(fmt.Sprint("from another export, line ", i+1), splice(i, i+1, l)...)
		}
	}
}

// TestAnotherHeader checks an export against headers that are not its own.
func TestAnotherHeader(t *testing.T) {
	p := small(t)
	file, header := p.export(t, client.TrailRange{})
	if _, err := audit.Verify(bytes.NewReader(file), p.header(t, p.height()-1)); essaim.CodeOf(err) != essaim.CodeRefused ||
		!strings.Contains(err.Error(), "the trusted header is another") || !strings.Contains(essaim.HintOf(err), "audit header") {
		t.Fatal(err)
	}
	other := newPast(t)
	other.block(t, other.model(t, account(t, 0), enough, "z"))
	for other.height() < p.height() {
		other.block(t)
	}
	if _, err := audit.Verify(bytes.NewReader(file), other.header(t, header.Header.Height)); !strings.Contains(fmt.Sprint(err), "line 2: not under the header's application hash") {
		t.Fatal(err)
	}

	text, err := header.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range text {
		text[i] ^= 1
		if h, err := audit.ReadHeader(text); err == nil && (!h.Signed() || !bytes.Equal(h.Header.Hash(), header.Hash)) {
			t.Errorf("byte %d of the header can be changed", i)
		}
		text[i] ^= 1
	}

	// Signatures of others, too few of them, none.
	try := func(change func(h *audit.Header)) error {
		h := header
		change(&h)
		bz, err := h.Encode()
		if err != nil {
			t.Fatal(err)
		}
		_, err = audit.ReadHeader(bz)
		return err
	}
	stranger := cmttypes.NewValidator(cmted25519.PrivKey(nodeKey("stranger")).PubKey(), 1)
	for what, change := range map[string]func(h *audit.Header){
		"another validator":  func(h *audit.Header) { h.Validators = []*cmttypes.Validator{stranger} },
		"one more validator": func(h *audit.Header) { h.Validators = append(p.validators(), stranger) },
		"no validators":      func(h *audit.Header) { h.Validators = nil },
		"no commit":          func(h *audit.Header) { h.Commit = nil },
		"no votes": func(h *audit.Header) {
			c := *h.Commit
			c.Signatures = []cmttypes.CommitSig{cmttypes.NewCommitSigAbsent()}
			h.Commit = &c
		},
		"another hash":     func(h *audit.Header) { h.Hash = make([]byte, 32) },
		"another app hash": func(h *audit.Header) { c := *h.Header; c.AppHash = make([]byte, 32); h.Header = &c },
	} {
		if err := try(change); essaim.CodeOf(err) != essaim.CodeRefused {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := try(func(h *audit.Header) { h.Commit, h.Validators = nil, nil }); err != nil {
		t.Error("a header without signatures:", err)
	}
	if _, err := audit.ReadHeader([]byte("{}")); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Error(err)
	}
}

// TestExportRefuses: a node whose memory is not what the chain committed to, and ranges
// that cannot be proved.
func TestExportRefuses(t *testing.T) {
	p := newPast(t)
	try := func(r client.TrailRange, want essaim.Code) {
		t.Helper()
		if err := dial(t, p).ExportTrail(t.Context(), &bytes.Buffer{}, r); essaim.CodeOf(err) != want {
			t.Errorf("%+v: %v, want %s", r, err, want)
		}
	}
	p.block(t)
	p.block(t)
	try(client.TrailRange{}, essaim.CodeNotFound)
	p = small(t)
	try(client.TrailRange{Header: 2}, essaim.CodeUnavailable)
	try(client.TrailRange{Header: p.height() + 1}, essaim.CodeUnavailable)
	try(client.TrailRange{From: 3, To: 2}, essaim.CodeBadInput)
	try(client.TrailRange{To: p.height()}, essaim.CodeBadInput)
	tx := p.results[1].TxResults[0]
	for i, e := range tx.Events {
		if strings.HasPrefix(e.Type, "essaim.") {
			tx.Events[i].Attributes[0].Value = `"x"`
		}
	}
	try(client.TrailRange{}, essaim.CodeConflict)
	tx.Code = 1
	try(client.TrailRange{}, essaim.CodeConflict)
}

// TestTrailOfGovernance: a proposal is recorded with its deposit, the votes and the outcome. What an
// accepted one executes is tested in package chain.
func TestTrailOfGovernance(t *testing.T) {
	p := newPast(t)
	by := account(t, 0)
	plan := &upgradetypes.MsgSoftwareUpgrade{
		Authority: authtypes.NewModuleAddress("gov").String(), Plan: upgradetypes.Plan{Name: "next <1>", Height: 1_000_000},
	}
	submit, err := govv1.NewMsgSubmitProposal([]sdk.Msg{plan}, sdk.NewCoins(sdk.NewCoin(essaim.Denom, math.NewInt(50_000_000))),
		by.Address().String(), "", "a plan", "what changes", false)
	if err != nil {
		t.Fatal(err)
	}
	who := by.Address()
	vote := govv1.NewMsgVote(who[:], 1, govv1.OptionYes, "")
	if r := p.block(t, p.sign(t, by, enough, submit), p.sign(t, by, enough, vote)); r.TxResults[0].Code != 0 || r.TxResults[1].Code != 0 {
		t.Fatal(r.TxResults[0].Log, r.TxResults[1].Log)
	}
	p.time = p.time.Add(30 * 24 * time.Hour)
	p.block(t)
	p.block(t)
	file, header := p.export(t, client.TrailRange{})
	report, err := audit.Verify(bytes.NewReader(file), header)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"submit_proposal", "proposal_deposit", "proposal_vote", "active_proposal"} {
		if report.Types[want] == 0 {
			t.Errorf("no %s in %v", want, report.Types)
		}
	}
}
