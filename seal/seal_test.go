package seal_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
	"github.com/essaim/essaim/seal"
)

func newKey(t testing.TB) *seal.PrivateKey {
	t.Helper()
	k, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustSeal(t testing.TB, plaintext, info []byte, to ...*seal.PrivateKey) []byte {
	t.Helper()
	recipients := make([][]byte, len(to))
	for i, k := range to {
		recipients[i] = k.PublicKey()
	}
	env, err := seal.Seal(plaintext, info, recipients...)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func wantCode(t testing.TB, err error, code essaim.Code) {
	t.Helper()
	if err == nil || essaim.CodeOf(err) != code {
		t.Fatalf("got error %v, want code %s", err, code)
	}
}

func TestEveryRecipientOpens(t *testing.T) {
	keys := []*seal.PrivateKey{newKey(t), newKey(t), newKey(t)}
	for _, size := range []int{0, 1, 1020, 1021, 4096, 16 << 10, 64 << 10, 200_000} {
		plaintext := make([]byte, size)
		rand.Read(plaintext)
		env := mustSeal(t, plaintext, []byte("info"), keys...)
		for i, k := range keys {
			got, err := k.Open(env, []byte("info"))
			if err != nil || !bytes.Equal(got, plaintext) {
				t.Fatalf("recipient %d, %d bytes: %v", i, size, err)
			}
		}
	}
}

func TestStrangersAndOtherInfoAreRefused(t *testing.T) {
	k, stranger := newKey(t), newKey(t)
	env := mustSeal(t, []byte("a red apple"), []byte("task"), k)
	_, err := stranger.Open(env, []byte("task"))
	wantCode(t, err, essaim.CodeRefused)
	for _, info := range []string{"", "tas", "task2"} {
		_, err = k.Open(env, []byte(info))
		wantCode(t, err, essaim.CodeRefused)
	}
}

func TestEveryChangedByteIsRefused(t *testing.T) {
	k, other := newKey(t), newKey(t)
	env := mustSeal(t, []byte("a red apple"), nil, other, k)
	for i := range env {
		env[i] ^= 0x41
		if _, err := k.Open(env, nil); essaim.CodeOf(err) != essaim.CodeRefused || err == nil {
			t.Fatalf("byte %d changed: got %v, want refused", i, err)
		}
		env[i] ^= 0x41
	}
	for n := range env {
		if _, err := k.Open(env[:n], nil); err == nil {
			t.Fatalf("cut to %d bytes: opened", n)
		}
	}
	_, err := k.Open(append(env, 0), nil)
	wantCode(t, err, essaim.CodeRefused)
}

func TestSlotsCannotMoveBetweenEnvelopes(t *testing.T) {
	k, other := newKey(t), newKey(t)
	a := mustSeal(t, []byte("one"), nil, k, other)
	b := mustSeal(t, []byte("two"), nil, k, other)
	const head = 21 + 2*1184
	_, err := k.Open(append(bytes.Clone(a[:head]), b[head:]...), nil)
	wantCode(t, err, essaim.CodeRefused)
}

func TestSizesTellOnlyTheBucket(t *testing.T) {
	k := newKey(t)
	const overhead = 21 + 1184 + 16
	for _, c := range []struct{ size, padded int }{
		{0, 1 << 10}, {1020, 1 << 10}, {1021, 4 << 10}, {4092, 4 << 10}, {4093, 16 << 10},
		{16380, 16 << 10}, {16381, 64 << 10}, {65532, 64 << 10}, {65533, 128 << 10}, {131068, 128 << 10}, {131069, 192 << 10},
	} {
		if got := len(mustSeal(t, make([]byte, c.size), nil, k)); got != overhead+c.padded {
			t.Errorf("%d bytes make an envelope of %d, want %d", c.size, got, overhead+c.padded)
		}
	}
}

func TestSealsDiffer(t *testing.T) {
	k := newKey(t)
	if bytes.Equal(mustSeal(t, []byte("x"), nil, k), mustSeal(t, []byte("x"), nil, k)) {
		t.Fatal("two envelopes of one plaintext are equal")
	}
}

func TestSealRefuses(t *testing.T) {
	k := newKey(t)
	many := make([][]byte, seal.MaxRecipients+1)
	for i := range many {
		many[i] = k.PublicKey()
	}
	for name, recipients := range map[string][][]byte{
		"none": nil, "too many": many, "repeated": {k.PublicKey(), k.PublicKey()},
		"short": {k.PublicKey()[1:]}, "long": {append(k.PublicKey(), 0)}, "empty": {nil},
		"not a key": {bytes.Repeat([]byte{0xff}, seal.PublicKeySize)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := seal.Seal([]byte("x"), nil, recipients...)
			wantCode(t, err, essaim.CodeBadInput)
		})
	}
	_, err := seal.Seal(make([]byte, seal.MaxPlaintext+1), nil, k.PublicKey())
	wantCode(t, err, essaim.CodeBadInput)
	_, err = k.Open(make([]byte, seal.MaxEnvelope+1), nil)
	wantCode(t, err, essaim.CodeRefused)
}

func TestTheLargestEnvelopeFitsABlob(t *testing.T) {
	if seal.MaxEnvelope > blob.MaxSize {
		t.Fatalf("an envelope may have %d bytes, a blob %d", seal.MaxEnvelope, blob.MaxSize)
	}
	k := newKey(t)
	env := mustSeal(t, make([]byte, seal.MaxPlaintext), nil, k)
	if got, err := k.Open(env, nil); err != nil || len(got) != seal.MaxPlaintext {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestKeysSurviveBytes(t *testing.T) {
	k := newKey(t)
	again, err := seal.ParsePrivateKey(k.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.PublicKey(), k.PublicKey()) || len(k.PublicKey()) != seal.PublicKeySize {
		t.Fatal("the key changed on the way")
	}
	got, err := again.Open(mustSeal(t, []byte("x"), nil, k), nil)
	if err != nil || string(got) != "x" {
		t.Fatal(err)
	}
	_, err = seal.ParsePrivateKey(k.Bytes()[1:])
	wantCode(t, err, essaim.CodeBadInput)
	if err := seal.CheckPublicKey(k.PublicKey()); err != nil {
		t.Fatal(err)
	}
}

// golden is an envelope of "a red apple" with info "golden" for the key whose 32
// bytes are all 7, made by the first program with version 2 of the format.
func golden(t testing.TB) (*seal.PrivateKey, []byte) {
	t.Helper()
	k, err := seal.ParsePrivateKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	env, err := os.ReadFile("testdata/envelope-2.bin")
	if err != nil {
		t.Fatal(err)
	}
	return k, env
}

func TestVersion2StillOpens(t *testing.T) {
	k, env := golden(t)
	got, err := k.Open(env, []byte("golden"))
	if err != nil || string(got) != "a red apple" {
		t.Fatalf("%q, %v", got, err)
	}
}

// TestASenderAgreesOnce: envelopes of one sender share the encapsulated keys and nothing
// else, and open with a memory of them and without.
func TestASenderAgreesOnce(t *testing.T) {
	k, other := newKey(t), newKey(t)
	var s seal.Sender
	to := [][]byte{k.PublicKey(), other.PublicKey()}
	const enc, wrapped, body = 21 + 16, 21 + 16 + 1120, 21 + 2*1184
	var first []byte
	for i := range 3 {
		env, err := s.Seal([]byte("the same"), []byte("info"), to...)
		if err != nil {
			t.Fatal(err)
		}
		forgetful, err := seal.ParsePrivateKey(k.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []*seal.PrivateKey{k, other, forgetful} {
			if got, err := key.Open(env, []byte("info")); err != nil || string(got) != "the same" {
				t.Fatalf("%q, %v", got, err)
			}
			_, err := key.Open(env, []byte("other"))
			wantCode(t, err, essaim.CodeRefused)
		}
		if i == 0 {
			first = env
			continue
		}
		if !bytes.Equal(first[enc:wrapped], env[enc:wrapped]) {
			t.Error("the sender has agreed again")
		}
		for name, at := range map[string][2]int{"salts": {5, 21}, "wrapped keys": {wrapped, wrapped + 48}, "bodies": {body, len(env)}} {
			if bytes.Equal(first[at[0]:at[1]], env[at[0]:at[1]]) {
				t.Errorf("two envelopes have equal %s", name)
			}
		}
		// A salt, a wrapped key or both of another envelope open nothing.
		for _, at := range [][2]int{{5, 21}, {wrapped, wrapped + 48}, {5, wrapped + 48}} {
			mixed := bytes.Clone(env)
			copy(mixed[at[0]:at[1]], first[at[0]:at[1]])
			_, err := k.Open(mixed, []byte("info"))
			wantCode(t, err, essaim.CodeRefused)
		}
	}
	fresh := mustSeal(t, []byte("the same"), []byte("info"), k, other)
	if bytes.Equal(first[enc:wrapped], fresh[enc:wrapped]) {
		t.Error("Seal links its envelopes")
	}
	if err := s.Check(k.PublicKey()); err != nil {
		t.Error(err)
	}
	for range 2 {
		wantCode(t, s.Check(make([]byte, seal.PublicKeySize-1)), essaim.CodeBadInput)
	}
}

func BenchmarkSender(b *testing.B) {
	var s seal.Sender
	var to [][]byte
	for range 3 {
		to = append(to, newKey(b).PublicKey())
	}
	for b.Loop() {
		if _, err := s.Seal(make([]byte, 1400), nil, to...); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	k, env := golden(f)
	f.Add(env)
	f.Add(env[:len(env)/2])
	f.Add([]byte("ESL\x02\x01"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := k.Open(b, []byte("golden"))
		if err == nil && !(bytes.Equal(b, env) && string(got) == "a red apple") {
			t.Fatal("opened something that nobody sealed")
		}
		if err != nil && essaim.CodeOf(err) != essaim.CodeRefused {
			t.Fatalf("code %s", essaim.CodeOf(err))
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	for _, c := range []struct{ size, recipients int }{{200, 1}, {200, 3}, {200, 8}, {1 << 20, 1}} {
		b.Run(fmt.Sprintf("%dB/%d", c.size, c.recipients), func(b *testing.B) {
			var to [][]byte
			for range c.recipients {
				to = append(to, newKey(b).PublicKey())
			}
			plaintext := make([]byte, c.size)
			b.SetBytes(int64(c.size))
			for b.Loop() {
				if _, err := seal.Seal(plaintext, nil, to...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, size := range []int{200, 1 << 20} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			k := newKey(b)
			env := mustSeal(b, make([]byte, size), nil, k)
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := k.Open(env, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestIsRecipient(t *testing.T) {
	var keys [][]byte
	for range 4 {
		k, err := seal.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k.PublicKey())
	}
	envelope, err := seal.Seal([]byte("x"), nil, keys[:3]...)
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range keys {
		if got, want := seal.IDOf(k).IsRecipient(envelope), i < 3; got != want {
			t.Errorf("IsRecipient of key %d = %v, want %v", i, got, want)
		}
	}
	for _, cut := range []int{0, 4, 5, 21, 100, 1204, 2000} {
		if seal.IDOf(keys[2]).IsRecipient(envelope[:cut]) {
			t.Errorf("IsRecipient of the first %d bytes", cut)
		}
	}
}
