package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/internal/durable"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/wallet"
)

func (s *Shell) settings(r *report) {
	if err := s.Settings(); err != nil {
		r.wrong("settings", err, "mend the file")
		return
	}
	for _, v := range s.Strange() {
		do := "unset it, if it is not another program's"
		if v.Near != "" {
			do = "is " + v.Near + " meant?"
		}
		r.warn("settings", do, "the variable %s sets nothing", v.Name)
	}
	r.ok("settings", "read; `essaim config show` lists them")
}

// home looks at the folder, and returns what it says about a network.
func (s *Shell) home(r *report) devnet.Info {
	home := s.Home()
	info, err := os.Stat(home)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.warn("home", "`essaim init` or `essaim up` makes it", "%s is not there yet", home)
		return devnet.Info{}
	case err != nil || !info.IsDir():
		r.fail("home", "choose another with --home", "%s is no folder that can be read", home)
		return devnet.Info{}
	}
	if _, err := os.ReadDir(home); err != nil {
		r.fail("home", "run as the user it belongs to", "%v", err)
		return devnet.Info{}
	}
	if open(info, 0o077) {
		r.warn("home", "chmod 700 "+home, "other users of this machine can look into %s", home)
	}
	net, err := devnet.ReadInfo(home)
	switch {
	case err == nil:
		r.ok("home", "%s, of network %s", home, net.ChainID)
	case exists(filepath.Join(home, "network.json")):
		r.wrong("home", err, "restore it from a backup")
	case exists(filepath.Join(home, "validator")) && exists(filepath.Join(home, "coordinator")):
		r.fail("home", "restore it from a backup, or choose another with --home", "%s has a network's folders and no network.json", home)
	default:
		r.ok("home", "%s, without a network of its own", home)
	}
	return net
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// open reports whether a file has any of these permissions. Windows has others.
func open(info fs.FileInfo, perm fs.FileMode) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&perm != 0
}

// secret looks at who may read a secret's file.
func secret(r *report, path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	if open(info, 0o077) {
		r.fail("keys", "chmod 600 "+path, "other users of this machine can read %s", path)
		return false
	}
	if f, err := os.Open(path); err != nil {
		r.fail("keys", "run as the user it belongs to", "%v", err)
		return false
	} else {
		_ = f.Close()
	}
	return true
}

func (s *Shell) keys(r *report) {
	dir := filepath.Join(s.Home(), "keys")
	before := len(*r)
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		r.wrong("keys", err, "")
		return
	}
	for _, f := range files {
		secret(r, f)
	}
	list, err := wallet.Open(dir).List()
	if err != nil {
		r.wrong("keys", err, "restore it from a backup")
		return
	}
	mine := false
	for _, k := range list {
		mine = mine || k.Name == s.User()
	}
	switch {
	case len(list) == 0:
		r.warn("keys", "`essaim keys create "+s.User()+"` makes one, `essaim up` those of a network", "no account key is here")
	case !mine:
		r.warn("keys", "name one with --account, or `essaim keys create "+s.User()+"`", "no key is named %s, which is the one that is meant", s.User())
	case len(*r) == before && len(list) == 1:
		r.ok("keys", "one account key, %s", s.User())
	case len(*r) == before:
		r.ok("keys", "%d account keys, %s among them", len(list), s.User())
	}
}

// nodes looks into each folder with a node.toml.
func (s *Shell) nodes(r *report) {
	tomls, err := filepath.Glob(filepath.Join(s.Home(), "*", "node.toml"))
	if err != nil {
		r.wrong("nodes", err, "")
		return
	}
	well := 0
	for _, t := range tomls {
		if s.node(r, filepath.Dir(t)) {
			well++
		}
	}
	if well > 0 && well == len(tomls) {
		r.ok("nodes", "%d folders of nodes, with their keys", well)
	}
}

