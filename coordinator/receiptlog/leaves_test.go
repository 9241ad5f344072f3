package receiptlog_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/receiptlog"
)

// TestADamagedReceiptIsNotSettled: what the disk has changed is told, with a sum and, in
// logs from before there were sums, by its signature. (No signature ends in ff, so each
// change is one.)
func TestADamagedReceiptIsNotSettled(t *testing.T) {
	for name, c := range map[string]struct {
		change string
		code   essaim.Code // "" for none
	}{
		"as written":    {`SELECT 1`, ""},
		"without sum":   {`DELETE FROM results`, ""},
		"receipt":       {`UPDATE tasks SET receipt = substr(receipt, 1, length(receipt) - 1) || x'ff'`, essaim.CodeInternal},
		"task":          {`UPDATE tasks SET task = substr(task, 1, length(task) - 1) || x'ff'`, essaim.CodeInternal},
		"sum":           {`UPDATE results SET sum = x'00'`, essaim.CodeInternal},
		"both, no sums": {`UPDATE tasks SET receipt = substr(receipt, 1, length(receipt) - 1) || x'ff'; DELETE FROM results`, essaim.CodeRefused},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log.db")
			deliverOne(t, path)
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(c.change); err != nil {
				t.Fatal(err)
			}
			l, err := receiptlog.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			leaves := 0
			for _, err := range l.Leaves(t.Context(), 1) {
				leaves++
				if (c.code == "") != (err == nil) || c.code != "" && essaim.CodeOf(err) != c.code {
					t.Errorf("%v, want %q", err, c.code)
				}
			}
			if leaves != 1 {
				t.Errorf("%d leaves", leaves)
			}
		})
	}
}

func deliverOne(t *testing.T, path string) {
	t.Helper()
	l, err := receiptlog.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	task := essaim.NewTask("c", 1, 1)
	task.Kind, task.Model, task.Input, task.MaxPrice = essaim.KindImage, essaim.DigestOf([]byte("m")), essaim.DigestOf([]byte("i")), 10
	signedTask, err := essaim.SignTask(task, key)
	if err != nil {
		t.Fatal(err)
	}
	r := essaim.NewReceipt(task)
	r.Miner, r.Price, r.Units, r.Output = essaim.NodeKeyOf(key), 10, 1, essaim.DigestOf([]byte("o"))
	signed, err := essaim.SignReceipt(r, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Admit(task.Digest(), task, signedTask, nil); err != nil {
		t.Fatal(err)
	}
	if err := l.Accept(task.Digest(), r, essaim.ReceiptFile{Task: signedTask, Receipt: signed}, []byte("sealed"), essaim.TaskDelivered); err != nil {
		t.Fatal(err)
	}
	if _, sealed, err := l.Result(t.Context(), task.Digest()); err != nil || string(sealed) != "sealed" {
		t.Fatalf("result %q, %v", sealed, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestResultsOfSettledSessionsAreForgotten: and of no others; the receipts stay.
func TestResultsOfSettledSessionsAreForgotten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.db")
	deliverOne(t, path)
	l, err := receiptlog.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	forget := func(before time.Time, want int64) {
		t.Helper()
		if n, err := l.Forget(before); n != want || err != nil {
			t.Errorf("%d forgotten, %v, want %d", n, err, want)
		}
	}
	later := time.Now().Add(time.Hour)
	forget(later, 0) // nothing is decided
	if err := l.Intend(receiptlog.Intent{Settlement: essaim.Settlement{ChainID: "c", Session: 1}, Signature: []byte("s")}); err != nil {
		t.Fatal(err)
	}
	forget(later, 0) // nothing is settled
	if err := l.Settled(1, essaim.Tx{Hash: "h", Height: 1}); err != nil {
		t.Fatal(err)
	}
	forget(time.Now().Add(-time.Hour), 0)
	forget(later, 1)
	forget(later, 0)
	leaves := 0
	for _, err := range l.Counted(t.Context(), 1) {
		if leaves++; err != nil {
			t.Error(err)
		}
	}
	if leaves != 1 {
		t.Errorf("%d receipts are left", leaves)
	}
}
