package essaim_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/essaim/essaim"
)

func TestAddressSpellings(t *testing.T) {
	const (
		hex  = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266" // the first key of Ethereum's test mnemonic
		bech = "essaim17w0adeg64ky0daxwd2ugyuneellmjgnxg6l2pa"
	)
	for _, s := range []string{hex, bech, strings.ToLower(hex), "0x" + strings.ToUpper(hex[2:]), strings.ToUpper(bech)} {
		a, err := essaim.ParseAddress(s)
		if err != nil {
			t.Errorf("ParseAddress(%s): %v", s, err)
			continue
		}
		if a.Hex() != hex || a.String() != bech {
			t.Errorf("ParseAddress(%s) = %s = %s", s, a, a.Hex())
		}
	}
	for _, s := range []string{"", "0x", "essaim1", hex[:41], hex + "00", bech[:30], "cosmos17w0adeg64ky0daxwd2ugyuneellmjgnxn2wcmn",
		"0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266", strings.Replace(bech, "17w", "17v", 1), "0xg39Fd6e51aad88F6F4ce6aB8827279cffFb92266"} {
		if a, err := essaim.ParseAddress(s); err == nil {
			t.Errorf("ParseAddress(%q) = %s, want an error", s, a)
		}
	}
}

func TestParseAmount(t *testing.T) {
	tests := []struct {
		in   string
		want essaim.Amount
	}{
		{"1", 1e6}, {"1 AIM", 1e6}, {"1.25aim", 1_250_000}, {"0.000001", 1}, {"250uaim", 250}, {"250 uaim", 250},
		{" 3.5 ", 3_500_000}, {"18446744073709.551615", 1<<64 - 1}, {"0", 0}, {"7.", 7_000_000},
	}
	for _, tt := range tests {
		if got, err := essaim.ParseAmount(tt.in); err != nil || got != tt.want {
			t.Errorf("ParseAmount(%q) = %d, %v; want %d", tt.in, got, err, tt.want)
		}
	}
	for _, in := range []string{"", "-1", "1.0000001", ".5", "1e6", "1,5", "18446744073709.551616", "18446744073710", "1.2uaim", "aim", "1.-5", "+1"} {
		if got, err := essaim.ParseAmount(in); err == nil {
			t.Errorf("ParseAmount(%q) = %d, want an error", in, got)
		}
	}
}

func TestAmountRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := essaim.Amount(rapid.Uint64().Draw(t, "amount"))
		if b, err := essaim.ParseAmount(a.String()); err != nil || a != b {
			t.Fatalf("%d is written %q and read %d, %v", a, a, b, err)
		}
	})
}

// TestAmountArithmetic compares with big integers.
func TestAmountArithmetic(t *testing.T) {
	whole := new(big.Int).SetUint64(1<<64 - 1)
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Uint64().Draw(t, "a"), rapid.Uint64().Draw(t, "b")
		x, y := new(big.Int).SetUint64(a), new(big.Int).SetUint64(b)
		check := func(op string, want *big.Int, got essaim.Amount, ok bool) {
			fits := want.Sign() >= 0 && want.Cmp(whole) <= 0
			if ok != fits || fits && want.Uint64() != uint64(got) {
				t.Fatalf("%d %s %d = %d, %t; want %s", a, op, b, got, ok, want)
			}
		}
		got, ok := essaim.Amount(a).Add(essaim.Amount(b))
		check("+", new(big.Int).Add(x, y), got, ok)
		got, ok = essaim.Amount(a).Sub(essaim.Amount(b))
		check("-", new(big.Int).Sub(x, y), got, ok)
		got, ok = essaim.Amount(a).Mul(b)
		check("*", new(big.Int).Mul(x, y), got, ok)
		share := essaim.Bps(rapid.Uint32Range(0, 10_000).Draw(t, "share"))
		want := new(big.Int).Div(new(big.Int).Mul(x, big.NewInt(int64(share))), big.NewInt(10_000))
		check("bps", want, share.Of(essaim.Amount(a)), true)
	})
}

