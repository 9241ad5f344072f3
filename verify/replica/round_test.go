package replica_test

import (
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/verify/replica"
)

const chainID = "essaim-test"

var task = essaim.DigestOf([]byte("task"))

func seats(n int) (out []replica.Seat) {
	for i := range n {
		out = append(out, replica.Seat{Miner: essaim.NodeKey{byte(i + 1)}, Owner: essaim.Address{byte(i + 1)}})
	}
	return out
}

func round(t *testing.T, n int) *replica.Round {
	t.Helper()
	r, err := replica.NewRound(chainID, task, seats(n))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func want(t *testing.T, what string, err error, code essaim.Code) {
	t.Helper()
	if essaim.CodeOf(err) != code || err == nil {
		t.Errorf("%s: error %v, want %s", what, err, code)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCopyingIsImpossible: a miner waits for what another shows and hands it in as its own,
// in each of the ways that there are.
func TestCopyingIsImpossible(t *testing.T) {
	s := seats(2)
	honest, lazy := s[0].Miner, s[1].Miner
	answer, salt := essaim.DigestOf([]byte("a picture")), essaim.Salt{7}
	commitment := essaim.Commit(chainID, task, answer, salt, honest)

	r := round(t, 2)
	must(t, r.Commit(honest, commitment))
	want(t, "the answer is shown while another may still commit", r.Reveal(honest, answer, salt), essaim.CodeConflict)

	// It copies the commitment, and opens it with what the honest one reveals.
	must(t, r.Commit(lazy, commitment))
	must(t, r.Reveal(honest, answer, salt))
	want(t, "a copied commitment", r.Reveal(lazy, answer, salt), essaim.CodeRefused)
	if o, silent := r.Outcome(true); o != replica.Alone || len(silent) != 1 || silent[0] != lazy {
		t.Errorf("the outcome is %s, silent %v", o, silent)
	}

	// It commits to anything and reveals the honest one's answer.
	r = round(t, 2)
	must(t, r.Commit(honest, commitment))
	must(t, r.Commit(lazy, essaim.Commit(chainID, task, essaim.DigestOf([]byte("?")), salt, lazy)))
	must(t, r.Reveal(honest, answer, salt))
	want(t, "an answer not committed to", r.Reveal(lazy, answer, salt), essaim.CodeRefused)

	// It commits when the answer has been shown.
	r = round(t, 2)
	must(t, r.Commit(honest, commitment))
	r.Expire()
	must(t, r.Reveal(honest, answer, salt))
	want(t, "a commitment after the answers", r.Commit(lazy, essaim.Commit(chainID, task, answer, salt, lazy)), essaim.CodeConflict)

	// It uses the commitment of an earlier task.
	r = round(t, 2)
	must(t, r.Commit(lazy, essaim.Commit(chainID, essaim.DigestOf([]byte("earlier task")), answer, salt, lazy)))
	must(t, r.Commit(honest, commitment))
	want(t, "a commitment about another task", r.Reveal(lazy, answer, salt), essaim.CodeRefused)
}

func TestOutcomes(t *testing.T) {
	a, b := essaim.DigestOf([]byte("a")), essaim.DigestOf([]byte("b"))
	for _, c := range []struct {
		answers []essaim.Digest // zero: stays silent
		over    bool
		want    replica.Outcome
		silent  int
	}{
		{[]essaim.Digest{a, a}, false, replica.Agreed, 0},
		{[]essaim.Digest{a, b}, false, replica.Disputed, 0},
		{[]essaim.Digest{a, a, b}, false, replica.Disputed, 0}, // no majority decides
		{[]essaim.Digest{a, {}}, false, replica.Waiting, 1},
		{[]essaim.Digest{a, {}}, true, replica.Alone, 1},
		{[]essaim.Digest{a, a, {}}, true, replica.Agreed, 1},
		{[]essaim.Digest{{}, {}}, true, replica.Alone, 2},
	} {
		r := round(t, len(c.answers))
		for i, s := range seats(len(c.answers)) {
			must(t, r.Commit(s.Miner, essaim.Commit(chainID, task, c.answers[i], essaim.Salt{byte(i)}, s.Miner)))
		}
		for i, s := range seats(len(c.answers)) {
			if !c.answers[i].IsZero() {
				must(t, r.Reveal(s.Miner, c.answers[i], essaim.Salt{byte(i)}))
			}
		}
		if got, silent := r.Outcome(c.over); got != c.want || len(silent) != c.silent {
			t.Errorf("%v, over %v: %s with %d silent, want %s with %d", c.answers, c.over, got, len(silent), c.want, c.silent)
		}
	}
	if o, _ := round(t, 2).Outcome(true); o != replica.Waiting {
		t.Errorf("without commitments: %s", o)
	}
}

func TestRefusals(t *testing.T) {
	_, err := replica.NewRound(chainID, task, seats(1))
	want(t, "one miner", err, essaim.CodeBadInput)
	same := seats(3)
	same[2].Owner = same[0].Owner
	_, err = replica.NewRound(chainID, task, same)
	want(t, "two miners of one owner", err, essaim.CodeBadInput)

	r := round(t, 2)
	want(t, "a stranger", r.Commit(essaim.NodeKey{99}, task), essaim.CodeRefused)
	must(t, r.Commit(seats(1)[0].Miner, task))
	want(t, "a second commitment", r.Commit(seats(1)[0].Miner, task), essaim.CodeConflict)
}
