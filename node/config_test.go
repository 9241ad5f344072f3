package node

import (
	"testing"

	"github.com/essaim/essaim"
)

// TestConnections: what node.toml says of a gateway's connections is kept, and fewer than none are refused.
func TestConnections(t *testing.T) {
	cfg := Config{Role: RoleCoordinator, ChainID: "c", Dir: t.TempDir(), Coordinator: &Coordinator{Connections: 4096}}
	if err := cfg.Save(); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(cfg.Dir); err != nil || got.Coordinator.Connections != 4096 {
		t.Errorf("%+v, %v", got.Coordinator, err)
	}
	cfg.Coordinator.Connections = -1
	if err := cfg.check(); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Errorf("-1: %v", err)
	}
}
