package all

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/exec"
)

const (
	dialTime  = 500 * time.Millisecond // for a place on this machine to answer at all
	probeTime = 10 * time.Second       // for an engine to list its models
)

// Found is an engine on this machine, or something that should be one.
type Found struct {
	Driver  string
	Address string // empty: built in
	Version string // empty: it does not say
	Models  []engine.Model
	Err     error // why it cannot be used
}

// Place is where an engine may be.
type Place struct{ Driver, Address string }

// ParsePlace reads DRIVER=ADDRESS, as the configuration of a miner has it.
//
// Errors: says what is wrong.
func ParsePlace(s string) (Place, error) {
	driver, address, ok := strings.Cut(s, "=")
	if !ok || address == "" {
		return Place{}, fmt.Errorf("an engine is written like ollama=http://127.0.0.1:11434, not %q", s)
	}
	_, err := Find(driver)
	return Place{driver, address}, err
}

// Usual lists where engines are unless they were told otherwise: built in, at their ports, and
// programs on the path that have exec's prefix.
func Usual() []Place {
	var out []Place
	for _, d := range Registry() {
		if d.BuiltIn {
			out = append(out, Place{Driver: d.Name})
		}
		for _, at := range d.Places {
			out = append(out, Place{d.Name, at})
		}
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		files, err := filepath.Glob(filepath.Join(dir, exec.Prefix+"*"))
		if err != nil {
			continue // the folder's name looks like a pattern
		}
		for _, f := range files {
			out = append(out, Place{exec.Name, f})
		}
	}
	return out
}

// Local looks at places, all at the same time. A usual place where nothing answers is left out; of
// the others the error says why they cannot be used.
func Local(ctx context.Context, places []Place) []Found {
	found := make([]*Found, len(places))
	var wg sync.WaitGroup
	for i, p := range places {
		wg.Go(func() {
			if !silent(ctx, p) {
				found[i] = look(ctx, p)
			}
		})
	}
	wg.Wait()
	var out []Found
	for _, f := range found {
		if f != nil {
			out = append(out, *f)
		}
	}
	return out
}

// silent reports whether a usual place has nobody.
func silent(ctx context.Context, p Place) bool {
	d, err := Find(p.Driver)
	if err != nil || !slices.Contains(d.Places, p.Address) {
		return false
	}
	u, err := url.Parse(p.Address)
	if err != nil {
		return false
	}
	c, err := (&net.Dialer{Timeout: dialTime}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return true
	}
	_ = c.Close()
	return false
}

func look(ctx context.Context, p Place) *Found {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	f := &Found{Driver: p.Driver, Address: p.Address}
	d, err := Find(p.Driver)
	if err != nil {
		f.Err = err
		return f
	}
	e, err := d.Open(p.Address)
	if err != nil {
		f.Err = err
		return f
	}
	if c, ok := e.(io.Closer); ok {
		defer func() { _ = c.Close() }()
	}
	if f.Models, f.Err = e.Models(ctx); f.Err != nil {
		return f
	}
	if v, ok := e.(interface {
		Version(context.Context) (string, error)
	}); ok {
		f.Version, _ = v.Version(ctx) // an engine works without saying which it is
	}
	return f
}
