//go:build unix

package peers

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/essaim/essaim/bench/proc"
)

// process is one that we have started.
type process struct {
	name string
	cmd  *exec.Cmd
}

// start starts a program and waits until it has said "ready", or answers at a URL.
func start(ctx context.Context, name, answers string, env []string, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p, ready := &process{name, cmd}, make(chan error, 1)
	go func() {
		r := bufio.NewReader(out)
		line, err := r.ReadString('\n')
		if err == nil && answers == "" && strings.TrimSpace(line) != "ready" {
			err = fmt.Errorf("%s says %q", name, line)
		}
		ready <- err
		_, _ = io.Copy(io.Discard, r)
	}()
	if answers == "" {
		err = <-ready
	} else {
		err = await(ctx, answers)
	}
	if err != nil {
		err = errors.Join(fmt.Errorf("start %s: %w", name, err), p.stop())
	}
	return p, err
}

// await asks a URL until it answers at all.
func await(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			return resp.Body.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	err := p.cmd.Wait()
	var left *exec.ExitError
	if errors.As(err, &left) {
		return nil // whoever does not heed the signal ends by it
	}
	return err
}

// freePort is a port that nobody listens on just now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// way is one of those that are put beside each other.
type way struct {
	name   string
	target target
	front  *process   // the gateway; nil: there is none
	behind []*process // the miners
}

// also is a gateway of others: a name and a command with {port}, {engine} and {model} in it, and headers.
type also []string

func (a *also) String() string     { return strings.Join(*a, ", ") }
func (a *also) Set(s string) error { *a = append(*a, s); return nil }

// bench is one run.
type bench struct {
	ctx    context.Context
	self   string
	root   string
	engine string
	last   time.Duration
	alive  []*process
}

func newBench(ctx context.Context, last time.Duration, engine ...string) (*bench, error) {
	b := &bench{ctx: ctx, last: last}
	var err error
	if b.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if b.root, err = os.MkdirTemp("", "peers"); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	b.engine = "http://" + addr
	_, err = b.start("engine", "", nil, append([]string{b.self, "engine", "-listen", addr}, engine...)...)
	return b, err
}

func (b *bench) start(name, answers string, env []string, args ...string) (*process, error) {
	p, err := start(b.ctx, name, answers, env, args...)
	if err == nil {
		b.alive = append(b.alive, p)
	}
	return p, err
}

func (b *bench) close() error {
	for _, p := range b.alive {
		_ = p.stop()
	}
	return os.RemoveAll(b.root)
}

// other starts somebody else's gateway, "name=command" with headers behind it as "|Name: value".
func (b *bench) other(spec string) (way, error) {
	name, command, ok := strings.Cut(spec, "=")
	if !ok {
		return way{}, fmt.Errorf("%q is not NAME=COMMAND", spec)
	}
	port, err := freePort()
	if err != nil {
		return way{}, err
	}
	fill := strings.NewReplacer("{port}", strconv.Itoa(port), "{engine}", b.engine, "{model}", modelName)
	parts := strings.Split(fill.Replace(command), "|")
	w := way{name: name, target: target{url: fmt.Sprintf("http://127.0.0.1:%d", port), model: modelName, header: http.Header{}}}
	for _, h := range parts[1:] {
		k, v, _ := strings.Cut(h, ": ")
		w.target.header[k] = []string{v}
	}
	w.front, err = b.start(name, w.target.url, []string{fmt.Sprintf("PORT=%d", port)}, strings.Fields(parts[0])...)
	return w, err
}

