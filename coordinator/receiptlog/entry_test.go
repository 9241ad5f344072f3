package receiptlog

import (
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"testing"

	"github.com/essaim/essaim"
)

// TestAnEntryIsInTheLogAtItsEnd: whether it was written down before or not, and with the
// voucher that came with it.
func TestAnEntryIsInTheLogAtItsEnd(t *testing.T) {
	for _, c := range []struct {
		name            string
		written, accept bool
	}{{"quick", false, true}, {"slow", true, true}, {"quick, given up", false, false}, {"slow, given up", true, false}} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log.db")
			l, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			key := ed25519.NewKeyFromSeed(make([]byte, 32))
			task := essaim.NewTask("c", 1, 7)
			task.Kind, task.Model, task.Input, task.MaxPrice = essaim.KindImage, essaim.DigestOf([]byte("m")), essaim.DigestOf([]byte("i")), 10
			signed, err := essaim.SignTask(task, key)
			if err != nil {
				t.Fatal(err)
			}
			r := essaim.NewReceipt(task)
			r.Miner, r.Price, r.Units, r.Attempt = essaim.NodeKeyOf(key), 10, 1, 2
			receipt, err := essaim.SignReceipt(r, key)
			if err != nil {
				t.Fatal(err)
			}
			e := l.Begin(task.Digest(), task, signed, &Voucher{Session: 1, Amount: 5, Signed: []byte("v")})
			if c.written {
				e.write()
			}
			want := essaim.TaskRefunded
			if c.accept {
				want = essaim.TaskDelivered
				err = e.Accept(r, essaim.ReceiptFile{Task: signed, Receipt: receipt}, []byte("sealed"), want)
			} else {
				err = e.End(want, 2, errors.New("nobody was there"))
			}
			if err != nil {
				t.Fatal(err)
			}
			e.write() // the timer, late
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if l, err = Open(path); err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if err := l.EndUndelivered("restarted"); err != nil {
				t.Fatal(err)
			}
			have, err := l.Task(t.Context(), task.Digest())
			if err != nil || have.State != want || have.Seq != 7 || have.Attempts != 2 || (have.Receipt != nil) != c.accept || (have.Reason != "") == c.accept {
				t.Errorf("%+v, %v", have, err)
			}
			if v, err := l.Voucher(t.Context(), 1); err != nil || v.Amount != 5 {
				t.Errorf("voucher %+v, %v", v, err)
			}
			n := 0
			for f, err := range l.Leaves(t.Context(), 1) {
				if n++; err != nil || string(f.Task) != string(signed) || string(f.Receipt) != string(receipt) {
					t.Errorf("leaf %+v, %v", f, err)
				}
			}
			if (n == 1) != c.accept {
				t.Errorf("%d leaves", n)
			}
		})
	}
}

// TestATaskUnderWayIsRefundedAfterACrash: once it was written down.
func TestATaskUnderWayIsRefundedAfterACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.db")
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	task := essaim.NewTask("c", 1, 7)
	l.Begin(task.Digest(), task, []byte("signed"), nil).write()
	if _, err := l.file.Write(); err != nil { // behind it in the line
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = Open(path); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.EndUndelivered("restarted"); err != nil {
		t.Fatal(err)
	}
	if have, err := l.Task(t.Context(), task.Digest()); err != nil || have.State != essaim.TaskRefunded {
		t.Errorf("%+v, %v", have, err)
	}
}