func TestSettlementCheck(t *testing.T) {
	line := func(miner byte, amount, tasks uint64) essaim.Line {
		return essaim.Line{Miner: essaim.NodeKey{miner}, Model: essaim.Digest{1}, Amount: essaim.Amount(amount), Tasks: tasks}
	}
	tests := []struct {
		name       string
		sum, count uint64
		lines      []essaim.Line
		want       string
	}{
		{"empty", 0, 0, nil, ""},
		{"two miners", 30, 3, []essaim.Line{line(1, 10, 1), line(2, 20, 2)}, ""},
		{"whole deposit", 100, 1, []essaim.Line{line(1, 100, 1)}, ""},
		{"free work", 0, 1, []essaim.Line{line(1, 0, 1)}, ""},
		{"above the deposit", 101, 1, []essaim.Line{line(1, 101, 1)}, "claims 101 uaim of a deposit of 100"},
		{"sum differs", 31, 3, []essaim.Line{line(1, 10, 1), line(2, 20, 2)}, "add up to 30"},
		{"count differs", 30, 4, []essaim.Line{line(1, 10, 1), line(2, 20, 2)}, "count 3 tasks"},
		{"out of order", 30, 3, []essaim.Line{line(2, 20, 2), line(1, 10, 1)}, "out of order"},
		{"repeated", 20, 2, []essaim.Line{line(1, 10, 1), line(1, 10, 1)}, "repeated"},
		{"no task", 10, 0, []essaim.Line{line(1, 10, 0)}, "counts no task"},
		{"sum overflows", 8, 2, []essaim.Line{line(1, 1<<63+4, 1), line(2, 1<<63+4, 1)}, "overflow"},
		{"count overflows", 2, 0, []essaim.Line{line(1, 1, 1<<63), line(2, 1, 1<<63)}, "overflow"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := essaim.Settlement{ChainID: "c", Session: 7, Root: root(tt.sum, tt.count), Lines: tt.lines, Receipts: essaim.Digest{9}}
			err := s.Check(100)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Check() = %v, want %q", err, tt.want)
			}
		})
	}
}

func root(sum, count uint64) (r essaim.SumRoot) {
	for i := range 8 {
		r[39-i], r[47-i] = byte(sum>>(8*i)), byte(count>>(8*i))
	}
	return r
}

func TestErrors(t *testing.T) {
	inner := essaim.Errorf(essaim.CodeInsufficient, "ask for less", "balance is too low")
	outer := fmt.Errorf("draw: %w", essaim.Errorf(essaim.CodeUnavailable, "", "session: %w", inner))
	if got := essaim.CodeOf(outer); got != essaim.CodeUnavailable {
		t.Errorf("CodeOf = %s, want that of the outermost error", got)
	}
	if got := essaim.HintOf(outer); got != "ask for less" {
		t.Errorf("HintOf = %q, want the nearest hint that is not empty", got)
	}
	if got := essaim.CodeOf(errors.New("x")); got != essaim.CodeInternal {
		t.Errorf("CodeOf of a plain error = %s", got)
	}
	seen := map[int]essaim.Code{}
	for _, c := range []essaim.Code{essaim.CodeBadInput, essaim.CodeRefused, essaim.CodeNotFound, essaim.CodeInsufficient,
		essaim.CodeConflict, essaim.CodeUnavailable, essaim.CodeExpired, essaim.CodeInternal} {
		if other, ok := seen[c.ExitCode()]; ok || c.ExitCode() < 2 || c.HTTPStatus() < 400 {
			t.Errorf("%s: exit code %d (also of %q), HTTP status %d", c, c.ExitCode(), other, c.HTTPStatus())
		}
		seen[c.ExitCode()] = c
	}
}

func TestEmptySettlementHasOneEncoding(t *testing.T) {
	none, empty := essaim.Settlement{Session: 1}, essaim.Settlement{Session: 1, Lines: []essaim.Line{}}
	if !bytes.Equal(none.SignBytes(essaim.NodeKey{}), empty.SignBytes(essaim.NodeKey{})) {
		t.Error("no lines and an empty list of lines are signed differently")
	}
}

func TestVoucherAndOpeningRoundTrip(t *testing.T) {
	v := essaim.Voucher{ChainID: "essaim-test", Session: 3, Coordinator: essaim.NodeKeyOf(testKey("coordinator")), Amount: 7, Count: 2}
	b, err := essaim.SignVoucher(v, testKey("session"))
	if err != nil {
		t.Fatal(err)
	}
	got, by, err := essaim.OpenVoucher(b)
	if err != nil || got != v || by != essaim.NodeKeyOf(testKey("session")) {
		t.Fatalf("%+v by %s: %v", got, by.Short(), err)
	}
	b[len(b)-70]++
	if _, _, err := essaim.OpenVoucher(b); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Errorf("changed after signing: %v", err)
	}
	o := essaim.Opening{Task: []byte{1}, Receipt: []byte{2, 3}, Amount: 9, Index: 1, Siblings: []essaim.SumRoot{{1}, {2}}}
	back, err := essaim.DecodeOpening(o.Encode())
	if err != nil || essaim.EvidenceOf([]essaim.Opening{back}) != essaim.EvidenceOf([]essaim.Opening{o}) {
		t.Fatalf("%+v: %v", back, err)
	}
	if essaim.EvidenceOf([]essaim.Opening{o, o}) == essaim.EvidenceOf([]essaim.Opening{o}) {
		t.Error("two openings have the name of one")
	}
}
