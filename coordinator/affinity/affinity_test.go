package affinity_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/affinity"
)

func TestRemembersWhileWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var table affinity.Table
		one, two := essaim.NodeKey{1}, essaim.NodeKey{2}
		table.Note("", one, time.Now())
		if _, ok := table.Of("", time.Now()); ok {
			t.Error("no conversation has a miner")
		}
		table.Note("a", one, time.Now())
		table.Note("a", two, time.Now())
		time.Sleep(affinity.Warm - time.Nanosecond)
		if m, ok := table.Of("a", time.Now()); !ok || m != two {
			t.Errorf("%v, %v", m, ok)
		}
		time.Sleep(time.Nanosecond)
		if _, ok := table.Of("a", time.Now()); ok {
			t.Error("still warm")
		}
	})
}

// TestIsBounded: the conversations that were silent for longest are forgotten first.
func TestIsBounded(t *testing.T) {
	var table affinity.Table
	now := time.Unix(1, 0)
	table.Note("kept", essaim.NodeKey{1}, now)
	for i := range 1<<16 + 10 {
		table.Note(strconv.Itoa(i), essaim.NodeKey{2}, now)
		table.Note("kept", essaim.NodeKey{1}, now)
	}
	if _, ok := table.Of("0", now); ok {
		t.Error("remembers everything")
	}
	if _, ok := table.Of("kept", now); !ok {
		t.Error("has forgotten what is in use")
	}
}
