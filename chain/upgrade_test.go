package chain

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	dbm "github.com/cosmos/cosmos-db"

	"github.com/cosmos/cosmos-sdk/types/module"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"
)

// TestUpgrade walks through a planned change of programs: the old one stops at the
// height and leaves word, the new one refuses to run before it and migrates at it.
func TestUpgrade(t *testing.T) {
	home := t.TempDir()
	a, err := New(Options{DB: dbm.NewMemDB(), Home: home})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	m, ctx := upgradeModule{a.upgrade}, a.NewContext(true).WithBlockHeight(2)
	at := func(height int64, want string) {
		t.Helper()
		a.upgrade.SetDowngradeVerified(false) // as after a start
		_, err := m.PreBlock(ctx.WithBlockHeight(height))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Fatalf("height %d: %v, want %q", height, err, want)
		}
	}
	at(2, "")
	if err := a.upgrade.ScheduleUpgrade(ctx, upgradetypes.Plan{Name: "next", Height: 10}); err != nil {
		t.Fatal(err)
	}
	at(9, "")
	at(10, `upgrade "next" is due`)
	if _, err := os.Stat(filepath.Join(home, "data", upgradetypes.UpgradeInfoFilename)); err != nil {
		t.Fatal("no word left:", err)
	}

	migrated := false
	a.upgrade.SetUpgradeHandler("next", func(_ context.Context, _ upgradetypes.Plan, from module.VersionMap) (module.VersionMap, error) {
		migrated = true
		return from, nil
	})
	at(9, "which is due")
	at(10, "")
	if !migrated {
		t.Fatal("the migration did not run")
	}
	at(11, "")
}
