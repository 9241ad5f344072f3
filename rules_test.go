package essaim_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/essaim/essaim"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// spec is the table of "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko 2020): signatures that
// programs disagree on.
var spec = []struct {
	about              string
	message, key, sig  string
	standard, accepted bool // crypto/ed25519; ours
}{
	{"small order A and R", "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a0000000000000000000000000000000000000000000000000000000000000000", true, true},
	{"small order A", "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04", true, true},
	{"small order R", "aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab", "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e", true, true},
	{"mixed orders", "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79", "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
		"9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009", true, true},
	{"holds with the cofactor only", "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c", "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
		"160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09", false, true},
}

// TestRules: what the rules accept beyond crypto/ed25519, and that it is that only.
func TestRules(t *testing.T) {
	for _, c := range spec {
		key, message, sig := unhex(t, c.key), unhex(t, c.message), unhex(t, c.sig)
		if got := ed25519.Verify(key, message, sig); got != c.standard {
			t.Errorf("%s: crypto/ed25519 says %t", c.about, got)
		}
		if got := essaim.NodeKey(key).Verify(message, sig); got != c.accepted {
			t.Errorf("%s: Verify says %t", c.about, got)
		}
	}
	key := testKey("a")
	sig := ed25519.Sign(key, []byte("message"))
	id := essaim.NodeKeyOf(key)
	if !id.Verify([]byte("message"), sig) || id.Verify([]byte("massage"), sig) || id.Verify([]byte("message"), sig[:63]) || id.Verify([]byte("message"), nil) {
		t.Error("an ordinary signature is not told from a wrong one")
	}
	for i := range sig { // S above the group's order, too
		wrong := bytes.Clone(sig)
		wrong[i] ^= 0x80
		if id.Verify([]byte("message"), wrong) || ed25519.Verify(key.Public().(ed25519.PublicKey), []byte("message"), wrong) {
			t.Errorf("byte %d changed: accepted", i)
		}
	}
}

// TestTogetherAsAlone: many signatures checked at once get the answers that each gets
// alone, also the ones that programs disagree on.
func TestTogetherAsAlone(t *testing.T) {
	signed, err := essaim.SignTask(testTask(), testKey("session"))
	if err != nil {
		t.Fatal(err)
	}
	own := essaim.NodeKeyOf(testKey("session"))
	with := func(key, r string) []byte { // a key that anybody can sign with: of small order
		b := bytes.Replace(bytes.Clone(signed), own[:], unhex(t, key), 1)
		copy(b[len(b)-64:], append(unhex(t, r), make([]byte, 32)...))
		return b
	}
	const (
		one   = "0100000000000000000000000000000000000000000000000000000000000000"
		eight = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"
	)
	flipped := bytes.Clone(signed)
	flipped[len(flipped)-40] ^= 1
	kinds := map[string]struct {
		b        []byte
		accepted bool
	}{
		"ordinary": {signed, true}, "wrong": {flipped, false},
		"one": {with(one, one), true}, "small": {with(one, eight), true}, "small key": {with(eight, eight), true},
	}
	for name, k := range kinds {
		if _, _, err := essaim.OpenTask(k.b); err == nil != k.accepted {
			t.Errorf("%s alone: %v", name, err)
		}
	}
	for _, names := range [][]string{{}, {"ordinary"}, {"wrong"}, {"small"}, {"ordinary", "small", "one", "small key"}, {"ordinary", "wrong", "small", "ordinary"},
		slices.Repeat([]string{"ordinary", "small"}, 100), append(slices.Repeat([]string{"ordinary"}, 300), "wrong")} {
		var all []essaim.Signature
		accepted := true
		for _, n := range names {
			_, s, err := essaim.ReadTask(kinds[n].b)
			if err != nil {
				t.Fatal(err)
			}
			all, accepted = append(all, s), accepted && kinds[n].accepted
		}
		errs := essaim.CheckSignatures(all)
		if (errs == nil) != accepted {
			t.Errorf("%d together: %v", len(names), errs)
		}
		for i, err := range errs {
			if (err == nil) != kinds[names[i]].accepted || err != nil && essaim.CodeOf(err) != essaim.CodeRefused {
				t.Errorf("%s together with %d: %v", names[i], len(names), err)
			}
		}
	}
}

func BenchmarkSignTask(b *testing.B) {
	task, key := testTask(), testKey("session")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := essaim.SignTask(task, key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenTask(b *testing.B) {
	signed, err := essaim.SignTask(testTask(), testKey("session"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := essaim.OpenTask(signed); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCheckSignatures reads and checks 256 receipts together; ns/op is of one.
func BenchmarkCheckSignatures(b *testing.B) {
	signed, err := essaim.SignReceipt(testReceipt(testTask()), testKey("miner"))
	if err != nil {
		b.Fatal(err)
	}
	all := make([]essaim.Signature, 0, 256)
	check := func() {
		if errs := essaim.CheckSignatures(all); errs != nil {
			b.Fatal(errs)
		}
		all = all[:0]
	}
	b.ReportAllocs()
	for b.Loop() {
		_, s, err := essaim.ReadReceipt(signed)
		if err != nil {
			b.Fatal(err)
		}
		if all = append(all, s); len(all) == cap(all) {
			check()
		}
	}
	check()
}
