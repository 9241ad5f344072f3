package miner

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/transport"
)

// TestPlacesFollowTheList has members come and go for days and compares who is dialled with a model: whoever is on the list or has
// not been off it for long, as far as there is room.
func TestPlacesFollowTheList(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) { follow(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func follow(t *testing.T, draw *rand.Rand) {
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	dialled := map[string]int{} // by address, how often at a time
	p := newPlaces(ctx, slog.New(slog.DiscardHandler), func(ctx context.Context, at *place) {
		mu.Lock()
		dialled[at.addrs[0]]++
		mu.Unlock()
		<-ctx.Done()
		mu.Lock()
		defer mu.Unlock()
		if dialled[at.addrs[0]]--; dialled[at.addrs[0]] == 0 {
			delete(dialled, at.addrs[0])
		}
	})
	defer p.wait()
	defer cancel()
	offSince := map[string]time.Time{} // of those the model dials; zero: on the list
	for range 300 {
		var list []transport.Instance
		now := map[string]bool{}
		for i := range 12 { // fewer than there is room for
			if at := fmt.Sprint("addr-", i); draw.IntN(3) > 0 {
				now[at] = true
				list = append(list, transport.Instance{Name: fmt.Sprint(draw.Uint64()), Addrs: []string{at}})
			}
		}
		p.tell(essaim.NodeKey{1}, list)
		for at, since := range offSince {
			if !now[at] && since.IsZero() {
				offSince[at] = time.Now()
			}
		}
		for at := range now {
			offSince[at] = time.Time{}
		}
		time.Sleep(rand.N(7*time.Minute) + time.Second)
		synctest.Wait()
		for at, since := range offSince {
			if !since.IsZero() && time.Since(since) >= placeGone {
				delete(offSince, at)
			}
		}
		mu.Lock()
		for at, n := range dialled {
			if _, want := offSince[at]; !want || n != 1 {
				t.Fatalf("%s is dialled %d times, wanted: %v", at, n, want)
			}
		}
		if len(dialled) != len(offSince) {
			t.Fatalf("dialled are %v, wanted %v", slices.Sorted(maps.Keys(dialled)), slices.Sorted(maps.Keys(offSince)))
		}
		mu.Unlock()
	}
}

// TestNoCoordinatorHasEverythingDialled names ever new instances: no more are dialled at a time than there is room for, and those that are there now
// go before those that are gone.
func TestNoCoordinatorHasEverythingDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		now, most := map[string]bool{}, 0
		p := newPlaces(ctx, slog.New(slog.DiscardHandler), func(ctx context.Context, at *place) {
			mu.Lock()
			now[at.addrs[0]] = true
			most = max(most, len(now))
			mu.Unlock()
			<-ctx.Done()
			mu.Lock()
			defer mu.Unlock()
			delete(now, at.addrs[0])
		})
		defer p.wait()
		defer cancel()
		for round := range 50 {
			var list []transport.Instance
			for i := range 2 * maxPlaces {
				list = append(list, transport.Instance{Name: "x", Addrs: []string{fmt.Sprint(round, "-", i)}})
			}
			p.tell(essaim.NodeKey{1}, list)
			synctest.Wait()
			mu.Lock()
			if len(now) != maxPlaces || !now[fmt.Sprint(round, "-0")] {
				t.Errorf("round %d: dialled are %v", round, now)
			}
			mu.Unlock()
			time.Sleep(time.Second)
		}
		if most > 2*maxPlaces { // those that were told to stop a moment ago are among them
			t.Errorf("%d were dialled at a time", most)
		}
	})
}

func TestWhatIsDialledBecauseACoordinatorSaysSo(t *testing.T) {
	mine, other := keyOf(t, 1), keyOf(t, 2)
	at := func(ip string, key essaim.NodeKey) string {
		id, err := transport.PeerID(key)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("/%s/tcp/4070/p2p/%s", ip, id)
	}
	const public, private, local = "ip4/203.0.113.9", "ip4/10.0.0.9", "ip4/127.0.0.1"
	for name, c := range map[string]struct {
		over       string
		say        []string
		configured []string
		want       []string
	}{
		"over the internet, only there":   {over: "203.0.113.1", say: []string{at(public, mine), at(private, mine), at(local, mine), at("ip6/fe80::1", mine), at("ip6/::1", mine)}, want: []string{at(public, mine)}},
		"in a network, not this machine":  {over: "10.0.0.1", say: []string{at(local, mine), at(private, mine), at(public, mine)}, want: []string{at(private, mine), at(public, mine)}},
		"on this machine, all":            {over: "127.0.0.1", say: []string{at(local, mine), at(private, mine)}, want: []string{at(private, mine), at(local, mine)}},
		"somebody else's key":             {over: "127.0.0.1", say: []string{at(local, other)}},
		"names, and what is no address":   {over: "127.0.0.1", say: []string{at("dns4/example.org", mine), "x", "", at("ip4/0.0.0.0", mine), at("ip4/224.0.0.1", mine)}},
		"what the configuration has":      {over: "127.0.0.1", say: []string{at(local, mine), at(private, mine)}, configured: []string{at(local, mine)}},
		"this machine's in other clothes": {over: "203.0.113.1", say: []string{at("ip6/::ffff:127.0.0.1", mine)}},
		"between provider and customers":  {over: "203.0.113.1", say: []string{at("ip4/100.64.3.1", mine)}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, i := range dialable([]transport.Instance{{Name: "n", Addrs: c.say}}, mine, netip.MustParseAddr(c.over), c.configured) {
				got = append(got, i.Addrs...)
			}
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("dials %v, want %v", got, c.want)
			}
		})
	}
}

func keyOf(t *testing.T, n byte) essaim.NodeKey {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return essaim.NodeKeyOf(ed25519.NewKeyFromSeed(seed))
}
