package client_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/client/clienttest"
	"github.com/essaim/essaim/seal"
)

const deposit = 100 * clienttest.Price

func request(n *clienttest.Network) client.Request {
	return client.Request{Model: n.Model.Digest, Prompt: "a red apple", Seed: 7}
}

func wantCode(t testing.TB, err error, code essaim.Code) {
	t.Helper()
	if err == nil || essaim.CodeOf(err) != code {
		t.Fatalf("got error %v, want code %s", err, code)
	}
}

func TestDraw(t *testing.T) {
	n := clienttest.New(t, 3)
	s := n.Open(t, deposit)
	var steps []int
	p, err := s.Draw(t.Context(), request(n), func(p essaim.Progress) { steps = append(steps, p.Step) })
	if err != nil {
		t.Fatal(err)
	}
	want, pixels := clienttest.Draw("a red apple", 7)
	if !bytes.Equal(p.Data, want) || p.Receipt.Pixels != pixels || p.CID != essaim.CIDOf(essaim.DigestOf(want)) {
		t.Error("another picture was returned")
	}
	if len(steps) != 2 || len(p.Warnings) != 1 || p.MediaType != "image/png" || p.Task.Seq != 1 {
		t.Errorf("steps %v, warnings %v, %s, seq %d", steps, p.Warnings, p.MediaType, p.Task.Seq)
	}
	if _, _, _, err := essaim.ReadReceiptFile(p.ReceiptFile); err != nil {
		t.Errorf("the receipt file does not pass: %v", err)
	}
	if s.Spent() != clienttest.Price || s.Left() != deposit-clienttest.Price {
		t.Errorf("spent %s, left %s", s.Spent(), s.Left())
	}
	settled, err := s.Close(t.Context())
	if err != nil || settled.Root.Sum() != clienttest.Price {
		t.Fatalf("%+v, %v", settled, err)
	}
	if again, err := s.Close(t.Context()); err != nil || again.Root != settled.Root {
		t.Errorf("closing again: %+v, %v", again, err)
	}
	_, err = s.Draw(t.Context(), request(n), nil)
	wantCode(t, err, essaim.CodeConflict)
}

func TestTopUp(t *testing.T) {
	n := clienttest.New(t, 1)
	s := n.Open(t, clienttest.Price)
	for range 2 {
		if _, err := s.Draw(t.Context(), request(n), nil); err != nil {
			t.Fatal(err)
		}
		_, err := s.Draw(t.Context(), request(n), nil)
		wantCode(t, err, essaim.CodeInsufficient)
		if tx, err := s.TopUp(t.Context(), clienttest.Price); err != nil || tx.Height == 0 {
			t.Fatalf("%+v, %v", tx, err)
		}
	}
	if s.Record().Deposit != 3*clienttest.Price || s.Left() != clienttest.Price {
		t.Errorf("%s of %s left", s.Left(), s.Record().Deposit)
	}
	// The payer may do it elsewhere: it is seen when the session is closed.
	if _, _, err := n.TopUp(t.Context(), s.Record().ID, 7); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Record().Deposit != 3*clienttest.Price+7 {
		t.Errorf("deposit %s", s.Record().Deposit)
	}
	_, err := s.TopUp(t.Context(), 1)
	wantCode(t, err, essaim.CodeConflict)
}

func TestConcurrentDrawsNeverShareANumberOrOverspend(t *testing.T) {
	n := clienttest.New(t, 2)
	s := n.Open(t, 5*clienttest.Price)
	var mu sync.Mutex
	seen := map[uint64]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			p, err := s.Draw(t.Context(), request(n), nil)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && seen[p.Task.Seq]:
				t.Errorf("number %d was used twice", p.Task.Seq)
			case err == nil:
				seen[p.Task.Seq] = true
			case essaim.CodeOf(err) != essaim.CodeInsufficient:
				t.Errorf("unexpected: %v", err)
			}
		})
	}
	wg.Wait()
	if len(seen) != 5 || s.Left() != 0 {
		t.Errorf("%d pictures, %s left", len(seen), s.Left())
	}
}

