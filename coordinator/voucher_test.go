package coordinator_test

import (
	"context"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/miner"
)

func (l *ledger) Line(_ context.Context, id essaim.SessionID, m essaim.NodeKey, d essaim.Digest) (essaim.Line, error) {
	s, _ := l.settlement(id)
	for _, line := range s.Lines {
		if line.Miner == m && line.Model == d {
			return line, nil
		}
	}
	return essaim.Line{Miner: m, Model: d}, nil
}

func (l *ledger) Record(context.Context, essaim.NodeKey) (essaim.Record, error) {
	return essaim.Record{}, nil
}

func (l *ledger) ClaimUnpaid(context.Context, []byte) (essaim.Tx, error) { return essaim.Tx{}, nil }

func (l *ledger) ClaimLapsed(context.Context, []byte, []byte) (essaim.Tx, error) {
	return essaim.Tx{}, nil
}

func (l *ledger) Waiting(context.Context, essaim.SessionID) (essaim.Amount, error) { return 0, nil }

// settledWith is the amount of the voucher that a session was settled with; 0: none.
func (n *network) settledWith(id essaim.SessionID) essaim.Amount {
	n.t.Helper()
	n.ledger.mu.Lock()
	signed := n.ledger.vouchers[id]
	n.ledger.mu.Unlock()
	if signed == nil {
		return 0
	}
	v, _, err := essaim.OpenVoucher(signed)
	if err != nil {
		n.t.Fatal(err)
	}
	return v.Amount
}

func (p *payer) voucher(tasks uint64, change func(*essaim.Voucher)) []byte {
	p.n.t.Helper()
	v := essaim.Voucher{ChainID: chainID, Session: p.session, Coordinator: essaim.NodeKeyOf(p.n.key), Amount: essaim.Amount(tasks) * unitPrice, Count: tasks}
	if change != nil {
		change(&v)
	}
	signed, err := essaim.SignVoucher(v, p.key)
	if err != nil {
		p.n.t.Fatal(err)
	}
	return signed
}

func (p *payer) work(tasks int) {
	p.n.t.Helper()
	for range tasks {
		p.must(p.imagine("a larch", nil))
	}
}

