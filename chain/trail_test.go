package chain

import (
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"
)

// TestExecuted: what an accepted proposal has executed becomes an event, with every
// field; what became of the others does not.
func TestExecuted(t *testing.T) {
	a, err := New(Options{DB: dbm.NewMemDB(), Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	ctx := a.NewContext(true).WithBlockHeight(2)
	authority := authtypes.NewModuleAddress(govtypes.ModuleName)
	proposal, err := govv1.NewProposal([]sdk.Msg{
		&upgradetypes.MsgSoftwareUpgrade{Authority: authority.String(), Plan: upgradetypes.Plan{Name: "next <1>", Height: 9}},
		&upgradetypes.MsgCancelUpgrade{Authority: authority.String()},
	}, 7, time.Time{}, time.Time{}, "", "title", "summary", authority, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Gov.SetProposal(ctx, proposal); err != nil {
		t.Fatal(err)
	}
	decided := func(id, result string) abci.Event {
		return abci.Event(sdk.NewEvent(govtypes.EventTypeActiveProposal,
			sdk.NewAttribute(govtypes.AttributeKeyProposalID, id), sdk.NewAttribute(govtypes.AttributeKeyProposalResult, result)))
	}
	events, err := a.executed(ctx, []abci.Event{
		{Type: "x"}, decided("5", govtypes.AttributeValueProposalRejected), decided("7", govtypes.AttributeValueProposalPassed),
		decided("6", govtypes.AttributeValueProposalFailed),
	})
	if err != nil || len(events) != 1 || events[0].Type != "essaim.trail.v1.EventExecuted" {
		t.Fatal(events, err)
	}
	m, err := sdk.ParseTypedEvent(events[0])
	if err != nil {
		t.Fatal(err)
	}
	text := m.String()
	for _, want := range []string{"proposal:7", "MsgSoftwareUpgrade", "next <1>", `\"height\":\"9\"`, "MsgCancelUpgrade"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\nhas no %s", text, want)
		}
	}
}