// TestLies has one hook for each way to cheat. Each must be noticed before a picture
// is returned.
func TestLies(t *testing.T) {
	foreign, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	other, _ := clienttest.Draw("a green apple", 7)
	for name, c := range map[string]struct {
		lie  func(*clienttest.Network)
		says string
	}{
		"wrong sealing key": {func(n *clienttest.Network) {
			n.OnQuote = func(q *essaim.Quote) { q.Candidates[1].HPKEKey = foreign.PublicKey() }
		}, "sealing key"},
		"unregistered miner": {func(n *clienttest.Network) {
			n.OnQuote = func(q *essaim.Quote) { q.Candidates[0].Miner[0] ^= 1 }
		}, "not on the ledger"},
		"coordinator as a miner": {func(n *clienttest.Network) {
			n.OnQuote = func(q *essaim.Quote) {
				info, _ := n.Info(context.Background())
				q.Candidates[0].Miner = info.Coordinator
			}
		}, "not an active miner"},
		"price above the maximum": {func(n *clienttest.Network) {
			n.OnReceipt = func(r *essaim.Receipt) { r.Price++ }
		}, "price"},
		"receipt of another task": {func(n *clienttest.Network) {
			n.OnReceipt = func(r *essaim.Receipt) { r.Task[0] ^= 1 }
		}, "task"},
		"receipt of another chain": {func(n *clienttest.Network) {
			n.OnReceipt = func(r *essaim.Receipt) { r.ChainID = "other" }
		}, "chain"},
		"another seed": {func(n *clienttest.Network) {
			n.OnReceipt = func(r *essaim.Receipt) { r.Seed++ }
		}, "seed"},
		"another coordinator": {func(n *clienttest.Network) {
			n.OnReceipt = func(r *essaim.Receipt) { r.Coordinator[0] ^= 1 }
		}, "another coordinator"},
		"another miner's name": {func(n *clienttest.Network) {
			n.OnReceipt = func(r *essaim.Receipt) { r.Miner[0] ^= 1 }
		}, "signed it"},
		"swapped picture": {func(n *clienttest.Network) {
			n.OnOutput = func(o *essaim.Output) { o.Data = other }
		}, "picture"},
		"pixels that are not the picture's": {func(n *clienttest.Network) {
			n.OnReceipt = func(r *essaim.Receipt) { r.Pixels[0] ^= 1 }
		}, "pixels"},
		"size that is not the picture's": {func(n *clienttest.Network) {
			n.OnReceipt = func(r *essaim.Receipt) { r.Width *= 2 }
		}, "32x32"},
		"script instead of a picture": {func(n *clienttest.Network) {
			script := []byte("<script>")
			n.OnOutput = func(o *essaim.Output) { o.Data, o.MediaType = script, "text/html" }
			n.OnReceipt = func(r *essaim.Receipt) {
				r.Output, r.Size, r.MediaType = essaim.DigestOf(script), uint64(len(script)), "text/html"
			}
		}, "text/html"},
		"changed sealed result": {func(n *clienttest.Network) {
			n.OnDelivery = func(d *essaim.Delivery) { d.Sealed[len(d.Sealed)-1] ^= 1 }
		}, "sealed result"},
		"changed receipt": {func(n *clienttest.Network) {
			n.OnDelivery = func(d *essaim.Delivery) { d.Receipt[len(d.Receipt)-1] ^= 1 }
		}, "signature"},
		"delivery for another task": {func(n *clienttest.Network) {
			n.OnDelivery = func(d *essaim.Delivery) { d.Task[0] ^= 1 }
		}, "another task"},
	} {
		t.Run(name, func(t *testing.T) {
			n := clienttest.New(t, 2)
			c.lie(n)
			p, err := n.Open(t, deposit).Draw(t.Context(), request(n), nil)
			if p != nil {
				t.Fatal("a picture was returned")
			}
			wantCode(t, err, essaim.CodeRefused)
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
		})
	}
}

func TestNothingIsSentToAnUnknownKey(t *testing.T) {
	n := clienttest.New(t, 1)
	n.OnQuote = func(q *essaim.Quote) { q.Candidates[0].HPKEKey[0] ^= 1 }
	_, err := n.Open(t, deposit).Draw(t.Context(), request(n), nil)
	wantCode(t, err, essaim.CodeRefused)
	if n.Submits() != 0 {
		t.Error("the prompt was sealed to a key that is not the miner's")
	}
}

