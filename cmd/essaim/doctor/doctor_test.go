package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/settings"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/all"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/wallet"
)

// healthy is a shell in which all is well: a home with a key, a disk, an engine, no network.
func healthy(t *testing.T) (*Shell, string) {
	t.Helper()
	home := filepath.Join(t.TempDir(), "home")
	if _, _, err := wallet.Open(filepath.Join(home, "keys")).Create("user", ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	return &Shell{
		Stdout: &bytes.Buffer{}, JSON: func() bool { return false }, Home: func() string { return home }, User: func() string { return "user" },
		Gateway: func() string { return "" }, Settings: func() error { return nil }, Strange: func() []settings.Stranger { return nil }, Now: time.Now,
		No: func(err error) error { return err }, Shown: func(err error) error { return err },
		Space: func(string) (uint64, error) { return 50 << 30, nil }, Flush: func(string) (time.Duration, error) { return time.Millisecond, nil },
		Engines: func(context.Context) []all.Found {
			return []all.Found{{Driver: "pixel", Models: make([]engine.Model, 1)}}
		},
	}, home
}

// finding is the worst of a check's.
func finding(list []Finding, check string) Finding {
	worst := Finding{}
	for _, f := range list {
		if f.Check == check && (worst.Status == "" || f.Status == Fail || f.Status == Warn && worst.Status == OK) {
			worst = f
		}
	}
	return worst
}

func put(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

func TestHealthy(t *testing.T) {
	s, _ := healthy(t)
	for _, f := range s.Examine(context.Background()) {
		if f.Status != OK {
			t.Errorf("%+v", f)
		}
	}
}

// TestLocal: each thing that can be wrong with settings, home, keys and nodes is
// found, and every finding that is not ok says what to do.
func TestLocal(t *testing.T) {
	miner := "role = 'miner'\nchain_id = 'x'\n[miner]\ncapacity = 1\n"
	examine(t, []illness{
		{"settings", "settings", Fail, "no setting is called", func(_ *testing.T, s *Shell, _ string) {
			s.Settings = func() error {
				return essaim.Errorf(essaim.CodeBadInput, "is gateway meant?", "no setting is called gatway")
			}
		}},
		{"a variable that is none", "settings", Warn, "ESSAIM_GATWAY sets nothing", func(_ *testing.T, s *Shell, _ string) {
			s.Strange = func() []settings.Stranger {
				return []settings.Stranger{{Name: "ESSAIM_GATWAY", Near: "ESSAIM_GATEWAY"}}
			}
		}},
		{"no home", "home", Warn, "not there yet", func(t *testing.T, s *Shell, home string) { s.Home = func() string { return home + "2" } }},
		{"home is a file", "home", Fail, "no folder", func(t *testing.T, s *Shell, home string) {
			put(t, home+"2", "", 0o600)
			s.Home = func() string { return home + "2" }
		}},
		{"open home", "home", Warn, "other users", func(t *testing.T, _ *Shell, home string) { _ = os.Chmod(home, 0o755) }},
		{"broken network.json", "home", Fail, "", func(t *testing.T, _ *Shell, home string) { put(t, filepath.Join(home, "network.json"), "{", 0o600) }},
		{"no network.json", "home", Fail, "no network.json", func(t *testing.T, _ *Shell, home string) {
			put(t, filepath.Join(home, "validator", "x"), "", 0o600)
			put(t, filepath.Join(home, "coordinator", "x"), "", 0o600)
		}},
		{"open key", "keys", Fail, "other users", func(t *testing.T, _ *Shell, home string) {
			_ = os.Chmod(filepath.Join(home, "keys", "user.json"), 0o644)
		}},
		{"damaged key", "keys", Fail, "damaged", func(t *testing.T, _ *Shell, home string) { put(t, filepath.Join(home, "keys", "x.json"), "{", 0o600) }},
		{"no key", "keys", Warn, "no account key", func(t *testing.T, _ *Shell, home string) { _ = os.Remove(filepath.Join(home, "keys", "user.json")) }},
		{"another key", "keys", Warn, "no key is named alice", func(_ *testing.T, s *Shell, _ string) { s.User = func() string { return "alice" } }},
		{"bad node.toml", "nodes", Fail, "node.toml", func(t *testing.T, _ *Shell, home string) {
			put(t, filepath.Join(home, "miner", "node.toml"), "role = 3", 0o600)
		}},
		{"node without keys", "nodes", Warn, "has no keys", func(t *testing.T, _ *Shell, home string) {
			put(t, filepath.Join(home, "miner", "node.toml"), miner, 0o600)
		}},
		{"half of a node's keys", "nodes", Fail, "node.key", func(t *testing.T, _ *Shell, home string) {
			put(t, filepath.Join(home, "miner", "node.toml"), miner, 0o600)
			put(t, filepath.Join(home, "miner", "node.key"), "00", 0o600)
		}},
		{"damaged books", "nodes", Fail, node.ReceiptsFile, func(t *testing.T, _ *Shell, home string) {
			dir := filepath.Join(home, "miner")
			put(t, filepath.Join(dir, "node.toml"), miner, 0o600)
			if _, err := wallet.LoadNodeKeys(dir); err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(dir, node.ReceiptsFile), strings.Repeat("no database ", 99), 0o600)
		}},
	})
}

// TestMachine: the same of disk, ports, engines and gateway.
func TestMachine(t *testing.T) {
	examine(t, []illness{
		{"full disk", "disk", Fail, "GiB free", func(_ *testing.T, s *Shell, _ string) { s.Space = func(string) (uint64, error) { return 1 << 20, nil } }},
		{"nearly full disk", "disk", Warn, "GiB free", func(_ *testing.T, s *Shell, _ string) { s.Space = func(string) (uint64, error) { return 1 << 30, nil } }},
		{"dead disk", "disk", Fail, "read-only", func(_ *testing.T, s *Shell, _ string) {
			s.Flush = func(string) (time.Duration, error) { return 0, errors.New("read-only") }
		}},
		{"slow disk", "disk", Warn, "flush takes 50 ms", func(_ *testing.T, s *Shell, _ string) {
			s.Flush = func(string) (time.Duration, error) { return 50 * time.Millisecond, nil }
		}},
		{"very slow disk", "disk", Fail, "flush takes 2000 ms", func(_ *testing.T, s *Shell, _ string) {
			s.Flush = func(string) (time.Duration, error) { return 2 * time.Second, nil }
		}},
		{"taken port", "ports", Fail, "another program has", func(t *testing.T, s *Shell, _ string) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			s.Ports = []int{l.Addr().(*net.TCPAddr).Port}
		}},
		{"an engine that fails", "engines", Warn, "no answer", func(_ *testing.T, s *Shell, _ string) {
			s.Engines = func(context.Context) []all.Found {
				return []all.Found{{Driver: "pixel", Models: make([]engine.Model, 1)}, {Driver: "ollama", Err: errors.New("no answer")}}
			}
		}},
		{"no engine", "engines", Fail, "not even", func(_ *testing.T, s *Shell, _ string) { s.Engines = func(context.Context) []all.Found { return nil } }},
		{"no such gateway", "gateway", Fail, "", func(_ *testing.T, s *Shell, _ string) { s.Gateway = func() string { return "http://127.0.0.1:1" } }},
		{"no URL", "gateway", Fail, "", func(_ *testing.T, s *Shell, _ string) { s.Gateway = func() string { return "::" } }},
	})
}

