package chain_test

import (
	"strings"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/registry"
)

// TestCheckInvariants: a recount agrees with the books, and notices a single uaim.
func TestCheckInvariants(t *testing.T) {
	w := newStake(t)
	w.earn(t, "m", 1001, 10)
	if err := w.app.CheckInvariants(); err != nil {
		t.Fatal(err)
	}
	from, one := account(7), sdk.NewCoins(sdk.NewInt64Coin(essaim.Denom, 1))
	if err := w.app.Bank.SendCoins(w.ctx, from[:], authtypes.NewModuleAddress(registry.Name), one); err != nil {
		t.Fatal(err)
	}
	if err := w.app.CheckInvariants(); err == nil || !strings.Contains(err.Error(), "registry") {
		t.Errorf("a uaim too much: %v", err)
	}
}
