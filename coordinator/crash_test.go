package coordinator

import (
	"context"
	"crypto/ed25519"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob/mem"
	"github.com/essaim/essaim/coordinator/cluster"
	"github.com/essaim/essaim/coordinator/receiptlog"
	"github.com/essaim/essaim/internal/durable"
	"github.com/essaim/essaim/internal/durable/postgres"
)

// till is a ledger that pays, and that loses the question or the answer when told to.
type till struct {
	session essaim.Session
	paid    []essaim.Settlement
	voucher []byte // that it was settled with
	before  bool   // the next settlement is lost on its way in
	after   bool   // the next settlement's answer is lost on its way back
}

var errCut = errors.New("connection cut")

func (l *till) Height(context.Context) (int64, error) { return 1, nil }

func (l *till) Session(context.Context, essaim.SessionID) (essaim.Session, error) {
	return l.session, nil
}

func (l *till) Actor(context.Context, essaim.NodeKey) (essaim.Actor, error) {
	return essaim.Actor{}, errCut
}

func (l *till) Model(context.Context, essaim.Digest) (essaim.Model, error) {
	return essaim.Model{}, errCut
}

func (l *till) Cover(context.Context) (essaim.Cover, error) { return essaim.Cover{}, nil }

func (l *till) Settle(_ context.Context, s essaim.Settlement, _, voucher []byte) (essaim.Tx, error) {
	if l.before {
		l.before = false
		return essaim.Tx{}, errCut
	}
	if l.session.State != essaim.SessionOpen {
		return essaim.Tx{}, essaim.Errorf(essaim.CodeConflict, "", "session is %s", l.session.State)
	}
	if err := s.Check(l.session.Deposit); err != nil {
		return essaim.Tx{}, err
	}
	l.session.State = essaim.SessionSettled
	l.paid, l.voucher = append(l.paid, s), voucher
	if l.after {
		l.after = false
		return essaim.Tx{}, errCut
	}
	return essaim.Tx{Hash: "TX", Height: 1}, nil
}

func (l *till) SettledBy(context.Context, essaim.SessionID) (essaim.Tx, error) {
	return essaim.Tx{Hash: "TX", Height: 1}, nil
}

func (l *till) ShowVoucher(context.Context, essaim.SessionID, []byte) (essaim.Tx, error) {
	return essaim.Tx{}, errCut
}

func (l *till) Draws(context.Context, essaim.NodeKey) ([]essaim.Draw, error) { return nil, errCut }

func (l *till) Open(context.Context, essaim.Draw, essaim.Opening) (essaim.Tx, error) {
	return essaim.Tx{}, errCut
}

// shop is a coordinator's books without its network: the log, the escrows and the
// ledger.
type shop struct {
	*Coordinator
	miner, payer ed25519.PrivateKey
	member       *cluster.Member // of those that share the database; nil: the log is a file
}

func openShop(t interface{ Fatal(...any) }, path string, l Ledger, keys [3]ed25519.PrivateKey) *shop {
	c, err := New(Config{Key: keys[0], ChainID: "c", Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Ledger: l, Blobs: mem.New(), Log: path})
	if err != nil {
		t.Fatal(err)
	}
	out := &shop{Coordinator: c, miner: keys[1], payer: keys[2]}
	if Server() != nil {
		if out.member, err = Join(path, "http://shop", time.Second); err != nil {
			t.Fatal(err)
		}
		c.shared = out.member
	}
	if c.store, err = c.shared.Store(); err != nil {
		t.Fatal(err)
	}
	if err := c.store.EndUndelivered(reasonRestarted); err != nil {
		t.Fatal(err)
	}
	c.life = context.Background()
	if err := c.own(c.life, 1); err != nil { // as escrow does before the first task
		t.Fatal(err)
	}
	return out
}

func (s *shop) task(seq uint64) (essaim.Task, []byte, error) {
	t := essaim.NewTask("c", 1, seq)
	t.Kind, t.Model, t.Input, t.MaxPrice = essaim.KindImage, essaim.DigestOf([]byte{byte(seq % 2)}), essaim.DigestOf([]byte("in")), 10
	signed, err := essaim.SignTask(t, s.payer)
	return t, signed, err
}

// deliver stores a receipt for a task, as accept does.
func (s *shop) deliver(seq uint64) error {
	t, task, err := s.task(seq)
	if err != nil {
		return err
	}
	r := essaim.NewReceipt(t)
	r.Miner, r.Coordinator, r.Price, r.Units, r.Output = essaim.NodeKeyOf(s.miner), s.key, 10, 1, essaim.DigestOf([]byte("out"))
	signed, err := essaim.SignReceipt(r, s.miner)
	if err != nil {
		return err
	}
	return s.store.Accept(t.Digest(), r, essaim.ReceiptFile{Task: task, Receipt: signed}, nil, essaim.TaskDelivered)
}

