package main

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
)

// TestMinerRun: the page is where the program says it is, and one Ctrl-C is answered once.
func TestMinerRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	home := t.TempDir()
	startProcess(ctx, t, home)
	i, err := devnet.ReadInfo(home)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "essaim", "miner", "run", "--home", home, "--coordinator", i.Gateway, "--page", "127.0.0.1:0", "--allow", "text", "--plain", "--yes")
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs := new(bytes.Buffer)
	cmd.Stderr = errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if _, page, ok := strings.Cut(lines.Text(), "this machine: "); ok {
			get(ctx, t, page+"/")
		}
		if strings.Contains(lines.Text(), "running=0/1 coordinators=1") {
			break
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for lines.Scan() {
		all.WriteString(lines.Text() + "\n")
	}
	if n := strings.Count(all.String(), "stopping:"); n != 1 {
		t.Errorf("it says %d times that it stops:\n%s", n, all.String())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, errs)
	}
}

// TestUpOnAllAddresses prints one that can be opened.
func TestUpOnAllAddresses(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	home := t.TempDir()
	p := startProcess(ctx, t, home, "--http", "0.0.0.0:0")
	i, err := devnet.ReadInfo(home)
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{i.Gateway, i.Ledger, i.Own} {
		if !strings.HasPrefix(url, "http://127.0.0.1:") {
			t.Errorf("it is said to be at %s", url)
		}
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if strings.Contains(p.log.String(), "://[::]") {
		t.Errorf("it says:\n%s", p.log)
	}
}

// TestUpInterrupted: who presses Ctrl-C before the network is there reads that, and not how a
// programmer calls it.
func TestUpInterrupted(t *testing.T) {
	home := t.TempDir()
	cmd := exec.Command("essaim", "up", "--home", home, "--http", "127.0.0.1:0")
	errs := new(bytes.Buffer)
	cmd.Stderr = errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	err := term.Until(t.Context(), func() (bool, error) {
		_, err := os.Stat(filepath.Join(home, "network.json")) // written before anything runs
		return err == nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if got, want := cmd.ProcessState.ExitCode(), 7; got != want {
		t.Errorf("exit code %d, want %d", got, want)
	}
	if s := errs.String(); !strings.Contains(s, "before the network was ready: interrupt signal received") || strings.Contains(s, "context canceled") {
		t.Errorf("it says %q", s)
	}
}