func TestForeignReceiptIsRefused(t *testing.T) {
	n := clienttest.New(t, 1)
	s := n.Open(t, deposit)
	first, err := s.Draw(t.Context(), request(n), nil)
	if err != nil {
		t.Fatal(err)
	}
	record, err := n.Task(t.Context(), first.Task.Digest())
	if err != nil {
		t.Fatal(err)
	}
	n.OnDelivery = func(d *essaim.Delivery) { d.Receipt = record.Receipt }
	_, err = s.Draw(t.Context(), request(n), nil)
	wantCode(t, err, essaim.CodeRefused)
}

func TestPrices(t *testing.T) {
	n := clienttest.New(t, 2)
	s := n.Open(t, deposit)
	r := request(n)
	r.MaxPrice = clienttest.Price - 1
	_, err := s.Draw(t.Context(), r, nil)
	wantCode(t, err, essaim.CodeInsufficient)
	r.MaxPrice = clienttest.Price
	n.OnQuote = func(q *essaim.Quote) { q.Candidates[0].Price = 2 * clienttest.Price }
	p, err := s.Draw(t.Context(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.Task.MaxPrice != clienttest.Price {
		t.Errorf("the task allows %s", p.Task.MaxPrice)
	}
}

func TestBadRequests(t *testing.T) {
	n := clienttest.New(t, 1)
	s := n.Open(t, deposit)
	for _, prompt := range []string{"", strings.Repeat("x", essaim.MaxPrompt+1)} {
		r := request(n)
		r.Prompt = prompt
		_, err := s.Draw(t.Context(), r, nil)
		wantCode(t, err, essaim.CodeBadInput)
	}
	r := request(n)
	r.Model[0] ^= 1
	_, err := s.Draw(t.Context(), r, nil)
	wantCode(t, err, essaim.CodeUnavailable)
}

func TestLostMinersAreReplacedByTheSameTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := clienttest.New(t, 2)
		n.OnSubmit = func(i int) error {
			if i < 4 {
				return essaim.Errorf(essaim.CodeUnavailable, "", "all candidates are gone")
			}
			return nil
		}
		s := n.Open(t, deposit)
		var notes []string
		p, err := s.Draw(t.Context(), request(n), func(p essaim.Progress) {
			if p.Note != "" {
				notes = append(notes, p.Note)
			}
		})
		if err != nil || p.Task.Seq != 1 || n.Submits() != 4 || len(notes) != 3 {
			t.Fatalf("%d submissions, %d notes, %v", n.Submits(), len(notes), err)
		}
	})
}

func TestDeadlineEndsTheRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := clienttest.New(t, 1)
		n.OnSubmit = func(int) error { return essaim.Errorf(essaim.CodeUnavailable, "", "gone") }
		s := n.Open(t, deposit)
		r := request(n)
		start := time.Now()
		r.Deadline = start.Add(30 * time.Second)
		_, err := s.Draw(t.Context(), r, nil)
		wantCode(t, err, essaim.CodeExpired)
		if took := time.Since(start); took > 30*time.Second || took < 20*time.Second {
			t.Errorf("gave up after %s", took)
		}
		if s.Left() != deposit {
			t.Errorf("%s of %s left", s.Left(), deposit)
		}
	})
}

func TestAFaultyCoordinatorIsNotAskedForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := clienttest.New(t, 1)
		n.OnSubmit = func(int) error { return errors.New("nil map") }
		_, err := n.Open(t, deposit).Draw(t.Context(), request(n), nil)
		wantCode(t, err, essaim.CodeInternal)
		if n.Submits() != 3 {
			t.Errorf("%d submissions", n.Submits())
		}
	})
}