// kill copies the files as they are on the disk, which is what kill -9 leaves, and
// then lets the program end. On a server the others give it up.
func (s *shop) kill(t interface{ Fatal(...any) }, from, to string) {
	if s.member != nil {
		s.giveUp(t, from)
		return
	}
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(from + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
}

// giveUp has another instance give this one up, after which it can write nothing.
func (s *shop) giveUp(t interface{ Fatal(...any) }, url string) {
	other, err := postgres.Open(context.Background(), postgres.Config{URL: url, Name: "other"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Write(durable.Stmt{Query: `DELETE FROM instances WHERE id = ?`, Args: []any{s.member.ID()}}); err != nil {
		t.Fatal(err)
	}
	if err := s.store.PutVoucher(receiptlog.Voucher{Session: 1, Amount: 1 << 60}); err == nil {
		t.Fatal("an instance that was given up can write")
	}
	_ = s.member.Close() // it is lost
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) close() {
	_ = s.store.Close()
	if s.member != nil {
		_ = s.member.Close()
	}
}

// history is one random life of a session, through several lives of the program.
type history struct {
	t         testing.TB
	dir       string
	files     *int // names the copies of the log
	keys      [3]ed25519.PrivateKey
	ledger    *till
	path      string
	shop      *shop
	submitted []uint64
	delivered []uint64
	live      map[uint64]bool // submitted in this life of the program, not delivered
	decided   bool            // it was tried to settle
	vouched   essaim.Amount   // the highest voucher that was taken
}

func (h *history) open(t *rapid.T) {
	h.shop = openShop(t, h.path, h.ledger, h.keys)
	h.live = map[uint64]bool{}
}

func (h *history) nextPath() string {
	if s := Server(); s != nil {
		if h.path == "" {
			return s.Database(h.t)
		}
		return h.path // the next life is in the same database
	}
	*h.files++
	return filepath.Join(h.dir, essaim.SessionID(*h.files).String())
}

func (h *history) submit(t *rapid.T) {
	if h.decided || len(h.submitted) > 50 {
		t.Skip()
	}
	seq := uint64(len(h.submitted) + 1)
	task, signed, err := h.shop.task(seq)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.shop.store.Admit(task.Digest(), task, signed, nil); err != nil {
		t.Fatal(err)
	}
	h.submitted, h.live[seq] = append(h.submitted, seq), true
}

func (h *history) deliver(t *rapid.T) {
	for seq := range h.live {
		if err := h.shop.deliver(seq); err != nil {
			t.Fatal(err)
		}
		delete(h.live, seq)
		h.delivered = append(h.delivered, seq)
		return
	}
	t.Skip()
}

func (h *history) deliverAgain(t *rapid.T) {
	if len(h.delivered) == 0 {
		t.Skip()
	}
	if h.shop.deliver(h.delivered[0]) == nil {
		t.Fatal("a second receipt was accepted")
	}
}

func (h *history) settle(t *rapid.T) {
	if len(h.live) > 0 {
		t.Skip() // a session is settled when its last task has ended
	}
	h.ledger.before, h.ledger.after = rapid.Bool().Draw(t, "question lost"), rapid.Bool().Draw(t, "answer lost")
	h.decided = true
	_, _ = h.shop.settleQuiet(context.Background(), 1)
	h.ledger.before, h.ledger.after = false, false
}

// acknowledge hands in a voucher; what was said to be kept must be there at the end.
func (h *history) acknowledge(t *rapid.T) {
	if h.decided {
		t.Skip()
	}
	amount := essaim.Amount(rapid.IntRange(1, 1000).Draw(t, "amount"))
	v := essaim.Voucher{ChainID: "c", Session: 1, Coordinator: h.shop.key, Amount: amount, Count: 1}
	signed, err := essaim.SignVoucher(v, h.keys[2])
	if err != nil {
		t.Fatal(err)
	}
	e, err := h.shop.escrow(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	newer, err := h.shop.enclosed(context.Background(), e, signed)
	if err != nil || (newer != nil) != (amount > h.vouched) {
		t.Fatalf("%d after %d: %v, %v", amount, h.vouched, newer, err)
	}
	if newer == nil {
		return
	}
	if err := h.shop.store.PutVoucher(*newer); err != nil {
		t.Fatal(err)
	}
	h.vouched = amount
}

func (h *history) kill(t *rapid.T) {
	next := h.nextPath()
	h.shop.kill(t, h.path, next)
	h.path = next
	h.open(t)
}

// TestCrashesNeitherLoseNorPayTwice runs random histories of tasks, settlements, cut
// connections and kills. Afterwards every delivered task has been paid exactly once,
// and every other one not at all.
func TestCrashesNeitherLoseNorPayTwice(t *testing.T) {
	dir := t.TempDir()
	var keys [3]ed25519.PrivateKey
	for i := range keys {
		_, k, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = k
	}
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		checks := "25" // each flushes the disk dozens of times
		if Server() != nil {
			checks = "6" // and has dozens of the server's processes begin and end
		}
		_ = f.Value.Set(checks)
		defer f.Value.Set(f.DefValue)
	}
	files := 0
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		h := &history{t: outer, dir: dir, files: &files, keys: keys, ledger: &till{session: essaim.Session{
			ID: 1, Coordinator: essaim.NodeKeyOf(keys[0]), SessionKey: essaim.NodeKeyOf(keys[2]), Deposit: 1000, Expiry: 1000, State: essaim.SessionOpen,
		}}}
		h.path = h.nextPath()
		h.open(t)
		defer func() { h.shop.close() }()
		t.Repeat(map[string]func(*rapid.T){
			"submit": h.submit, "deliver": h.deliver, "deliver again": h.deliverAgain, "settle": h.settle, "kill": h.kill, "acknowledge": h.acknowledge,
			"": func(t *rapid.T) {
				if len(h.ledger.paid) > 1 {
					t.Fatal("paid twice")
				}
			},
		})
		check(t, h.shop, h.ledger, h.submitted, h.delivered)
		if v, _, err := essaim.OpenVoucher(h.ledger.voucher); h.vouched > 0 && (err != nil || v.Amount != h.vouched) || h.vouched == 0 && h.ledger.voucher != nil {
			t.Fatalf("settled with a voucher over %d (%v), taken were %d", v.Amount, err, h.vouched)
		}
	})
}

// check settles what is left and compares the books.
func check(t *rapid.T, s *shop, l *till, submitted, delivered []uint64) {
	if err := s.store.EndUndelivered(reasonRestarted); err != nil {
		t.Fatal(err)
	}
	done, err := s.settleQuiet(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.paid) != 1 || l.paid[0].Root != done.Root || done.Tx.Hash != "TX" {
		t.Fatalf("%d settlements, by %+v", len(l.paid), done.Tx)
	}
	if root := l.paid[0].Root; root.Count() != uint64(len(delivered)) || root.Sum() != essaim.Amount(10*len(delivered)) {
		t.Fatalf("paid %d tasks with %d uaim, delivered were %d", root.Count(), root.Sum(), len(delivered))
	}
	kept := 0
	for _, err := range s.store.Counted(context.Background(), 1) {
		if kept++; err != nil {
			t.Fatal(err)
		}
	}
	if kept != len(delivered) {
		t.Fatalf("%d receipts are kept for the beacon, delivered were %d", kept, len(delivered))
	}
	was := map[uint64]bool{}
	for _, seq := range delivered {
		was[seq] = true
	}
	for _, seq := range submitted {
		task, _, err := s.task(seq)
		if err != nil {
			t.Fatal(err)
		}
		rec, err := s.store.Task(context.Background(), task.Digest())
		want := essaim.TaskRefunded
		if was[seq] {
			want = essaim.TaskSettled
		}
		if err != nil || rec.State != want {
			t.Fatalf("task %d is %s (%v), want %s", seq, rec.State, err, want)
		}
	}
	if left, err := s.store.Unsettled(context.Background()); err != nil || len(left) != 0 {
		t.Fatalf("sessions %v are left (%v)", left, err)
	}
}

func TestExpiredSessionIsNeitherSettledNorAskedAgain(t *testing.T) {
	var keys [3]ed25519.PrivateKey
	for i := range keys {
		_, keys[i], _ = ed25519.GenerateKey(nil)
	}
	l := &till{session: essaim.Session{ID: 1, Coordinator: essaim.NodeKeyOf(keys[0]), Deposit: 1000, State: essaim.SessionExpired}}
	s := openShop(t, (&history{t: t, dir: t.TempDir(), files: new(int)}).nextPath(), l, keys)
	defer s.close()
	task, signed, err := s.task(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.Admit(task.Digest(), task, signed, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.deliver(1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.settleQuiet(t.Context(), 1); essaim.CodeOf(err) != essaim.CodeExpired {
		t.Errorf("settle: %v, want expired", err)
	}
	rec, err := s.store.Task(t.Context(), task.Digest())
	if err != nil || rec.State != essaim.TaskExpired || rec.Reason == "" {
		t.Errorf("Task = %+v, %v", rec, err)
	}
	if left, err := s.store.Unsettled(t.Context()); err != nil || len(left) != 0 || len(l.paid) != 0 {
		t.Errorf("left %v (%v), paid %d times", left, err, len(l.paid))
	}
}
