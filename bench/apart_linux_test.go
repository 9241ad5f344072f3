package bench

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bench/books"
	"github.com/essaim/essaim/bench/proc"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/seal"
)

// apartMiners is how many miners there are when each role is a process of its own.
const apartMiners = 3

// roleOf says to a process of this program which role of BenchmarkTaskApart it is.
const roleOf = "ESSAIM_BENCH_ROLE"

// Keys of roles that are processes of their own follow from their names: each knows all.
func namedKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func namedSeal(b *testing.B, name string) *seal.PrivateKey {
	b.Helper()
	seed := sha256.Sum256([]byte(name + " seal"))
	k, err := seal.ParsePrivateKey(seed[:])
	if err != nil {
		b.Fatal(err)
	}
	return k
}

func minerName(n int) string { return fmt.Sprint("miner ", n) }

// newApart is a world in which everybody is registered, and nobody runs.
func newApart(b *testing.B) *world {
	b.Helper()
	likeTheProgram()
	w := &world{books: newBooks()}
	w.enterCoordinator(namedKey("coordinator"))
	for n := range apartMiners {
		w.enterMiner(namedKey(minerName(n)), namedSeal(b, minerName(n)))
	}
	return w
}

// BenchmarkTaskApart is BenchmarkTask with three processes: the coordinator with its gateway, three miners, and the
// clients, which are this one; PROFILES=FOLDER has the other two leave a CPU profile there. What each role takes of the processor for a task is reported of each, so it is known what
// one of them could do with the cores that all share here. No process checks less because it knows what another did.
func BenchmarkTaskApart(b *testing.B) {
	for _, clients := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			w := newApart(b)
			coordinator, said := begin(b, "coordinator", "")
			miners, _ := begin(b, "miners", said[1])
			api, err := client.Dial(said[0])
			if err != nil {
				b.Fatal(err)
			}
			for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
				if info, err := api.Info(b.Context()); err != nil || info.Miners == apartMiners {
					tick.Stop()
					break
				}
			}
			a := newAsked(b, open(b, api, &elsewhere{w.books, said[2]}))
			before := []time.Duration{coordinator.cpu(), miners.cpu()}
			a.crowd(clients)
			for i, r := range []*role{coordinator, miners} {
				b.ReportMetric(float64((r.cpu()-before[i]).Microseconds())/float64(b.N), r.name+"-cpu-us/op")
			}
			_, peak := proc.Memory(coordinator.pid)
			b.ReportMetric(float64(peak), "coordinator-peak-MB")
		})
	}
}

// BenchmarkRole is a role of BenchmarkTaskApart, and nothing by itself.
func BenchmarkRole(b *testing.B) {
	name, at, _ := strings.Cut(os.Getenv(roleOf), " ")
	if name == "" {
		b.Skip("it is begun by BenchmarkTaskApart")
	}
	w := newApart(b)
	switch name {
	case "coordinator":
		peer := w.coordinate(b, namedKey(name))
		s := httptest.NewServer(http.HandlerFunc(w.openFor))
		b.Cleanup(s.Close)
		fmt.Printf("ready %s %s %s\n", w.url, peer, s.URL)
	case "miners":
		for n := range apartMiners {
			w.mine(b, namedKey(minerName(n)), namedSeal(b, minerName(n)), at)
		}
		fmt.Println("ready")
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the clients have gone
}

// openFor opens a session for whoever has no books of the coordinator's.
func (w *world) openFor(rw http.ResponseWriter, r *http.Request) {
	var s essaim.Session
	err := json.NewDecoder(r.Body).Decode(&s)
	if err == nil {
		s.ID, _, err = w.books.OpenSession(r.Context(), s.Coordinator, s.Deposit, s.SessionKey, s.Expiry)
	}
	if err == nil {
		s, err = w.books.Session(r.Context(), s.ID)
	}
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(rw).Encode(s)
}

// elsewhere is books whose sessions are in another process.
type elsewhere struct {
	*books.Books
	url string
}

// OpenSession opens it in both: the first here is the first there.
func (e *elsewhere) OpenSession(ctx context.Context, c essaim.NodeKey, deposit essaim.Amount, key essaim.NodeKey, expiry int64) (id essaim.SessionID, tx essaim.Tx, err error) {
	b, err := json.Marshal(essaim.Session{Coordinator: c, Deposit: deposit, SessionKey: key, Expiry: expiry})
	if err != nil {
		return id, tx, err
	}
	resp, err := http.Post(e.url, "application/json", strings.NewReader(string(b)))
	if err != nil {
		return id, tx, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return id, tx, fmt.Errorf("open a session: %s", resp.Status)
	}
	return e.Books.OpenSession(ctx, c, deposit, key, expiry)
}

// role is a process of BenchmarkTaskApart.
type role struct {
	name string
	pid  int
}

// begin begins a role, which ends with the benchmark, and returns what it says when it is ready.
func begin(b *testing.B, name, at string) (r *role, said []string) {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkRole$", "-test.benchtime=1x")
	if folder := os.Getenv("PROFILES"); folder != "" {
		cmd.Args = append(cmd.Args, "-test.cpuprofile="+filepath.Join(folder, name+".prof"))
	}
	cmd.Env = append(os.Environ(), roleOf+"="+name+" "+at)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			b.Errorf("%s: %v", name, err)
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, rest, ok := strings.Cut(lines.Text(), "ready"); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return &role{name, cmd.Process.Pid}, strings.Fields(rest)
		}
	}
	b.Fatalf("%s has ended before it was ready", name)
	return nil, nil
}

// cpu is the processor time that it has taken.
func (r *role) cpu() time.Duration {
	user, system := proc.Used(r.pid)
	return user + system
}
