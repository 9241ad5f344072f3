package miner_test

import (
	"crypto/ed25519"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/miner"
)

func (d *desk) voucher(amount essaim.Amount, key ed25519.PrivateKey, change func(*essaim.Voucher)) []byte {
	d.t.Helper()
	v := essaim.Voucher{ChainID: chainID, Session: 3, Coordinator: d.host.Key(), Amount: amount, Count: 1}
	if change != nil {
		change(&v)
	}
	b, err := essaim.SignVoucher(v, key)
	if err != nil {
		d.t.Fatal(err)
	}
	return b
}

// pass hands vouchers on with the next answers to beats.
func (d *desk) pass(vouchers ...[]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.vouchers = append(d.vouchers, vouchers...)
}

func (d *desk) kept() essaim.Amount {
	d.t.Helper()
	b, err := miner.OpenBook(d.cfg.Receipts)
	if err != nil {
		d.t.Fatal(err)
	}
	defer b.Close()
	amount, signed, err := b.Voucher(d.t.Context(), d.host.Key(), 3)
	if err != nil {
		d.t.Fatal(err)
	}
	if v, _, err := essaim.OpenVoucher(signed); amount != 0 && (err != nil || v.Amount != amount) {
		d.t.Fatalf("a voucher over %d is kept as %d: %v", v.Amount, amount, err)
	}
	return amount
}

// TestOnlyTrueVouchersAreKept: a coordinator that makes one up, or passes on another
// session's, does not push the true one out. Of true ones the highest stays.
func TestOnlyTrueVouchersAreKept(t *testing.T) {
	l := &court{state: essaim.SessionOpen}
	d := newDesk(t, &fake{}, func(c *miner.Config) { c.Ledger = l })
	l.change(func() {
		l.session = essaim.Session{Coordinator: d.host.Key(), SessionKey: essaim.NodeKeyOf(d.payer), Deposit: 1000}
	})
	d.conn()
	d.pass(d.voucher(100, d.payer, nil))
	d.eventually("the voucher is kept", func() bool { return d.kept() == 100 })
	d.pass(
		[]byte("x"),
		d.voucher(900, d.key, nil),
		d.voucher(901, d.payer, func(v *essaim.Voucher) { v.ChainID = "other" }),
		d.voucher(902, d.payer, func(v *essaim.Voucher) { v.Coordinator[0]++ }),
		d.voucher(1001, d.payer, nil), // more than the deposit
		d.voucher(50, d.payer, nil),
		d.voucher(200, d.payer, nil),
	)
	d.eventually("the higher voucher is kept", func() bool { return d.kept() == 200 })
	// The deposit was topped up.
	l.change(func() { l.session.Deposit = 2000 })
	d.pass(d.voucher(1001, d.payer, nil))
	d.eventually("the highest voucher is kept", func() bool { return d.kept() == 1001 })
	d.stop()
	if d.kept() != 1001 {
		t.Error("the voucher is lost")
	}
}