// An illness is one thing that is wrong, and how it is to be reported.
type illness struct {
	name, check string
	want        Status
	what        string
	harm        func(t *testing.T, s *Shell, home string)
}

func examine(t *testing.T, list []illness) {
	for _, tt := range list {
		t.Run(tt.name, func(t *testing.T) {
			s, home := healthy(t)
			tt.harm(t, s, home)
			got := finding(s.Examine(context.Background()), tt.check)
			if got.Status != tt.want || !strings.Contains(got.What, tt.what) || got.Do == "" {
				t.Errorf("got %+v, want %s: …%s…, and what to do", got, tt.want, tt.what)
			}
		})
	}
}

// TestNetwork: a gateway that answers, whose ledger and coordinator do not.
func TestNetwork(t *testing.T) {
	s, _ := healthy(t)
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(essaim.CoordinatorInfo{ChainID: "x", LedgerURL: "http://127.0.0.1:1", PeerAddrs: []string{"/ip4/127.0.0.1/tcp/1/p2p/x"}})
	}))
	defer gateway.Close()
	s.Gateway = func() string { return gateway.URL }
	list := s.Examine(context.Background())
	for check, want := range map[string]Status{"gateway": OK, "peers": Fail, "ledger": Fail} {
		if got := finding(list, check); got.Status != want || (want != OK) != (got.Do != "") {
			t.Errorf("%s: %+v, want %s", check, got, want)
		}
	}
}

func TestClock(t *testing.T) {
	s, _ := healthy(t)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s.Now = func() time.Time { return now }
	for off, want := range map[time.Duration]Status{0: OK, time.Second: OK, -time.Second: OK, 10 * time.Second: Warn, -10 * time.Second: Warn, time.Hour: Fail, -time.Hour: Fail} {
		var r report
		s.clock(&r, "the ledger", now.Add(off), time.Second)
		if r[0].Status != want {
			t.Errorf("%s: %+v, want %s", off, r[0], want)
		}
	}
}

// TestTell: what fails ends the program with no, and lines fit the terminal.
func TestTell(t *testing.T) {
	s, _ := healthy(t)
	out := &bytes.Buffer{}
	s.Stdout = out
	long := strings.Repeat("word ", 60)
	if err := s.tell([]Finding{{"disk", Fail, long, long}}); err == nil {
		t.Error("a failure is no error")
	}
	if err := s.tell([]Finding{{"disk", Warn, "x", "y"}}); err != nil {
		t.Errorf("a warning is an error: %v", err)
	}
	for line := range strings.Lines(out.String()) {
		if len([]rune(strings.TrimSuffix(line, "\n"))) > 80 {
			t.Errorf("too long: %s", line)
		}
	}
}
