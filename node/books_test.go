package node

import "testing"

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