// essaim starts a coordinator with its gateway, and miners.
func (b *bench) essaim(miners int, set func(*world)) (way, *world, error) {
	w, err := newWorld(filepath.Join(b.root, "essaim"), miners)
	if err != nil {
		return way{}, nil, err
	}
	if w.Model, err = catalog(b.ctx, b.engine); err != nil {
		return way{}, nil, err
	}
	ports := [2]int{}
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return way{}, nil, err
		}
	}
	w.Engine, w.Listen, w.Gateway = b.engine, fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	set(w)
	if err := errors.Join(os.MkdirAll(w.Dir, 0o700), w.save()); err != nil {
		return way{}, nil, err
	}
	out := way{name: "essaim", target: target{url: "http://" + w.Gateway, model: modelName}}
	if out.front, err = b.start("node", "", nil, b.self, "node", "-world", w.Dir); err != nil {
		return out, w, err
	}
	for i := range miners {
		m, err := b.start("miner", "", nil, b.self, "miner", "-world", w.Dir, "-n", strconv.Itoa(i))
		if err != nil {
			return out, w, err
		}
		out.behind = append(out.behind, m)
	}
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		if n, err := connected(b.ctx, out.target.url); err == nil && n == miners {
			break
		}
		if b.ctx.Err() != nil {
			return out, w, b.ctx.Err()
		}
	}
	secrets, err := os.ReadFile(w.path("secrets.json"))
	if err != nil {
		return out, w, err
	}
	return out, w, json.Unmarshal(secrets, &out.target.secrets)
}

// spent is the CPU time of processes.
func spent(list ...*process) (user, system time.Duration) {
	for _, p := range list {
		if p != nil {
			u, s := proc.Used(p.cmd.Process.Pid)
			user, system = user+u, system+s
		}
	}
	return user, system
}

func run(ctx context.Context, args []string) (err error) {
	f := flag.NewFlagSet("run", flag.ExitOnError)
	last := f.Duration("for", 5*time.Second, "each measurement")
	rounds := f.Int("rounds", 1, "how often, by turns")
	miners := f.Int("miners", 1, "of Essaim's network")
	only := f.String("only", "", "one way alone")
	var others also
	list := f.String("clients", "1,32,256", "how many at a time")
	streams := f.String("streams", "1,16", "how many streams at a time; empty: none")
	f.Var(&others, "also", "NAME=COMMAND of another gateway, with {port}, {engine} and {model}, and |Header: value for its clients; may be repeated")
	_ = f.Parse(args)
	b, err := newBench(ctx, *last)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	ways, err := b.ways(*only, *miners, others)
	if err != nil {
		return err
	}
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("load %s\n", load)
	fmt.Println("| clients | way | req/s | p50 | p99 | CPU a request, of it in the kernel | its miners' | RSS now, at most | not answered |\n|---|---|---|---|---|---|---|---|---|")
	for range *rounds {
		for _, clients := range numbers(*list) {
			for _, w := range ways {
				b.measure(w, clients)
			}
		}
	}
	fmt.Println("\n| streams | way | age of a token p50 | p99 | CPU a token | its miners' |\n|---|---|---|---|---|---|")
	for range *rounds {
		for _, clients := range numbers(*streams) {
			for _, w := range ways {
				b.measureStream(w, clients)
			}
		}
	}
	return b.idle(ways)
}