func (s *Shell) node(r *report, dir string) bool {
	cfg, err := node.Load(dir)
	if err != nil {
		r.wrong("nodes", err, "mend the file")
		return false
	}
	well := true
	if cfg.Role != node.RoleValidator {
		sign, hpke := filepath.Join(dir, "node.key"), filepath.Join(dir, "hpke.key")
		if !exists(sign) && !exists(hpke) {
			r.warn("nodes", "it makes new ones when it starts, and is then another node", "%s has no keys", dir)
			return false
		}
		if _, err := wallet.LoadNodeKeys(dir); err != nil {
			r.wrong("nodes", err, "restore them from a backup")
			return false
		}
		well = secret(r, sign) && secret(r, hpke)
	}
	books, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil {
		return false
	}
	for _, b := range books {
		if _, err := durable.InUse(b); err != nil {
			r.fail("nodes", "restore it from a backup", "%s: %v", b, err)
			well = false
		}
	}
	return well
}

// What a disk must have at least.
const (
	spaceFail = 200 << 20
	spaceWarn = 2 << 30
	flushWarn = 30 * time.Millisecond
	flushFail = time.Second
)

func (s *Shell) disk(r *report) {
	dir := s.Home()
	for !exists(dir) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
	}
	space, err := s.Space(dir)
	switch gib := float64(space) / (1 << 30); {
	case errors.Is(err, errors.ErrUnsupported):
	case err != nil:
		r.wrong("disk", err, "choose another --home")
	case space < spaceFail:
		r.fail("disk", "make room, or choose another --home: a ledger that cannot write stops", "%.1f GiB free", gib)
	case space < spaceWarn:
		r.warn("disk", "make room: blocks and pictures grow", "%.1f GiB free", gib)
	default:
		r.ok("disk", "%.1f GiB free", gib)
	}
	took, err := s.Flush(dir)
	ms := float64(took.Microseconds()) / 1000
	switch {
	case err != nil:
		r.fail("disk", "choose a --home that you can write to", "%v", err)
	case took > flushFail:
		r.fail("disk", "use another disk: each task waits for it several times", "a flush takes %.0f ms", ms)
	case took > flushWarn:
		r.warn("disk", "an SSD flushes in a millisecond or two; each task waits for it several times", "a flush takes %.0f ms", ms)
	default:
		r.ok("disk", "a flush takes %.1f ms", ms)
	}
}

// Flush measures how long a small write takes to be safe on a folder's disk: the median of nine.
func Flush(dir string) (took time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".essaim-doctor-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	var times []time.Duration
	for range 9 {
		began := time.Now()
		if _, err := f.WriteString(strings.Repeat("essaim\n", 600)); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		times = append(times, time.Since(began))
	}
	return median(times), nil
}

// ports looks whether `essaim up` could listen; if its network runs, it does.
func (s *Shell) ports(r *report, runs bool) {
	if runs {
		r.ok("ports", "in use by the network that runs here")
		return
	}
	var taken []string
	for _, p := range s.Ports {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			taken = append(taken, fmt.Sprint(p))
			continue
		}
		_ = l.Close()
	}
	if len(taken) > 0 {
		r.fail("ports", "`essaim up --http 127.0.0.1:PORT` takes others; a miner needs none", "another program has %s", strings.Join(taken, ", "))
		return
	}
	r.ok("ports", "those of `essaim up` are free")
}

func (s *Shell) engines(ctx context.Context, r *report) {
	models := 0
	for _, f := range s.Engines(ctx) {
		models += len(f.Models)
		switch name := strings.Join(strings.Fields(f.Driver+" "+f.Address), " "); {
		case f.Err != nil:
			r.warn("engines", "`essaim miner engines` says more", "%s cannot be used: %v", name, f.Err)
		case len(f.Models) > 0:
			r.ok("engines", "%s, models: %d", name, len(f.Models))
		}
	}
	if models == 0 {
		r.fail("engines", "this is a fault of the program: please report it", "not even the built-in models are found")
	}
}

// gatewayOf is the gateway that is looked at, and whether somebody has named it.
func (s *Shell) gatewayOf(net devnet.Info) (url string, named bool) {
	if g := s.Gateway(); g != "" {
		return g, true
	}
	return net.Gateway, false
}
