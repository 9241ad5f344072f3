package docs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A tutorial is Markdown. What is run are its fenced blocks:
//
//	```console         commands after "$ ", each with what it prints; "> " goes on with a command
//	```console stays   the command goes on running, and what it prints first is shown
//	```sh NAME         a file of that name, which the reader is told to save
//
// "…" stands for anything in a line, alone on a line for any lines; spaces may be more or fewer.
// A command without anything below it may print what it likes. "^C" ends the newest command that
// still runs and shows what it prints then. A command that fails fails the tutorial.
type step struct {
	line    int
	command string
	want    []string
	stays   bool
	file    string // instead of a command: its name
	text    string
}

// fence is the beginning of a block: its language, and what stands behind that.
var fence = regexp.MustCompile("^```([a-z]+)(?: (\\S+))?$")

func parse(t *testing.T, name string) []step {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	lines := strings.Split(string(text), "\n")
	for i := 0; i < len(lines); i++ {
		m := fence.FindStringSubmatch(lines[i])
		if m == nil {
			continue
		}
		n := slices.Index(lines[i+1:], "```")
		if n < 0 {
			t.Fatalf("%s:%d: the block has no end", name, i+1)
		}
		block := lines[i+1 : i+1+n]
		switch {
		case m[1] == "console":
			steps = append(steps, commands(t, name, i+2, block, m[2] == "stays")...)
		case m[2] != "":
			steps = append(steps, step{line: i + 1, file: m[2], text: strings.Join(block, "\n") + "\n"})
		}
		i += n + 1
	}
	return steps
}

func commands(t *testing.T, name string, line int, block []string, stays bool) []step {
	t.Helper()
	var steps []step
	for i, l := range block {
		command, starts := strings.CutPrefix(l, "$ ")
		switch {
		case starts || l == "^C":
			if l == "^C" {
				command = l
			}
			steps = append(steps, step{line: line + i, command: command, stays: stays})
		case len(steps) == 0:
			t.Fatalf("%s:%d: a block begins with a command: %q", name, line+i, l)
		default:
			s := &steps[len(steps)-1]
			if len(s.want) == 0 && strings.HasSuffix(s.command, "\\") {
				s.command += "\n" + l
			} else {
				s.want = append(s.want, l)
			}
		}
	}
	return steps
}

var spaces = regexp.MustCompile(`\s+`)

// pattern is what a command may print, from the beginning; whole says that nothing follows.
func pattern(want []string, whole bool) *regexp.Regexp {
	b := new(strings.Builder)
	b.WriteString("^")
	for _, l := range want {
		if l == "…" {
			b.WriteString(`(?:.*\n)*?`)
			continue
		}
		parts := strings.Split(strings.TrimRight(l, " "), "…")
		for i, p := range parts {
			parts[i] = spaces.ReplaceAllString(regexp.QuoteMeta(p), ` +`)
		}
		b.WriteString(strings.Join(parts, `.*`) + ` *\n`)
	}
	if whole {
		b.WriteString("$")
	}
	return regexp.MustCompile(b.String())
}

// output is what a command has printed so far, and says when there is more.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	since int // where the part begins that is looked at
	more  chan struct{}
}

func newOutput() *output { return &output{more: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer func() {
		select {
		case o.more <- struct{}{}:
		default:
		}
	}()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text.Bytes()[o.since:])
}

func (o *output) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.since = o.text.Len()
}

// reader follows a tutorial in a home of their own.
type reader struct {
	ctx     context.Context
	name    string
	home    string
	gateway string
	running []*running
}

type running struct {
	cmd  *exec.Cmd
	out  *output
	done chan struct{} // closed when it has ended, as err says
	err  error
}

// usual is where the gateway of a network is, and minersPage a miner's page, as tutorials write it.
// Here they get ports that are free.
const (
	usual      = "127.0.0.1:8420"
	minersPage = "127.0.0.1:8430"
)

