package round_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/round"
)

const chainID = "essaim-test"

// request is two tasks that ask for the same.
func request(t *testing.T, table *round.Table) (tasks [2]essaim.Task, digests [2]essaim.Digest) {
	t.Helper()
	for i := range tasks {
		tasks[i] = essaim.NewTask(chainID, 1, uint64(i+1))
		tasks[i].Input, tasks[i].Model, tasks[i].Verify = essaim.Digest{1}, essaim.Digest{2}, "replica:2"
		digests[i] = tasks[i].Digest()
		if err := table.Join(tasks[i], digests[i]); err != nil {
			t.Fatal(err)
		}
	}
	return tasks, digests
}

func node(i byte) essaim.NodeKey  { return essaim.NodeKey{i} }
func owner(i byte) essaim.Address { return essaim.Address{i} }

func code(t *testing.T, what string, err error, want essaim.Code) {
	t.Helper()
	if essaim.CodeOf(err) != want || err == nil {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

// TestWhoWaitsCannotCopy: a miner that does not commit sees nothing until it is too late for
// it, and the honest one is not held up for ever.
func TestWhoWaitsCannotCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := round.New(chainID, 30*time.Second)
		tasks, digests := request(t, table)
		honest, lazy := node(1), node(2)
		table.Sit(tasks[0], digests[0], honest, owner(1))
		table.Sit(tasks[1], digests[1], lazy, owner(2))
		receipt, salt := essaim.Digest{7}, essaim.Salt{8}
		commitment := essaim.Commit(chainID, tasks[0].Input, receipt, salt, honest)
		code(t, "shown before all have committed", table.Reveal(tasks[0], digests[0], honest, receipt, salt), essaim.CodeConflict)
		began := time.Now()
		if err := table.Commit(t.Context(), tasks[0], digests[0], honest, commitment); err != nil || time.Since(began) != 30*time.Second {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		if err := table.Reveal(tasks[0], digests[0], honest, receipt, salt); err != nil {
			t.Fatal(err)
		}
		// It has seen the answer now.
		code(t, "a commitment after the answer", table.Commit(t.Context(), tasks[1], digests[1], lazy, essaim.Commit(chainID, tasks[1].Input, receipt, salt, lazy)), essaim.CodeConflict)
		code(t, "no commitment", table.Reveal(tasks[1], digests[1], lazy, receipt, salt), essaim.CodeRefused)
		// Another in its place comes as late.
		table.Leave(tasks[1], digests[1])
		code(t, "a new task in the round", table.Join(essaim.Task{Session: 1, Seq: 3, Model: tasks[0].Model, Input: tasks[0].Input, Verify: "replica:2"}, essaim.Digest{9}), essaim.CodeConflict)
	})
}

// TestRound: both commit, both reveal what they have committed to and nothing else, and
// owners have one seat.
func TestRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := round.New(chainID, time.Hour)
		tasks, digests := request(t, table)
		code(t, "a third replica", table.Join(essaim.Task{Session: 1, Seq: 3, Model: tasks[0].Model, Input: tasks[0].Input, Verify: "replica:2"}, essaim.Digest{9}), essaim.CodeConflict)
		table.Sit(tasks[0], digests[0], node(1), owner(1))
		if table.Free(tasks[1], digests[1], owner(1)) || !table.Free(tasks[1], digests[1], owner(2)) || !table.Free(tasks[0], digests[0], owner(1)) {
			t.Error("an owner has two seats, or none")
		}
		table.Sit(tasks[1], digests[1], node(3), owner(3)) // is lost
		table.Sit(tasks[1], digests[1], node(2), owner(2))
		code(t, "the lost one", table.Commit(t.Context(), tasks[1], digests[1], node(3), essaim.Digest{}), essaim.CodeConflict)
		done := make(chan error, 2)
		for i := range tasks {
			go func() {
				m := node(byte(i + 1))
				if err := table.Commit(context.Background(), tasks[i], digests[i], m, essaim.Commit(chainID, tasks[i].Input, essaim.Digest{byte(i)}, essaim.Salt{5}, m)); err != nil {
					done <- err
					return
				}
				done <- table.Reveal(tasks[i], digests[i], m, essaim.Digest{byte(i)}, essaim.Salt{5})
			}()
		}
		for range tasks {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		for i := range tasks {
			table.Leave(tasks[i], digests[i])
		}
		if err := table.Join(tasks[0], digests[0]); err != nil {
			t.Errorf("the round has not ended: %v", err)
		}
	})
}

func TestWishes(t *testing.T) {
	for wish, want := range map[string]int{"": 0, "replica:2": 2, "replica:3": 3} {
		if k, err := round.Wanted(wish); err != nil || k != want {
			t.Errorf("%q: %d, %v", wish, k, err)
		}
	}
	for _, wish := range []string{"replica:1", "replica:4", "replica:", "rerun", "replica:2x"} {
		_, err := round.Wanted(wish)
		code(t, wish, err, essaim.CodeBadInput)
	}
}
