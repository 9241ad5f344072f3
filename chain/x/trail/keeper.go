package trail

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"cosmossdk.io/core/store"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim/gen/chain/trailv1"
)

// entrySize is the length of an entry in the state.
const entrySize = 8 + 4 + 32

// Keeper owns the module's state.
type Keeper struct{ stores store.KVStoreService }

// NewKeeper makes a keeper of a part of the state.
func NewKeeper(stores store.KVStoreService) Keeper { return Keeper{stores} }

// Write keeps the root of a block's records; of no records it keeps nothing. It is called
// once a block, after everything else.
func (k Keeper) Write(ctx context.Context, records [][]byte) error {
	if len(records) == 0 {
		return nil
	}
	if len(records) > math.MaxUint32 {
		return fmt.Errorf("trail: %d records in a block", len(records))
	}
	last, err := k.Last(ctx)
	if err != nil {
		return err
	}
	e := trailv1.Entry{
		Height: sdk.UnwrapSDKContext(ctx).BlockHeight(), Previous: last, Count: uint32(len(records)), Root: Root(records),
	}
	if e.Height <= last {
		return fmt.Errorf("trail: height %d after %d", e.Height, last)
	}
	kv := k.stores.OpenKVStore(ctx)
	if err := kv.Set(EntryKey(e.Height), EntryValue(e)); err != nil {
		return err
	}
	return kv.Set(LastKey(), LastValue(e.Height))
}

// Last is the height of the newest entry; 0: there is none.
func (k Keeper) Last(ctx context.Context) (int64, error) {
	bz, err := k.stores.OpenKVStore(ctx).Get(LastKey())
	if err != nil || bz == nil {
		return 0, err
	}
	return ReadLast(bz)
}

// Entry returns the entry of a height; ok is false if there is none.
func (k Keeper) Entry(ctx context.Context, height int64) (e trailv1.Entry, ok bool, err error) {
	bz, err := k.stores.OpenKVStore(ctx).Get(EntryKey(height))
	if err != nil || bz == nil {
		return e, false, err
	}
	e, err = entry(height, bz)
	return e, err == nil, err
}

// Entries returns the first entries from a height on.
func (k Keeper) Entries(ctx context.Context, from int64, limit int) (out []trailv1.Entry, err error) {
	it, err := k.stores.OpenKVStore(ctx).Iterator(EntryKey(max(from, 0)), []byte{entryPrefix + 1})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	for ; it.Valid() && len(out) < limit; it.Next() {
		e, err := entry(int64(binary.BigEndian.Uint64(it.Key()[1:])), it.Value())
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// EntryKey is where the state has the entry of a height.
func EntryKey(height int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{entryPrefix}, uint64(height))
}

// EntryValue is what the state has there.
func EntryValue(e trailv1.Entry) []byte {
	out := make([]byte, 0, entrySize)
	out = binary.BigEndian.AppendUint64(out, uint64(e.Previous))
	out = binary.BigEndian.AppendUint32(out, e.Count)
	return append(out, e.Root...)
}

// LastKey is where the state has the height of the newest entry.
func LastKey() []byte { return []byte{lastPrefix} }

// LastValue is what the state has there.
func LastValue(height int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(height)) }

// ReadLast reads it back.
func ReadLast(bz []byte) (height int64, err error) {
	if len(bz) != 8 {
		return 0, fmt.Errorf("trail: the last height has %d bytes", len(bz))
	}
	return int64(binary.BigEndian.Uint64(bz)), nil
}

func entry(height int64, bz []byte) (trailv1.Entry, error) {
	if len(bz) != entrySize {
		return trailv1.Entry{}, fmt.Errorf("trail: the entry of height %d has %d bytes", height, len(bz))
	}
	return trailv1.Entry{
		Height: height, Previous: int64(binary.BigEndian.Uint64(bz)), Count: binary.BigEndian.Uint32(bz[8:]),
		Root: append([]byte(nil), bz[12:]...),
	}, nil
}
