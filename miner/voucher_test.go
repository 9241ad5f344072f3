package miner_test

import (
	"crypto/ed25519"
	"strings"
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

// TestLapsedSessionsAreClaimed: the coordinator is no more. The ledger is shown the last
// promise with the highest voucher, once; what it pays then counts, and the rest is claimed
// against the coordinator's stake.
func TestLapsedSessionsAreClaimed(t *testing.T) {
	for _, c := range []struct {
		name   string
		paid   essaim.Amount
		want   miner.Outcome
		claims int
	}{
		{"all was acknowledged", 3 * price, miner.OutcomePaid, 0},
		{"a part was acknowledged", 2 * price, miner.OutcomeClaimed, 1},
		{"nothing was acknowledged", 0, miner.OutcomeClaimed, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, l := newCourt(t, essaim.SessionOpen, nil)
			if c.paid > 0 {
				l.change(func() {
					l.session = essaim.Session{Coordinator: d.host.Key(), SessionKey: essaim.NodeKeyOf(d.payer), Deposit: 9 * price}
				})
				d.pass(d.voucher(price, d.payer, nil))
				d.pass(d.voucher(c.paid, d.payer, nil))
				d.eventually("the voucher is kept", func() bool { return d.kept() == c.paid })
			}
			l.change(func() { l.state, l.refuses = essaim.SessionLapsed, true })
			d.eventually("the ledger does not answer", func() bool { return strings.Contains(d.logs.String(), "not now") })
			d.stop()
			d.mine() // a restart loses nothing
			l.change(func() { l.refuses = false })
			d.eventually("the promise was shown", func() bool { return d.promises()[0].Outcome == miner.OutcomeLapsed })
			if s := l.lapsed(); len(s) != 1 || s[0].ack.Total != 3*price || s[0].voucher != c.paid {
				t.Errorf("shown %+v", s)
			}
			l.change(func() { l.state, l.line = essaim.SessionExpired, c.paid })
			d.eventually("the promise is done with", func() bool { return d.promises()[0].Outcome == c.want })
			if len(l.claimed()) != c.claims || len(l.lapsed()) != 1 {
				t.Errorf("%d claims, shown %d times", len(l.claimed()), len(l.lapsed()))
			}
		})
	}
}

// TestWhatWaitsIsNotPaidYet: while part of a settlement can still be taken away, the
// promise stays open; when it was, it is claimed.
func TestWhatWaitsIsNotPaidYet(t *testing.T) {
	d, l := newCourt(t, essaim.SessionOpen, nil)
	l.change(func() { l.state, l.line, l.waiting = essaim.SessionSettled, 3*price, price })
	d.eventually("the miner has looked, and looked again", func() (again bool) {
		l.change(func() { again = l.asked > 1 })
		return again
	})
	if o := d.promises()[0].Outcome; o != miner.OutcomeOpen {
		t.Fatalf("outcome %q", o)
	}
	l.change(func() { l.line, l.waiting = 2*price, 0 })
	d.eventually("the promise was claimed", func() bool { return d.promises()[0].Outcome == miner.OutcomeClaimed })
}