func (b *bench) ways(only string, miners int, others also) ([]way, error) {
	var out []way
	if only == "" || only == "direct" {
		out = append(out, way{name: "direct", target: target{url: b.engine, model: modelName}})
	}
	if only == "" || only == "proxy" {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		p, err := b.start("proxy", "", nil, b.self, "proxy", "-listen", addr, "-to", b.engine)
		if err != nil {
			return nil, err
		}
		out = append(out, way{name: "httputil.ReverseProxy", target: target{url: "http://" + addr, model: modelName}, front: p})
	}
	for _, spec := range others {
		w, err := b.other(spec)
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	if only == "" || only == "essaim" {
		w, _, err := b.essaim(miners, func(*world) {})
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

// measure prints a line of the table.
func (b *bench) measure(w way, clients int) {
	a := newAsker(w.target, clients)
	defer a.client.CloseIdleConnections()
	warm := a.closed(b.ctx, clients, min(time.Second, b.last))
	fu, fs := spent(w.front)
	mu, ms := spent(w.behind...)
	t := a.closed(b.ctx, clients, b.last)
	fu2, fs2 := spent(w.front)
	mu2, ms2 := spent(w.behind...)
	each := func(d time.Duration) string {
		return fmt.Sprintf("%.3f ms", float64(d.Microseconds())/1e3/float64(max(1, len(t.took))))
	}
	front, miners, memory := "–", "–", "–"
	if w.front != nil {
		front = each(fu2+fs2-fu-fs) + ", " + each(fs2-fs)
		now, peak := proc.Memory(w.front.cmd.Process.Pid)
		memory = fmt.Sprintf("%d, %d MB", now, peak)
	}
	if len(w.behind) > 0 {
		miners = each(mu2 + ms2 - mu - ms)
	}
	ms3 := func(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1e3) }
	fmt.Printf("| %d | %s | %.0f | %s | %s | %s | %s | %s | %s |\n", clients, w.name, float64(len(t.took))/t.lasted.Seconds(),
		ms3(t.percentile(50)), ms3(t.percentile(99)), front, miners, memory, complaints(t, warm))
}

// complaints says what did not go well.
func complaints(list ...*tally) string {
	var out []string
	for _, t := range list {
		for s, n := range t.statuses {
			if s != http.StatusOK {
				out = append(out, fmt.Sprintf("%d × %d", n, s))
			}
		}
		for why, n := range t.failed {
			out = append(out, fmt.Sprintf("%d ×%s", n, why))
		}
		for why, n := range t.why {
			fmt.Fprintf(os.Stderr, "%d × %s\n", n, why)
		}
	}
	if out == nil {
		return "0"
	}
	return strings.Join(out, ", ")
}

// measureStream prints a line of the streams' table.
func (b *bench) measureStream(w way, clients int) {
	a := newAsker(w.target, clients)
	defer a.client.CloseIdleConnections()
	const each = 8
	fu, fs := spent(w.front)
	mu, ms := spent(w.behind...)
	ages, err := a.streamed(b.ctx, clients, each)
	if err != nil || len(ages) == 0 {
		fmt.Printf("| %d | %s | %v | | | |\n", clients, w.name, err)
		return
	}
	fu2, fs2 := spent(w.front)
	mu2, ms2 := spent(w.behind...)
	token := func(d time.Duration, there bool) string {
		if !there {
			return "–"
		}
		return fmt.Sprintf("%.0f µs", float64(d.Microseconds())/float64(len(ages)))
	}
	fmt.Printf("| %d | %s | %.0f µs | %.0f µs | %s | %s |\n", clients, w.name, float64(ages[len(ages)/2].Nanoseconds())/1e3,
		float64(ages[len(ages)*99/100].Nanoseconds())/1e3, token(fu2+fs2-fu-fs, w.front != nil), token(mu2+ms2-mu-ms, len(w.behind) > 0))
}

// idle prints what everybody takes when nobody asks.
func (b *bench) idle(ways []way) error {
	fmt.Println("\n| idle | CPU a second | its miners' | RSS | a miner's |\n|---|---|---|---|---|")
	for _, w := range ways {
		if w.front == nil {
			continue
		}
		fu, fs := spent(w.front)
		mu, ms := spent(w.behind...)
		began := time.Now()
		select {
		case <-time.After(b.last):
		case <-b.ctx.Done():
			return b.ctx.Err()
		}
		fu2, fs2 := spent(w.front)
		mu2, ms2 := spent(w.behind...)
		second := func(d time.Duration) string {
			return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1e3/time.Since(began).Seconds())
		}
		now, _ := proc.Memory(w.front.cmd.Process.Pid)
		miners, rss := "–", "–"
		if len(w.behind) > 0 {
			n, _ := proc.Memory(w.behind[0].cmd.Process.Pid)
			miners, rss = second(mu2+ms2-mu-ms), fmt.Sprintf("%d MB", n)
		}
		fmt.Printf("| %s | %s | %s | %d MB | %s |\n", w.name, second(fu2+fs2-fu-fs), miners, now, rss)
	}
	return nil
}

// numbers reads a list of them.
func numbers(list string) (out []int) {
	for s := range strings.SplitSeq(list, ",") {
		if n, err := strconv.Atoi(s); err == nil {
			out = append(out, n)
		}
	}
	return out
}
