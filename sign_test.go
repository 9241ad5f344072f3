package essaim_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"

	"github.com/essaim/essaim"
)

var update = flag.Bool("update", false, "rewrite the golden vectors in testdata: changes what every other program must understand")

func testKey(name string) ed25519.PrivateKey {
	seed := essaim.DigestOf([]byte("test key of " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func testTask() essaim.Task {
	t := essaim.NewTask("essaim-test", 3, 1)
	t.Kind, t.Model = essaim.KindImage, essaim.DigestOf([]byte("model"))
	t.Input = essaim.Input{Prompt: "a red apple", Salt: make([]byte, 16), ReplyKey: []byte{1, 2, 3}}.Digest()
	t.Seed, t.Width, t.Height, t.Steps, t.MaxPrice, t.Deadline = 42, 64, 64, 2, 1500, 1_800_000_000_000
	return t
}

func testReceipt(t essaim.Task) essaim.Receipt {
	r := essaim.NewReceipt(t)
	r.Attempt, r.Miner, r.Coordinator = 1, essaim.NodeKeyOf(testKey("miner")), essaim.NodeKeyOf(testKey("coordinator"))
	r.Engine, r.Output, r.MediaType, r.Size = "pixel", essaim.DigestOf([]byte("picture")), "image/png", 7
	r.Pixels, r.Sealed, r.Units, r.Price = essaim.DigestOf([]byte("pixels")), essaim.DigestOf([]byte("sealed")), 1, 1000
	r.Started, r.Finished = 1_799_999_000_000, 1_799_999_000_050
	return r
}

func testFile(t *testing.T) []byte {
	t.Helper()
	task := testTask()
	signedTask, err := essaim.SignTask(task, testKey("session"))
	if err != nil {
		t.Fatal(err)
	}
	signedReceipt, err := essaim.SignReceipt(testReceipt(task), testKey("miner"))
	if err != nil {
		t.Fatal(err)
	}
	return essaim.ReceiptFile{Task: signedTask, Receipt: signedReceipt}.Encode()
}

// TestGolden pins the bytes of every signed object: Ed25519 is deterministic, so any
// change here is a change of the protocol.
func TestGolden(t *testing.T) {
	task := testTask()
	ack, err := essaim.SignAck(essaim.Ack{
		ChainID: "essaim-test", Receipt: testReceipt(task).Digest(), Session: 3, Price: 1000, Miner: essaim.NodeKeyOf(testKey("miner")),
		Model: task.Model, Total: 4000, Deadline: 77,
	}, testKey("coordinator"))
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := essaim.SignVerdict(testVerdict(), testKey("verifier"))
	if err != nil {
		t.Fatal(err)
	}
	coordinator := essaim.NodeKeyOf(testKey("coordinator"))
	settlement := essaim.Settlement{ChainID: "essaim-test", Session: 3, Root: root(1000, 1), Receipts: essaim.DigestOf([]byte("receipts")),
		Lines: []essaim.Line{{Miner: essaim.NodeKeyOf(testKey("miner")), Model: task.Model, Amount: 1000, Tasks: 1}}}
	voucher, err := essaim.SignVoucher(essaim.Voucher{ChainID: "essaim-test", Session: 3, Coordinator: coordinator, Amount: 1000, Count: 1}, testKey("session"))
	if err != nil {
		t.Fatal(err)
	}
	opening := essaim.Opening{Task: []byte{1}, Receipt: []byte{2}, Amount: 1000, Index: 1, Siblings: []essaim.SumRoot{root(500, 1)}}
	for name, got := range map[string][]byte{
		"voucher":      voucher,
		"opening":      opening.Encode(),
		"receipt-file": testFile(t),
		"ack":          ack,
		"verdict":      verdict,
		"settlement":   settlement.SignBytes(coordinator),
		"possession":   essaim.PossessionBytes("essaim-test", essaim.Address{1}, essaim.RoleMiner, essaim.NodeKeyOf(testKey("miner"))),
	} {
		path := filepath.Join("testdata", name+".hex")
		if *update {
			if err := os.WriteFile(path, []byte(hex.EncodeToString(got)+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(got) != strings.TrimSpace(string(want)) {
			t.Errorf("%s is not what %s pins", name, path)
		}
	}
}

func TestReceiptFile(t *testing.T) {
	r, task, payer, err := essaim.ReadReceiptFile(testFile(t))
	if err != nil {
		t.Fatal(err)
	}
	if r != testReceipt(testTask()) || task != testTask() || payer != essaim.NodeKeyOf(testKey("session")) {
		t.Errorf("read back %+v of %+v by %s", r, task, payer)
	}
}

// TestReceiptFileFlips changes every bit of a receipt file: none may go unnoticed.
func TestReceiptFileFlips(t *testing.T) {
	b := testFile(t)
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if _, _, _, err := essaim.ReadReceiptFile(b); err == nil {
				t.Fatalf("bit %d of byte %d was flipped and nobody noticed", bit, i)
			}
			b[i] ^= 1 << bit
		}
	}
	if _, _, _, err := essaim.ReadReceiptFile(append(b, 0)); err == nil {
		t.Error("a byte was appended and nobody noticed")
	}
	if _, _, _, err := essaim.ReadReceiptFile(b[:len(b)-1]); err == nil {
		t.Error("a byte was cut off and nobody noticed")
	}
}

// TestReceiptBinds changes each thing that a receipt must share with its task.
func TestReceiptBinds(t *testing.T) {
	task := testTask()
	if err := testReceipt(task).Binds(task); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		check string
		lie   func(*essaim.Receipt)
	}{
		{"version", func(r *essaim.Receipt) { r.Version++ }},
		{"chain", func(r *essaim.Receipt) { r.ChainID = "another" }},
		{"task", func(r *essaim.Receipt) { r.Task[0]++ }},
		{"session", func(r *essaim.Receipt) { r.Session++ }},
		{"session", func(r *essaim.Receipt) { r.Seq++ }},
		{"model", func(r *essaim.Receipt) { r.Model[0]++ }},
		{"input", func(r *essaim.Receipt) { r.Input[0]++ }},
		{"seed", func(r *essaim.Receipt) { r.Seed++ }},
		{"size", func(r *essaim.Receipt) { r.Width++ }},
		{"size", func(r *essaim.Receipt) { r.Height++ }},
		{"steps", func(r *essaim.Receipt) { r.Steps++ }},
		{"price", func(r *essaim.Receipt) { r.Price = task.MaxPrice + 1 }},
		{"output", func(r *essaim.Receipt) { r.Output = essaim.Digest{} }},
	}
	for _, tt := range tests {
		r := testReceipt(task)
		tt.lie(&r)
		if err := r.Binds(task); err == nil || !strings.HasSuffix(err.Error(), tt.check+" differs") {
			t.Errorf("%s: Binds() = %v", tt.check, err)
		}
	}
	task.Width, task.Height, task.Steps = 0, 0, 0
	r := testReceipt(task)
	r.Width, r.Height, r.Steps = 256, 256, 2
	if err := r.Binds(task); err != nil {
		t.Errorf("a default filled in by the miner is refused: %v", err)
	}
}

// TestDomains shows that a signature of one kind never passes for another.
func TestDomains(t *testing.T) {
	ack, err := essaim.SignAck(essaim.Ack{ChainID: "c", Session: 1}, testKey("a"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := essaim.OpenClose(ack); err == nil {
		t.Error("an acknowledgement was taken for a close request")
	}
	if _, _, err := essaim.OpenTask(ack); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Errorf("an acknowledgement as a task: %v", err)
	}
	r := testReceipt(testTask())
	foreign, err := essaim.SignReceipt(r, testKey("another miner"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := essaim.OpenReceipt(foreign); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Errorf("a receipt signed by someone else: %v", err)
	}
}

// TestDetachedIsCOSE puts a detached signature back into a COSE_Sign1 message: an
// ordinary COSE library must accept it.
func TestDetachedIsCOSE(t *testing.T) {
	key := testKey("coordinator")
	signer := essaim.NodeKeyOf(key)
	s := essaim.Settlement{ChainID: "essaim-test", Session: 3}
	toSign := s.SignBytes(signer)
	var parts []any
	if err := cbor.Unmarshal(toSign, &parts); err != nil {
		t.Fatal(err)
	}
	m := cose.NewSign1Message()
	m.Headers.Protected = cose.ProtectedHeader{cose.HeaderLabelAlgorithm: cose.AlgorithmEdDSA,
		cose.HeaderLabelContentType: "application/essaim.settlement+cbor", cose.HeaderLabelKeyID: signer[:]}
	m.Payload, m.Signature = parts[3].([]byte), ed25519.Sign(key, toSign)
	v, err := cose.NewVerifier(cose.AlgorithmEdDSA, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Verify(nil, v); err != nil {
		t.Error(err)
	}
}

// TestForeignReader checks a receipt file with another language's CBOR and Ed25519:
// testdata/verify.py knows nothing of this program.
func TestForeignReader(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here")
	}
	if out, err := exec.Command(python, "-c", "import cbor2, cryptography").CombinedOutput(); err != nil {
		t.Skipf("python3 lacks cbor2 or cryptography (pip install cbor2 cryptography): %s", out)
	}
	file := filepath.Join(t.TempDir(), "receipt")
	b := testFile(t)
	write := func(b []byte) string {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(python, "testdata/verify.py", file).CombinedOutput()
		if err != nil {
			return "refused"
		}
		return strings.TrimSpace(string(out))
	}
	r := testReceipt(testTask())
	if got, want := write(b), "ok "+r.Miner.String()+" "+r.Output.String(); got != want {
		t.Errorf("verify.py says %q, want %q", got, want)
	}
	b[len(b)-1] ^= 1
	if got := write(b); got != "refused" {
		t.Errorf("verify.py says %q of a damaged receipt", got)
	}
}
