package essaim

import "fmt"

// TaskState is where a task is. Every accepted task ends Settled, Refunded or
// Expired.
type TaskState string

// The states of a task; each comment lists what may follow.
const (
	TaskSubmitted TaskState = "submitted" // waits for a miner → Assigned, Refunded, Expired
	TaskAssigned  TaskState = "assigned"  // an attempt is under way → Submitted, Delivered, Refunded, Expired
	TaskDelivered TaskState = "delivered" // a receipt was accepted → Settled, Expired
	TaskSettled   TaskState = "settled"   // final: the ledger has paid for it
	TaskRefunded  TaskState = "refunded"  // final: it cannot be done, nothing was charged
	TaskExpired   TaskState = "expired"   // final: time ran out, nothing was charged
)

// AttemptState is where one execution on one miner is.
type AttemptState string

// The states of an attempt; each comment lists what may follow.
const (
	AttemptOffered  AttemptState = "offered"  // sent to the miner → Running, Failed, Lost, TimedOut
	AttemptRunning  AttemptState = "running"  // the miner has begun → Accepted, Rejected, Failed, Lost, TimedOut
	AttemptAccepted AttemptState = "accepted" // final: its receipt counts
	AttemptRejected AttemptState = "rejected" // final: its receipt did not stand the checks
	AttemptFailed   AttemptState = "failed"   // final: the miner said no
	AttemptLost     AttemptState = "lost"     // final: the miner is gone
	AttemptTimedOut AttemptState = "timedout" // final: the deadline has passed
)

// Event is something that happened. Time, too, comes as an event: the state machine
// never looks at a clock.
type Event string

// The events.
const (
	EventOffered         Event = "offered"          // the task was sent to a miner
	EventStarted         Event = "started"          // the miner has begun
	EventReceiptAccepted Event = "receipt accepted" // a receipt passed every check
	EventReceiptRejected Event = "receipt rejected" // a receipt failed a check
	EventMinerFailed     Event = "miner failed"     // the miner said that it cannot
	EventMinerLost       Event = "miner lost"       // heartbeats or the connection stopped
	EventRefused         Event = "refused"          // no miner can ever do it
	EventDeadlinePassed  Event = "deadline passed"  //
	EventSettled         Event = "settled"          // the session's settlement was committed
	EventSessionExpired  Event = "session expired"  // the ledger gave the deposit back
)

// TaskStates, AttemptStates and Events list all values, in the order of life.
var (
	TaskStates    = []TaskState{TaskSubmitted, TaskAssigned, TaskDelivered, TaskSettled, TaskRefunded, TaskExpired}
	AttemptStates = []AttemptState{AttemptOffered, AttemptRunning, AttemptAccepted, AttemptRejected, AttemptFailed, AttemptLost, AttemptTimedOut}
	Events        = []Event{EventOffered, EventStarted, EventReceiptAccepted, EventReceiptRejected, EventMinerFailed, EventMinerLost, EventRefused, EventDeadlinePassed, EventSettled, EventSessionExpired}
)

var taskTable = map[TaskState]map[Event]TaskState{
	TaskSubmitted: {
		EventOffered:        TaskAssigned,
		EventRefused:        TaskRefunded,
		EventDeadlinePassed: TaskExpired,
		EventSessionExpired: TaskExpired,
	},
	TaskAssigned: {
		EventStarted:         TaskAssigned,
		EventReceiptAccepted: TaskDelivered,
		EventReceiptRejected: TaskSubmitted,
		EventMinerFailed:     TaskSubmitted,
		EventMinerLost:       TaskSubmitted,
		EventRefused:         TaskRefunded,
		EventDeadlinePassed:  TaskExpired,
		EventSessionExpired:  TaskExpired,
	},
	TaskDelivered: {
		EventSettled:        TaskSettled,
		EventSessionExpired: TaskExpired,
	},
	TaskSettled:  {},
	TaskRefunded: {},
	TaskExpired:  {},
}

var attemptTable = map[AttemptState]map[Event]AttemptState{
	AttemptOffered: {
		EventStarted:        AttemptRunning,
		EventMinerFailed:    AttemptFailed,
		EventMinerLost:      AttemptLost,
		EventDeadlinePassed: AttemptTimedOut,
	},
	AttemptRunning: {
		EventReceiptAccepted: AttemptAccepted,
		EventReceiptRejected: AttemptRejected,
		EventMinerFailed:     AttemptFailed,
		EventMinerLost:       AttemptLost,
		EventDeadlinePassed:  AttemptTimedOut,
	},
	AttemptAccepted: {},
	AttemptRejected: {},
	AttemptFailed:   {},
	AttemptLost:     {},
	AttemptTimedOut: {},
}

// Next is the state of a task after an event. It is a pure function: the ledger and
// the coordinator share it.
//
// Errors: CodeConflict if the event cannot happen in this state.
func (s TaskState) Next(e Event) (TaskState, error) { return next("task", taskTable, s, e) }

// Final reports whether nothing can happen any more.
func (s TaskState) Final() bool { return len(taskTable[s]) == 0 }

// Next is the state of an attempt after an event.
//
// Errors: CodeConflict if the event cannot happen in this state.
func (s AttemptState) Next(e Event) (AttemptState, error) {
	return next("attempt", attemptTable, s, e)
}

// Final reports whether nothing can happen any more.
func (s AttemptState) Final() bool { return len(attemptTable[s]) == 0 }

func next[S ~string](what string, table map[S]map[Event]S, s S, e Event) (S, error) {
	n, ok := table[s][e]
	if !ok {
		return s, Errorf(CodeConflict, "", "%s is %s: %q cannot happen to it", what, s, fmt.Sprint(e))
	}
	return n, nil
}
