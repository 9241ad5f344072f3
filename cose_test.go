package essaim_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"math"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
	"pgregory.net/rapid"

	"github.com/essaim/essaim"
)

func mode(t testing.TB) cbor.EncMode {
	t.Helper()
	m, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func drawTask(t *rapid.T) essaim.Task {
	d := essaim.NewTask(rapid.String().Draw(t, "chain"), essaim.SessionID(rapid.Uint64().Draw(t, "session")), rapid.Uint64Range(1, math.MaxInt64).Draw(t, "seq"))
	d.Kind = rapid.SampledFrom([]essaim.Kind{essaim.KindImage, essaim.KindEmbed}).Draw(t, "kind")
	d.Model, d.Input, d.Plan = drawDigest(t), drawDigest(t), drawDigest(t)
	d.Seed, d.MaxPrice = rapid.Uint64().Draw(t, "seed"), essaim.Amount(rapid.Uint64().Draw(t, "price"))
	side := rapid.Uint32Range(0, essaim.MaxSide)
	d.Width, d.Height, d.Steps = side.Draw(t, "width"), side.Draw(t, "height"), rapid.Uint32().Draw(t, "steps")
	d.Verify, d.Deadline = rapid.String().Draw(t, "verify"), rapid.Int64().Draw(t, "deadline")
	return d
}

func drawDigest(t *rapid.T) essaim.Digest {
	return essaim.DigestOf(rapid.SliceOfN(rapid.Byte(), 1, 4).Draw(t, "digest of"))
}

func drawReceipt(t *rapid.T) essaim.Receipt {
	r := essaim.NewReceipt(drawTask(t))
	r.Attempt, r.Miner = rapid.Uint64().Draw(t, "attempt"), essaim.NodeKeyOf(testKey("miner"))
	r.Engine, r.MediaType = rapid.String().Draw(t, "engine"), rapid.String().Draw(t, "media")
	r.Output, r.Pixels, r.Sealed, r.Trace = drawDigest(t), drawDigest(t), drawDigest(t), drawDigest(t)
	r.Size, r.Units, r.Price = rapid.Uint64().Draw(t, "size"), rapid.Uint64().Draw(t, "units"), essaim.Amount(rapid.Uint64().Draw(t, "price"))
	r.Started, r.Finished = rapid.Int64().Draw(t, "started"), rapid.Int64().Draw(t, "finished")
	return r
}

// payload takes a COSE_Sign1 message apart with a library, and checks its signature with
// the library and with crypto/ed25519.
func payload(t require, signed []byte, key ed25519.PrivateKey) []byte {
	var m cose.Sign1Message
	if err := m.UnmarshalCBOR(signed); err != nil {
		t.Fatal(err)
	}
	v, err := cose.NewVerifier(cose.AlgorithmEdDSA, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Verify(nil, v); err != nil {
		t.Fatal(err)
	}
	signer, err := cose.NewSigner(cose.AlgorithmEdDSA, key)
	if err != nil {
		t.Fatal(err)
	}
	again := cose.Sign1Message{Headers: cose.Headers{Protected: m.Headers.Protected}, Payload: m.Payload}
	if err := again.Sign(rand.Reader, nil, signer); err != nil {
		t.Fatal(err)
	}
	if b, err := again.MarshalCBOR(); err != nil || !bytes.Equal(b, signed) {
		t.Fatalf("a COSE library writes %x (%v), we %x", b, err, signed)
	}
	return m.Payload
}

type require interface {
	Fatal(...any)
	Fatalf(string, ...any)
}

// TestWrittenAsLibrariesWouldWriteIt: our own writer of the frequent objects agrees with
// a CBOR library, and the message around them with a COSE library.
func TestWrittenAsLibrariesWouldWriteIt(t *testing.T) {
	enc := mode(t)
	payer, miner := testKey("payer"), testKey("miner")
	same := func(t *rapid.T, got []byte, of any) {
		if want, err := enc.Marshal(of); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("a CBOR library writes %x (%v), we %x", want, err, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		task, r := drawTask(t), drawReceipt(t)
		signed, err := essaim.SignTask(task, payer)
		if err != nil {
			t.Fatal(err)
		}
		same(t, payload(t, signed, payer), task)
		if got, by, err := essaim.OpenTask(signed); err != nil || got != task || by != essaim.NodeKeyOf(payer) {
			t.Fatalf("%+v comes back as %+v by %s: %v", task, got, by.Short(), err)
		}
		if signed, err = essaim.SignReceipt(r, miner); err != nil {
			t.Fatal(err)
		}
		same(t, payload(t, signed, miner), r)
		if got, err := essaim.OpenReceipt(signed); err != nil || got != r {
			t.Fatalf("%+v comes back as %+v: %v", r, got, err)
		}
		ack := essaim.Ack{ChainID: r.ChainID, Receipt: r.Digest(), Session: r.Session, Price: r.Price, Miner: r.Miner, Model: r.Model, Total: r.Price, Deadline: r.Started}
		if signed, err = essaim.SignAck(ack, payer); err != nil {
			t.Fatal(err)
		}
		same(t, payload(t, signed, payer), ack)
		if got, _, err := essaim.OpenAck(signed); err != nil || got != ack {
			t.Fatalf("%+v comes back as %+v: %v", ack, got, err)
		}
	})
}

// TestOneEncoding signs payloads that say the same in another way: none is accepted.
func TestOneEncoding(t *testing.T) {
	key := testKey("miner")
	enc := mode(t)
	good, err := enc.Marshal(testReceipt(testTask()))
	if err != nil {
		t.Fatal(err)
	}
	sign := func(payload []byte, h cose.Headers) []byte {
		m := cose.Sign1Message{Headers: h, Payload: payload}
		signer, err := cose.NewSigner(cose.AlgorithmEdDSA, key)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Sign(rand.Reader, nil, signer); err != nil {
			t.Fatal(err)
		}
		b, err := m.MarshalCBOR()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	id := essaim.NodeKeyOf(key)
	headers := func() cose.Headers {
		return cose.Headers{Protected: cose.ProtectedHeader{cose.HeaderLabelAlgorithm: cose.AlgorithmEdDSA,
			cose.HeaderLabelContentType: "application/essaim.receipt+cbor", cose.HeaderLabelKeyID: id[:]}}
	}
	if _, err := essaim.OpenReceipt(sign(good, headers())); err != nil {
		t.Fatal(err)
	}
	change := func(old, new string) []byte {
		o, _ := hex.DecodeString(old)
		n, _ := hex.DecodeString(new)
		if bytes.Count(good, o) != 1 {
			t.Fatalf("%s is %d times in %x", old, bytes.Count(good, o), good)
		}
		return bytes.Replace(good, o, n, 1)
	}
	loose := headers()
	loose.Unprotected = cose.UnprotectedHeader{int64(100): "x"}
	more := headers()
	more.Protected[int64(100)] = "x"
	other := headers()
	other.Protected[cose.HeaderLabelContentType] = "application/essaim.task+cbor"
	for name, b := range map[string][]byte{
		"a long head":           sign(change("b8190101", "b819011801"), headers()),
		"a map of no length":    sign(append(change("b8190101", "bf0101"), 0xff), headers()),
		"a field more":          sign(append(change("b8190101", "b81a0101"), 0x18, 0x1a, 0), headers()),
		"a field less":          sign(change("b8190101", "b818"), headers()),
		"fields in other order": sign(change("0f02", "1000"), headers()),
		"a number too large":    sign(change("0d1840", "0d1b0000000100000000"), headers()),
		"text that is not":      sign(change("69"+hex.EncodeToString([]byte("image/png")), "69ff6d6167652f706e67"), headers()),
		"nothing":               sign([]byte{}, headers()),
		"a byte after it":       sign(append(bytes.Clone(good), 0), headers()),
		"an unprotected header": sign(good, loose),
		"a header more":         sign(good, more),
		"another type":          sign(good, other),
	} {
		if _, err := essaim.OpenReceipt(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzOpenReceipt(f *testing.F) {
	b, err := essaim.SignReceipt(testReceipt(testTask()), testKey("miner"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0xd2, 0x84})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, _, err := essaim.ReadReceipt(b)
		if err != nil {
			return
		}
		var m cose.Sign1Message
		if err := m.UnmarshalCBOR(b); err != nil {
			t.Fatalf("we read what a COSE library does not: %v", err)
		}
		if want, err := mode(t).Marshal(r); err != nil || !bytes.Equal(want, m.Payload) {
			t.Fatalf("%x is read as %+v", m.Payload, r)
		}
	})
}
