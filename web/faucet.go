package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
)

// Give is who pays what a faucet gives.
type Give func(ctx context.Context, to essaim.Address, amount essaim.Amount) (essaim.Tx, error)

// FaucetConfig says what a faucet gives and how often.
type FaucetConfig struct {
	Give   Give
	Amount essaim.Amount // uaim at a time
	Pause  time.Duration // until an account is given again
	Most   int           // gifts to one network address within a pause: a person may have some accounts, a crowd not thousands
	File   string        // who was given what, so that a restart forgets nobody

	// Rows are instead of the file where several instances have one faucet, with FaucetSchema and FaucetTurn. The faucet closes them. Network addresses
	// are in them for a pause.
	Rows durable.DB
}

// Faucet gives newcomers coins, each account once in a while. It is safe for concurrent use.
//
// Beside a file network addresses are kept in memory only, so a restart forgets them; accounts are in the
// file. Neither stops somebody who has many network addresses: a faucet is for coins that are
// worth nothing, or for as many as one does not mind to lose.
type Faucet struct {
	cfg FaucetConfig

	mu    sync.Mutex
	file  *os.File
	given map[essaim.Address]time.Time // guarded by mu
	hosts map[string][]time.Time       // guarded by mu
}

// gift is a line of the file.
type gift struct {
	To essaim.Address `json:"to"`
	At time.Time      `json:"at"`
}

// OpenFaucet reads who was given coins lately and goes on from there.
//
// Errors: CodeBadInput if the file is damaged or cannot be written.
func OpenFaucet(cfg FaucetConfig) (*Faucet, error) {
	if cfg.Rows != nil {
		return &Faucet{cfg: cfg}, nil
	}
	f := &Faucet{cfg: cfg, given: map[essaim.Address]time.Time{}, hosts: map[string][]time.Time{}}
	bad := func(err error) error {
		return essaim.Errorf(essaim.CodeBadInput, "remove the file to begin anew", "the faucet's list %s: %w", cfg.File, err)
	}
	if err := f.read(); err != nil {
		return nil, bad(err)
	}
	if err := f.rewrite(); err != nil {
		return nil, bad(err)
	}
	return f, nil
}

// read reads the list. Its last line may have been cut.
func (f *Faucet) read() error {
	in, err := os.Open(f.cfg.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	var cut error
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if cut != nil {
			return cut
		}
		var g gift
		if err := json.Unmarshal(lines.Bytes(), &g); err != nil {
			cut = fmt.Errorf("%w in %.80q", err, lines.Bytes())
			continue
		}
		f.given[g.To] = g.At
	}
	return lines.Err()
}

// rewrite begins the list anew with those who still have to wait.
func (f *Faucet) rewrite() error {
	out, err := os.CreateTemp(filepath.Dir(f.cfg.File), ".faucet-*")
	if err != nil {
		return err
	}
	for to, at := range f.given {
		if time.Since(at) >= f.cfg.Pause {
			delete(f.given, to)
			continue
		}
		if err := note(out, gift{to, at}); err != nil {
			return errors.Join(err, out.Close(), os.Remove(out.Name()))
		}
	}
	if err := os.Rename(out.Name(), f.cfg.File); err != nil {
		return errors.Join(err, out.Close(), os.Remove(out.Name()))
	}
	f.file = out
	return nil
}

// Close closes the list.
func (f *Faucet) Close() error {
	if f.cfg.Rows != nil {
		return f.cfg.Rows.Close()
	}
	return f.file.Close()
}

// Give gives an account coins. host is where it was asked from.
//
// Errors: CodeConflict if the account or too many from that host were given lately; else the
// payer's, and then it was not given.
func (f *Faucet) Give(ctx context.Context, to essaim.Address, host string) (essaim.Tx, error) {
	if f.cfg.Rows != nil {
		return f.giveByRows(ctx, to, host)
	}
	now := time.Now()
	if err := f.claim(to, host, now); err != nil {
		return essaim.Tx{}, err
	}
	tx, err := f.cfg.Give(ctx, to, f.cfg.Amount)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		delete(f.given, to)
		f.hosts[host] = f.hosts[host][:max(0, len(f.hosts[host])-1)]
		return tx, err
	}
	return tx, note(f.file, gift{to, now})
}

// claim notes a gift before it is made, so that two requests at a time get one.
func (f *Faucet) claim(to essaim.Address, host string, now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at, ok := f.given[to]; ok && now.Sub(at) < f.cfg.Pause {
		return essaim.Errorf(essaim.CodeConflict, "come back in "+wait(f.cfg.Pause-now.Sub(at)), "%s has been given coins already", to)
	}
	recent := f.hosts[host][:0]
	for _, at := range f.hosts[host] {
		if now.Sub(at) < f.cfg.Pause {
			recent = append(recent, at)
		}
	}
	f.hosts[host] = recent
	if len(recent) >= f.cfg.Most {
		return essaim.Errorf(essaim.CodeConflict, "come back in "+wait(f.cfg.Pause-now.Sub(recent[0])), "from your network %d accounts have been given coins already", len(recent))
	}
	f.given[to] = now
	f.hosts[host] = append(recent, now)
	return nil
}

func wait(d time.Duration) string {
	if h := int(d.Hours()); h > 0 {
		return fmt.Sprintf("%d h", h)
	}
	return fmt.Sprintf("%d min", int(d.Minutes())+1)
}

func note(out *os.File, g gift) error {
	b, err := json.Marshal(g)
	if err != nil {
		return err
	}
	_, err = out.Write(append(b, '\n'))
	return err
}