func TestCancelEndsADraw(t *testing.T) {
	n := clienttest.New(t, 1)
	s := n.Open(t, deposit)
	ctx, cancel := context.WithCancel(t.Context())
	n.OnProgress = func(context.Context, func(string)) { cancel() }
	_, err := s.Draw(ctx, request(n), nil)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestCloseWaitsForNobody(t *testing.T) {
	n := clienttest.New(t, 1)
	s := n.Open(t, deposit)
	n.OnProgress = func(ctx context.Context, _ func(string)) {
		_, err := s.Close(ctx)
		wantCode(t, err, essaim.CodeConflict)
	}
	if _, err := s.Draw(t.Context(), request(n), nil); err != nil {
		t.Fatal(err)
	}
}

func TestSettlementsThatClaimTooMuchAreRefused(t *testing.T) {
	for name, lie := range map[string]func(*essaim.Settled){
		"more than was delivered": func(s *essaim.Settled) { s.Root[38]++ },
		"another session":         func(s *essaim.Settled) { s.Session++ },
		"refund kept":             func(s *essaim.Settled) { s.Tx.Payments[1].Amount-- },
	} {
		t.Run(name, func(t *testing.T) {
			n := clienttest.New(t, 1)
			n.OnClose = lie
			s := n.Open(t, deposit)
			if _, err := s.Draw(t.Context(), request(n), nil); err != nil {
				t.Fatal(err)
			}
			_, err := s.Close(t.Context())
			wantCode(t, err, essaim.CodeRefused)
		})
	}
}

func TestSaveAndRestore(t *testing.T) {
	n := clienttest.New(t, 1)
	s := n.Open(t, deposit)
	if _, err := s.Draw(t.Context(), request(n), nil); err != nil {
		t.Fatal(err)
	}
	state := s.Save()
	if _, err := s.Draw(t.Context(), request(n), nil); err != nil { // after the save, before the crash
		t.Fatal(err)
	}
	again, err := client.Restore(t.Context(), n.Config(), state)
	if err != nil {
		t.Fatal(err)
	}
	p, err := again.Draw(t.Context(), request(n), nil)
	if err != nil || p.Task.Seq <= 2 {
		t.Fatalf("seq %v, %v", p, err)
	}
	settled, err := again.Close(t.Context())
	if err != nil || settled.Root.Count() != 3 {
		t.Fatalf("%+v, %v", settled, err)
	}
	_, err = client.Restore(t.Context(), n.Config(), state)
	wantCode(t, err, essaim.CodeConflict)
	_, err = client.Restore(t.Context(), n.Config(), state[1:])
	wantCode(t, err, essaim.CodeBadInput)
	elsewhere := n.Config()
	elsewhere.ChainID = "other"
	_, err = client.Restore(t.Context(), elsewhere, state)
	wantCode(t, err, essaim.CodeRefused)
	_, err = client.Restore(t.Context(), clienttest.New(t, 1).Config(), state)
	wantCode(t, err, essaim.CodeNotFound)
}

func TestOpenRefuses(t *testing.T) {
	n := clienttest.New(t, 1)
	_, err := client.Open(t.Context(), n.Config(), 999)
	wantCode(t, err, essaim.CodeInsufficient)
	cfg := n.Config()
	cfg.ChainID = "other"
	_, err = client.Open(t.Context(), cfg, deposit)
	wantCode(t, err, essaim.CodeRefused)
	cfg = n.Config()
	cfg.Ledger = clienttest.New(t, 1)
	_, err = client.Open(t.Context(), cfg, deposit)
	wantCode(t, err, essaim.CodeRefused)
}

func TestStrangersTextIsMadePrintable(t *testing.T) {
	n := clienttest.New(t, 1)
	n.OnOutput = func(o *essaim.Output) { o.Warnings = []string{"\x1b[2Jgone\n", strings.Repeat("é", 1000)} }
	n.OnProgress = func(_ context.Context, send func(string)) { send("\x1b[31mred") }
	p, err := n.Open(t, deposit).Draw(t.Context(), request(n), func(p essaim.Progress) {
		if strings.Contains(p.Note, "\x1b") {
			t.Errorf("note %q", p.Note)
		}
	})
	if err != nil || p.Warnings[0] != "[2Jgone" || len([]rune(p.Warnings[1])) != 301 {
		t.Fatalf("%q, %v", p.Warnings, err)
	}
}

func BenchmarkDraw(b *testing.B) {
	n := clienttest.New(b, 3)
	s := n.Open(b, essaim.Amount(1e12))
	r := request(n)
	for b.Loop() {
		if _, err := s.Draw(b.Context(), r, nil); err != nil {
			b.Fatal(err)
		}
	}
}
