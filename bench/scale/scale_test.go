package scale

import "testing"

// measured are the costs of bench/README.md. Where a figure was not measured there, the
// comment says what it was taken from.
var measured = Costs{
	SettleBytes: 700, LineBytes: 90, // a settlement with 100 payees: under 10 KB
	OpenBytes: 450, OpeningBytes: 1_700, // a transaction around an opening of 1.2 KB for a million leaves
	SettleMicros: 1_000, LineMicros: 200, // a simple transaction: 1 ms of two cores; a line is a few writes
	OpenMicros: 1_000, OpeningMicros: 1_300,
	ReceiptMicros: 250, // arithmetic 159 and settling, measured under load
}

var planned = Network{
	Miners: 10_000, Coordinators: 1_000, TasksPerMinerSecond: 2, SessionSeconds: 3_600, SessionsEach: 20,
	Payees: 50, Draws: 2, BlockSeconds: 5, BlockBytes: 1 << 20, BlockMicros: 1_000_000, Cores: 2,
}

// TestPlan holds docs/scale.md against the simulation.
func TestPlan(t *testing.T) {
	const blocks = 720 // an hour
	plan := Run(planned, measured, blocks, 1)
	t.Logf("plan: %+v", plan)
	if again := Run(planned, measured, blocks, 1); again != plan {
		t.Error("the same seed gives something else")
	}
	if plan.TasksPerSecond < 19_000 || plan.TasksPerSecond > 21_000 || plan.Delayed > 0 || plan.SlowestBlock > 1 {
		t.Errorf("the plan does not hold: %+v", plan)
	}
	// The ledger does not see tasks: ten times as many in the same sessions cost nothing.
	more := planned
	more.TasksPerMinerSecond *= 10
	busy := Run(more, measured, blocks, 1)
	t.Logf("ten times the tasks: %+v", busy)
	if busy.SlowestBlock != plan.SlowestBlock || busy.TasksPerSecond < 9.9*plan.TasksPerSecond {
		t.Errorf("tasks cost the ledger something: %+v", busy)
	}
	// Sessions do: this is what breaks first.
	short := planned
	short.SessionSeconds /= 10
	full := Run(short, measured, blocks, 1)
	t.Logf("sessions of six minutes: %+v", full)
	if full.LongestWait < 10 || full.SlowestBlock < 0.99 {
		t.Errorf("ten times the sessions fit: %+v", full)
	}
}
