package node

import (
	"strings"
	"testing"

	"github.com/essaim/essaim"
)

// TestInstancesCountNobody: what one instance alone would count is refused where there are several, before the database is asked.
func TestInstancesCountNobody(t *testing.T) {
	for want, c := range map[string]Coordinator{
		"guests": {Guests: &Guests{Key: "k", PerHour: 1}},
		"coins":  {Faucet: 1},
	} {
		c.DB, c.HTTP = "postgres://nobody@127.0.0.1:1/none", "127.0.0.1:0"
		n := &Node{cfg: Config{Role: RoleCoordinator, Coordinator: &c}}
		if _, err := n.join(t.Context()); essaim.CodeOf(err) != essaim.CodeBadInput || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestBooksAreWhereTheNodeHasThem: --db wins over node.toml, and a folder without either has files.
func TestBooksAreWhereTheNodeHasThem(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ file, flag, want string }{{"", "", ""}, {"", "postgres://flag", "postgres://flag"}, {"postgres://file", "", "postgres://file"}, {"postgres://file", "postgres://flag", "postgres://flag"}} {
		if c.file != "" {
			cfg := Config{Role: RoleCoordinator, ChainID: "c", Dir: dir, Coordinator: &Coordinator{DB: c.file}}
			if err := cfg.Save(); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := (Books{Dir: dir, DB: c.flag}).shared(); err != nil || got != c.want {
			t.Errorf("file %q, flag %q: %q, %v", c.file, c.flag, got, err)
		}
	}
}