// TestVouchersThatDoNotHold are refused however they come, and the session is settled as
// if there were none.
func TestVouchersThatDoNotHold(t *testing.T) {
	n := newNetwork(t, nil)
	n.mine(&fake{}, nil)
	p, other := n.payer(3*unitPrice), n.payer(3*unitPrice)
	p.work(1)
	for name, signed := range map[string][]byte{
		"not signed":              []byte("x"),
		"of another key":          other.voucher(1, func(v *essaim.Voucher) { v.Session = p.session }),
		"for another coordinator": p.voucher(1, func(v *essaim.Voucher) { v.Coordinator[0]++ }),
		"for another chain":       p.voucher(1, func(v *essaim.Voucher) { v.ChainID = "other" }),
		"over the deposit":        p.voucher(4, nil),
	} {
		wantCode(t, name, n.co.Acknowledge(t.Context(), signed), essaim.CodeRefused)
		s, err := p.prepare("a fir", nil)
		if err != nil {
			t.Fatal(err)
		}
		s.Voucher = signed
		_, err = n.co.Submit(t.Context(), s, nil)
		wantCode(t, "task with one "+name, err, essaim.CodeRefused)
		_, err = p.closeWith(signed)
		wantCode(t, "close with one "+name, err, essaim.CodeRefused)
	}
	// A right one of another session does not speak for this one.
	s, err := p.prepare("a fir", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Voucher = other.voucher(1, nil)
	_, err = n.co.Submit(t.Context(), s, nil)
	wantCode(t, "task with another session's", err, essaim.CodeRefused)
	wantCode(t, "of no session", n.co.Acknowledge(t.Context(), p.voucher(1, func(v *essaim.Voucher) { v.Session = 99 })), essaim.CodeNotFound)
	p.settle(1)
	if got := n.settledWith(p.session); got != 0 {
		t.Errorf("settled with a voucher over %d", got)
	}
}

// TestTheHighestVoucherCounts in whatever order they come and whatever stops the program.
func TestTheHighestVoucherCounts(t *testing.T) {
	n := newNetwork(t, nil)
	n.mine(&fake{}, nil)
	p := n.payer(2 * unitPrice)
	p.work(2)
	for _, tasks := range []uint64{1, 2, 1} {
		if err := n.co.Acknowledge(t.Context(), p.voucher(tasks, nil)); err != nil {
			t.Fatal(err)
		}
	}
	n.stop()
	n.start()
	if err := n.co.Acknowledge(t.Context(), p.voucher(1, nil)); err != nil {
		t.Fatal(err)
	}
	p.settle(2)
	if got := n.settledWith(p.session); got != 2*unitPrice {
		t.Errorf("settled with a voucher over %d, want %d", got, 2*unitPrice)
	}
}

// TestVouchersComeAlong with a task, whose log has them, and with the close request; and
// over a deposit that was topped up.
func TestVouchersComeAlong(t *testing.T) {
	n := newNetwork(t, nil)
	n.mine(&fake{}, nil)
	p := n.payer(2 * unitPrice)
	p.work(1)
	s, err := p.prepare("an elm", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Voucher = p.voucher(1, nil)
	p.must(n.co.Submit(t.Context(), s, nil))
	n.stop()
	n.start()
	n.ledger.mu.Lock()
	have := n.ledger.sessions[p.session]
	have.Deposit *= 2
	n.ledger.sessions[p.session] = have
	n.ledger.mu.Unlock()
	if err := n.co.Acknowledge(t.Context(), p.voucher(3, nil)); err != nil {
		t.Errorf("more than the first deposit: %v", err)
	}
	if _, err := p.closeWith(p.voucher(4, nil)); err != nil {
		t.Fatal(err)
	}
	if got := n.settledWith(p.session); got != 4*unitPrice {
		t.Errorf("settled with a voucher over %d, want %d", got, 4*unitPrice)
	}
	q := n.payer(2 * unitPrice)
	n.mine(&fake{}, nil)
	q.work(1)
	s, err = q.prepare("an elm", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Voucher = q.voucher(1, nil)
	q.must(n.co.Submit(t.Context(), s, nil))
	n.stop()
	n.start()
	q.settle(2)
	if got := n.settledWith(q.session); got != unitPrice {
		t.Errorf("settled with a voucher over %d, want %d", got, unitPrice)
	}
}

// TestMinersKeepVouchers: they hold what the payer has accepted while the session is open.
func TestMinersKeepVouchers(t *testing.T) {
	n := newNetwork(t, nil)
	var path string
	m := n.mine(&fake{}, func(c *miner.Config) { c.Ledger, path = n.ledger, c.Receipts })
	p := n.payer(9 * unitPrice)
	kept := func() essaim.Amount {
		b, err := miner.OpenBook(path)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		amount, _, err := b.Voucher(t.Context(), essaim.NodeKeyOf(n.key), p.session)
		if err != nil {
			t.Fatal(err)
		}
		return amount
	}
	for tasks := range uint64(2) {
		p.work(1)
		if err := n.co.Acknowledge(t.Context(), p.voucher(tasks+1, nil)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the miner has the voucher", func() bool { return kept() == essaim.Amount(tasks+1)*unitPrice })
	}
	m.stop()
	if kept() != 2*unitPrice {
		t.Error("the voucher is lost")
	}
}

func (l *ledger) SettledBy(context.Context, essaim.SessionID) (essaim.Tx, error) {
	return essaim.Tx{}, errEngine
}

func (l *ledger) ShowVoucher(_ context.Context, id essaim.SessionID, voucher []byte) (essaim.Tx, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sessions[id].State != essaim.SessionSettled {
		return essaim.Tx{}, essaim.Errorf(essaim.CodeConflict, "", "nothing waits")
	}
	l.vouchers[id] = voucher
	return essaim.Tx{Hash: "SHOW"}, nil
}

// TestLateVouchersAreShown: one that comes after the settlement goes to the ledger.
func TestLateVouchersAreShown(t *testing.T) {
	n := newNetwork(t, nil)
	n.mine(&fake{}, nil)
	p := n.payer(9 * unitPrice)
	p.work(2)
	if err := n.co.Acknowledge(t.Context(), p.voucher(1, nil)); err != nil {
		t.Fatal(err)
	}
	p.settle(2)
	for range 2 {
		if err := n.co.Acknowledge(t.Context(), p.voucher(2, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.settledWith(p.session); got != 2*unitPrice {
		t.Errorf("the ledger knows of %d, want %d", got, 2*unitPrice)
	}
}
