package essaim

import (
	"encoding/json"
	"strconv"
)

// Role is what a registered node does.
type Role string

// The roles that register on the ledger.
const (
	RoleMiner       Role = "miner"
	RoleCoordinator Role = "coordinator"
)

// Offer is a miner's price for a model.
type Offer struct {
	Model     Digest `json:"model"`
	UnitPrice Amount `json:"unit_price"` // per unit of work
}

// Actor is a registered miner or coordinator.
type Actor struct {
	Role      Role    `json:"role"`
	NodeKey   NodeKey `json:"node_key"`
	Owner     Address `json:"owner"`              // the cold account that bonds and is paid
	HPKEKey   []byte  `json:"hpke_key,omitempty"` // prompts are sealed to it
	Offers    []Offer `json:"offers,omitempty"`
	Bond      Amount  `json:"bond"`          // the owner's own part of the stake
	Stake     Amount  `json:"stake"`         // bond and delegations, without what is leaving
	Unaudited Amount  `json:"unaudited"`     // miners: income that an audit may still refute
	Fee       Bps     `json:"fee"`           // coordinators: share of each price
	URL       string  `json:"url,omitempty"` // coordinators: the gateway
	RetiredAt int64   `json:"retired_at"`    // height; 0: active

	Commission       Bps   `json:"commission"`        // the owner's part of income, before it is shared
	CommissionChange Bps   `json:"commission_change"` // the most that it may change in one epoch; fixed at registration
	JailedUntil      int64 `json:"jailed_until"`      // height; not 0: it gets no work until the owner unjails it
	AwayFrom         int64 `json:"away_from"`         // heights of announced maintenance
	AwayUntil        int64 `json:"away_until"`
}

// Price is what the actor asks for a unit of a model's work.
func (a Actor) Price(model Digest) (Amount, bool) {
	for _, o := range a.Offers {
		if o.Model == model {
			return o.UnitPrice, true
		}
	}
	return 0, false
}

// Cover is how much work may rest on stake before it is settled and audited. The zero
// value sets no limit.
type Cover struct {
	Coordinator uint64 `json:"coordinator"`  // open deposits per coin of a coordinator's stake; 0: no limit
	Miner       Bps    `json:"miner"`        // unaudited work of a miner, as a share of its stake
	AuditBlocks int64  `json:"audit_blocks"` // how long settled work counts as unaudited; 0: no limit for miners
}

// Record is how a coordinator has kept its word so far.
type Record struct {
	Opened  uint64 `json:"opened"`  // sessions
	Settled uint64 `json:"settled"` // sessions
	Expired uint64 `json:"expired"` // sessions that it did not settle, unused ones too
	Paid    Amount `json:"paid"`    // in all settlements, gross
	Unpaid  uint64 `json:"unpaid"`  // promises that were proven not to be kept
	Slashes uint64 `json:"slashes"` // for whatever cause
}

// Model is a registered model: weights and manifest, named by the manifest's digest.
type Model struct {
	Digest    Digest          `json:"digest"`
	Owner     Address         `json:"owner"` // receives the royalty
	Name      string          `json:"name"`
	Kind      Kind            `json:"kind"`
	Engine    string          `json:"engine"`
	Licence   string          `json:"licence"`
	UnitPrice Amount          `json:"unit_price"` // suggested, per unit of work
	Royalty   Bps             `json:"royalty"`    // share of each price
	Data      []DataShare     `json:"data,omitempty"`
	Manifest  json.RawMessage `json:"manifest,omitempty"`
}

// DataShare is the part of each price of a model that the owner of data gets that the
// model was made from. It is set when the model is registered, for good.
type DataShare struct {
	Owner   Address `json:"owner"`
	Royalty Bps     `json:"royalty"`
}

// SessionID numbers sessions on one chain, from 1.
type SessionID uint64

// String is decimal.
func (s SessionID) String() string { return strconv.FormatUint(uint64(s), 10) }

// SessionState is where a session's escrow is.
type SessionState string

// The states of a session. Settled and Expired are final, though part of a settled
// session's payments may still wait.
const (
	SessionOpen    SessionState = "open"    // the deposit is in escrow
	SessionSettled SessionState = "settled" // payees are paid, now or after the challenge window, the rest is refunded
	SessionLapsed  SessionState = "lapsed"  // nobody settled in time: payees may show what they were promised
	SessionExpired SessionState = "expired" // what payees had shown is paid, the rest is refunded
)

// Session is an escrow between one payer and one coordinator.
type Session struct {
	ID          SessionID    `json:"id"`
	Payer       Address      `json:"payer"`
	Coordinator NodeKey      `json:"coordinator"`
	Deposit     Amount       `json:"deposit"`
	SessionKey  NodeKey      `json:"session_key"` // signs the session's tasks
	Opened      int64        `json:"opened"`      // height
	Expiry      int64        `json:"expiry"`      // height; from it on nothing can be settled
	State       SessionState `json:"state"`
}
