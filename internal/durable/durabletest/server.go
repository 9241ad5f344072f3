package durabletest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a PostgreSQL server of this test binary's own. Make it with Start.
type Server struct {
	dir  string
	as   *user.User // the server refuses to run as root
	post *exec.Cmd  // nil: it is another process's
}

// Attach is a server that another process has started, by its Dir.
func Attach(dir string) *Server { return &Server{dir: dir} }

// Dir is the server's folder, by which another process reaches it.
func (s *Server) Dir() string { return s.dir }

// Start starts a server in a new folder; nil, and why, where PostgreSQL is not installed. The caller stops it. It does not
// flush its disk, which only a power cut would show, unless a setting says so: "fsync=on".
func Start(settings ...string) (s *Server, why string, err error) {
	initdb, postgres := find("initdb"), find("postgres")
	if initdb == "" || postgres == "" {
		return nil, "PostgreSQL is not installed: no initdb and postgres in PATH or /usr/lib/postgresql", nil
	}
	s = &Server{}
	if os.Getuid() == 0 {
		if s.as, err = user.Lookup("postgres"); err != nil {
			if s.as, err = user.Lookup("nobody"); err != nil {
				return nil, "PostgreSQL does not run as root, and there is no other user", nil
			}
		}
	}
	if s.dir, err = os.MkdirTemp("", "pg"); err != nil { // short: the path of a socket has at most 107 bytes
		return nil, "", err
	}
	if s.as != nil {
		if err := os.Chown(s.dir, number(s.as.Uid), number(s.as.Gid)); err != nil {
			return nil, "", errors.Join(err, s.Stop())
		}
	}
	data := filepath.Join(s.dir, "data")
	if out, err := s.command(initdb, "-D", data, "-A", "trust", "-U", "essaim", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput(); err != nil {
		return nil, "", errors.Join(fmt.Errorf("initdb: %w: %s", err, out), s.Stop())
	}
	args := []string{"-D", data, "-k", s.dir}
	for _, c := range append([]string{"listen_addresses=", "max_connections=200", "fsync=off"}, settings...) {
		args = append(args, "-c", c)
	}
	s.post = s.command(postgres, args...)
	if err := s.post.Start(); err != nil {
		s.post = nil
		return nil, "", errors.Join(err, s.Stop())
	}
	if err := s.await(); err != nil {
		return nil, "", errors.Join(err, s.Stop())
	}
	return s, "", nil
}

// await asks until the server answers, by which alone it says that it serves.
func (s *Server) await() (err error) {
	tick, late := time.NewTicker(20*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for {
		if err = s.exec("SELECT 1"); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-late:
			return err
		}
	}
}

func find(name string) string {
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); len(found) > 0 {
		return found[len(found)-1]
	}
	return ""
}

func number(id string) int {
	n, _ := strconv.Atoi(id)
	return n
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Dir = s.dir
	runAs(c, s.as)
	return c
}

// URL is the address of a database of the server.
func (s *Server) URL(database string) string {
	return "postgres://essaim@/" + database + "?host=" + s.dir
}

func (s *Server) exec(query string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, query)
	return errors.Join(err, c.Close(ctx))
}

// Database makes an empty database and returns its URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := "t" + strings.ToLower(rand.Text())
	if err := s.exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	return s.URL(name)
}

// Cut ends all connections to a database that have a name: it is the end of a program as the server sees it.
func Cut(t testing.TB, url, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, url)
	if err == nil {
		_, err = c.Exec(ctx, `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = $1`, name)
		err = errors.Join(err, c.Close(ctx))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Stop ends the server at once and removes its folder.
func (s *Server) Stop() error {
	var err error
	if s.post != nil {
		err = s.post.Process.Signal(os.Interrupt) // a fast shutdown
		if wait := s.post.Wait(); wait != nil && !strings.Contains(wait.Error(), "exit status") {
			err = errors.Join(err, wait)
		}
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