func (r *reader) command(text string) (*exec.Cmd, *output) {
	cmd := exec.CommandContext(r.ctx, "bash", "-c", "set -euo pipefail\n"+strings.ReplaceAll(text, usual, r.gateway))
	cmd.Dir = r.home
	cmd.WaitDelay = 10 * time.Second
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "ESSAIM_") && !strings.HasPrefix(e, "HOME=") && !strings.HasPrefix(e, "PATH=") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	// The cache holds what is public and takes ten seconds to make; what is in it is checked.
	if cache, err := os.UserCacheDir(); err == nil {
		cmd.Env = append(cmd.Env, "ESSAIM_CACHE="+filepath.Join(cache, "essaim"))
	}
	cmd.Env = append(cmd.Env, "ESSAIM_UP_HTTP=127.0.0.1:0", "ESSAIM_MINER_RUN_PAGE=127.0.0.1:0") // ports that are free
	cmd.Env = append(cmd.Env, "HOME="+r.home, "PATH="+filepath.Join(r.home, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	out := newOutput()
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

// wanted is what a step shall print, with this network's address. Of a network that is just
// being started it is not known yet.
func (r *reader) wanted(s step) *regexp.Regexp {
	want := slices.Clone(s.want)
	for i := range want {
		address := r.gateway
		if s.stays {
			address = "127.0.0.1:…"
		}
		want[i] = strings.ReplaceAll(strings.ReplaceAll(want[i], usual, address), minersPage, "127.0.0.1:…")
	}
	return pattern(want, !s.stays)
}

func (r *reader) follow(t *testing.T, s step) {
	t.Helper()
	switch {
	case s.file != "":
		if err := os.WriteFile(filepath.Join(r.home, s.file), []byte(s.text), 0o600); err != nil {
			t.Fatal(err)
		}
	case s.command == "^C":
		r.interrupt(t, s)
	case s.stays:
		r.start(t, s)
	default:
		cmd, out := r.command(s.command)
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s:%d: $ %s\n%v; it prints\n%s%s", r.name, s.line, s.command, err, out, r.others())
		}
		r.compare(t, s, out.String())
	}
}

func (r *reader) compare(t *testing.T, s step, got string) {
	t.Helper()
	if got != "" && !strings.HasSuffix(got, "\n") {
		got += "\n"
	}
	if len(s.want) > 0 && !r.wanted(s).MatchString(got) {
		t.Fatalf("%s:%d: $ %s\nprints\n%s\nthe tutorial says\n%s\n%s", r.name, s.line, s.command, got, strings.Join(s.want, "\n"), r.others())
	}
}

// others is what runs in the reader's other terminals: where something goes wrong, it may say why.
func (r *reader) others() string {
	b := new(strings.Builder)
	for _, p := range r.running {
		b.WriteString("in another terminal:\n" + p.out.String() + "\n")
	}
	return b.String()
}

func (r *reader) start(t *testing.T, s step) {
	t.Helper()
	cmd, out := r.command("exec " + s.command)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &running{cmd: cmd, out: out, done: make(chan struct{})}
	go func() { p.err = cmd.Wait(); close(p.done) }()
	r.running = append(r.running, p)
	for want := r.wanted(s); !want.MatchString(out.String()); {
		select {
		case <-out.more:
		case <-p.done:
			t.Fatalf("%s:%d: $ %s\ndoes not stay: %v; it prints\n%s", r.name, s.line, s.command, p.err, out)
		case <-r.ctx.Done():
			t.Fatalf("%s:%d: $ %s\ndoes not print what the tutorial says, but\n%s", r.name, s.line, s.command, out)
		}
	}
	var info struct{ Gateway string }
	if b, err := os.ReadFile(filepath.Join(r.home, ".essaim", "network.json")); err == nil && json.Unmarshal(b, &info) == nil {
		if u, err := url.Parse(info.Gateway); err == nil {
			r.gateway = u.Host
		}
	}
}

// interrupt is Ctrl-C in the newest terminal.
func (r *reader) interrupt(t *testing.T, s step) {
	t.Helper()
	if len(r.running) == 0 {
		t.Fatalf("%s:%d: nothing runs that Ctrl-C could end", r.name, s.line)
	}
	p := r.running[len(r.running)-1]
	r.running = r.running[:len(r.running)-1]
	p.out.forget()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if <-p.done; p.err != nil {
		t.Fatalf("%s:%d: Ctrl-C: %v\n%s", r.name, s.line, p.err, p.out)
	}
	r.compare(t, s, p.out.String())
}

// leave closes the terminals that are still open, the newest first.
func (r *reader) leave() {
	for _, p := range slices.Backward(r.running) {
		_ = p.cmd.Process.Signal(os.Interrupt)
		<-p.done
	}
}

// TestTutorials does what the tutorials say, each in a home and on a network of its own.
func TestTutorials(t *testing.T) {
	if testing.Short() {
		t.Skip("brings up a network for each tutorial")
	}
	names, err := filepath.Glob("tutorials/*.md")
	if err != nil || len(names) < 5 {
		t.Fatalf("tutorials: %q, %v", names, err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".md"), func(t *testing.T) {
			steps := parse(t, name)
			home := t.TempDir()
			if err := os.Mkdir(filepath.Join(home, "bin"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(program(t), filepath.Join(home, "bin", "essaim")); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // a tutorial that hangs
			defer cancel()
			r := &reader{ctx: ctx, name: name, home: home, gateway: usual}
			defer r.leave()
			for _, s := range steps {
				r.follow(t, s)
			}
		})
	}
}

// TestPattern: what the dots let through, and what not.
func TestPattern(t *testing.T) {
	for _, c := range []struct {
		want, got string
		matches   bool
	}{
		{"paid … AIM", "paid   0.5 AIM\n", true},
		{"paid … AIM", "paid 0.5 ETH\n", false},
		{"a\n…\nz", "a\nz\n", true},
		{"a\n…\nz", "a\nb\nc\nz\n", true},
		{"a\n…\nz", "a\nz\nmore\n", false},
		{"a", "a\nmore\n", false},
		{"1.5", "1x5\n", false},
	} {
		if got := pattern(strings.Split(c.want, "\n"), true).MatchString(c.got); got != c.matches {
			t.Errorf("%q and %q: %t", c.want, c.got, got)
		}
	}
}
