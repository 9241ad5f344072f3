package essaim_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/essaim/essaim"
)

// TestLifecycleTable compares every (state, event) pair with testdata/lifecycle.txt,
// which was written by hand from the design: a pair that is not in the file must be
// refused and must leave the state alone.
func TestLifecycleTable(t *testing.T) {
	legal := readTable(t)
	pairs := 0
	for _, s := range essaim.TaskStates {
		for _, e := range essaim.Events {
			got, err := s.Next(e)
			checkPair(t, legal, "task", string(s), e, string(got), err)
			pairs++
		}
	}
	for _, s := range essaim.AttemptStates {
		for _, e := range essaim.Events {
			got, err := s.Next(e)
			checkPair(t, legal, "attempt", string(s), e, string(got), err)
			pairs++
		}
	}
	if want := (6 + 7) * 10; pairs != want {
		t.Errorf("checked %d pairs, want %d: is a state or an event missing from its list?", pairs, want)
	}
	for k := range legal {
		t.Errorf("testdata/lifecycle.txt has %q, which is no pair of a state and an event", k)
	}
}

func checkPair(t *testing.T, legal map[string]string, what, s string, e essaim.Event, got string, err error) {
	t.Helper()
	key := fmt.Sprintf("%s %s + %s", what, s, e)
	want, ok := legal[key]
	delete(legal, key)
	switch {
	case ok && (err != nil || got != want):
		t.Errorf("%s = %s, %v; want %s", key, got, err, want)
	case !ok && err == nil:
		t.Errorf("%s = %s, want a refusal", key, got)
	case !ok && (got != s || essaim.CodeOf(err) != essaim.CodeConflict):
		t.Errorf("%s changed the state to %s or has code %s", key, got, essaim.CodeOf(err))
	}
}

func readTable(t *testing.T) map[string]string {
	t.Helper()
	f, err := os.Open("testdata/lifecycle.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	legal := map[string]string{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := strings.TrimSpace(sc.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		pair, to, ok := strings.Cut(line, " -> ")
		if !ok || legal[pair] != "" {
			t.Fatalf("testdata/lifecycle.txt: bad or repeated line %q", line)
		}
		legal[pair] = to
	}
	return legal
}

// TestEveryTaskEnds walks every sequence of events: from each state that is not
// final, a final one can be reached, and nothing leaves a final one.
func TestEveryTaskEnds(t *testing.T) {
	for _, s := range essaim.TaskStates {
		seen, queue, ends := map[essaim.TaskState]bool{s: true}, []essaim.TaskState{s}, false
		for len(queue) > 0 {
			at := queue[0]
			queue = queue[1:]
			ends = ends || at.Final()
			for _, e := range essaim.Events {
				if n, err := at.Next(e); err == nil && !seen[n] {
					seen[n] = true
					queue = append(queue, n)
				}
			}
		}
		if !ends {
			t.Errorf("a task that is %s never ends", s)
		}
		if s.Final() && len(seen) != 1 {
			t.Errorf("%s is final, yet it becomes %v", s, seen)
		}
	}
}
