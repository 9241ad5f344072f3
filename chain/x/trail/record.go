package trail

import (
	"slices"
	"strconv"
	"strings"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/crypto/merkle"
)

// Recorded reports whether events of a type are part of the trail.
func Recorded(eventType string) bool {
	return strings.HasPrefix(eventType, Prefix) || slices.Contains(others, eventType)
}

// Records writes a block's records in the order in which things happened: the beginning
// of the block, its transactions, its end. Transactions that failed have none.
func Records(before []abci.Event, txs []*abci.ExecTxResult, after []abci.Event) [][]byte {
	var out [][]byte
	add := func(tx int, events []abci.Event) {
		for _, e := range events {
			if Recorded(e.Type) {
				out = append(out, record(tx, e))
			}
		}
	}
	add(-1, before)
	for i, tx := range txs {
		if tx.Code == abci.CodeTypeOK {
			add(i, tx.Events)
		}
	}
	add(-1, after)
	return out
}

// Split parts the events of a block itself, as CometBFT keeps them, into those of its
// beginning and those of its end, which the SDK has marked.
func Split(events []abci.Event) (before, after []abci.Event) {
	for _, e := range events {
		if n := len(e.Attributes); n > 0 && e.Attributes[n-1].Key == "mode" && e.Attributes[n-1].Value == "EndBlock" {
			after = append(after, e)
			continue
		}
		before = append(before, e)
	}
	return before, after
}

// Root is the RFC 6962 Merkle root of records.
func Root(records [][]byte) []byte { return merkle.HashFromByteSlices(records) }

// Paths returns each record's Merkle path, from its sibling to a child of the root.
func Paths(records [][]byte) [][][]byte {
	_, proofs := merkle.ProofsFromByteSlices(records)
	out := make([][][]byte, len(proofs))
	for i, p := range proofs {
		out[i] = p.Aunts
	}
	return out
}

// record writes one event. tx is the number of the transaction in its block, or negative
// for an event of the block itself.
//
// The values of a typed event are JSON and stay JSON; other values are strings. A name that
// is there more than once, which no typed event has, gets the list of its values.
func record(tx int, e abci.Event) []byte {
	attributes := e.Attributes
	if n := len(attributes); n > 0 && addedBySDK(attributes[n-1]) {
		attributes = attributes[:n-1]
	}
	typed := strings.HasPrefix(e.Type, Prefix)
	values := map[string][]string{}
	for _, a := range attributes {
		value, ok := "", false
		if typed {
			value, ok = Canonical(a.Value)
		}
		if !ok {
			value = string(appendString(nil, a.Value))
		}
		values[a.Key] = append(values[a.Key], value)
	}
	out := append([]byte(nil), `{"attributes":{`...)
	for i, name := range sortedKeys(values) {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendString(out, name), ':')
		if v := values[name]; len(v) == 1 {
			out = append(out, v[0]...)
		} else {
			out = append(append(append(out, '['), strings.Join(v, ",")...), ']')
		}
	}
	out = append(out, '}')
	if tx >= 0 {
		out = strconv.AppendInt(append(out, `,"tx":`...), int64(tx), 10)
	}
	return append(appendString(append(out, `,"type":`...), e.Type), '}')
}

// addedBySDK tells the attribute that the SDK appends to events after they were emitted.
// A typed event's own text is in quotes and cannot be taken for it.
func addedBySDK(a abci.EventAttribute) bool {
	switch a.Key {
	case "mode":
		return a.Value == "BeginBlock" || a.Value == "EndBlock"
	case "msg_index":
		_, err := strconv.ParseUint(a.Value, 10, 31)
		return err == nil
	}
	return false
}
