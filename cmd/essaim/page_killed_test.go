package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/internal/browser"
)

// TestPageWhoseCoordinatorIsKilled: each role is a process. The coordinator, which serves the page, ends with SIGKILL: the
// page says so; when it is back, the same session goes on, and what comes back of it is right to the last uaim.
func TestPageWhoseCoordinatorIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	home := t.TempDir()
	startProcess(ctx, t, home).kill() // makes the home and registers everybody
	p, coordinator := startApart(ctx, t, home)
	info, err := devnet.ReadInfo(home)
	if err != nil {
		t.Fatal(err)
	}
	v := browser.Open(t, info.Gateway+"/")
	made := chromedp.WaitVisible(browser.At("made") + " img")
	v.Do(chromedp.WaitVisible("#prompt"), chromedp.SendKeys("#prompt", "a red apple"))
	v.Click("draw")
	v.Do(made)

	coordinator.kill()
	v.Sees("offline", "cannot be reached")
	v.Click("draw")
	v.Sees("failure", "cannot be reached")
	startNode(t, filepath.Join(home, "coordinator"))
	attach(ctx, t, home, 2)
	v.Do(chromedp.WaitNotPresent(browser.At("offline")))
	v.Click("draw")
	v.Do(made)
	v.Click("made")
	v.Do(chromedp.WaitVisible(browser.At("offline") + " li"))
	v.Do(chromedp.Click(`//button[text()="Download receipt"]`, chromedp.BySearch))
	file, err := os.ReadFile(v.Download(".receipt"))
	if err != nil {
		t.Fatal(err)
	}
	receipt, _, _, err := essaim.ReadReceiptFile(file)
	if err != nil {
		t.Fatal(err)
	}

	v.Visit("wallet")
	v.Click("settle")
	v.Sees("note", "came back")
	s, err := p.chain.Session(ctx, receipt.Session)
	if err != nil || s.State != essaim.SessionSettled {
		t.Errorf("the session is %+v: %v", s, err)
	}
	settled, err := p.chain.Settlement(ctx, receipt.Session)
	if err != nil || settled.Root.Count() != 2 {
		t.Errorf("settled %+v, want both pictures in one session: %v", settled, err)
	}
	address, err := essaim.ParseAddress(strings.Fields(strings.ReplaceAll(v.Text("address"), "Copy", ""))[0])
	if err != nil {
		t.Fatal(err)
	}
	if b, err := p.chain.Balance(ctx, address); err != nil || b != 10*essaim.AIM-settled.Root.Sum() {
		t.Errorf("the account has %s after pictures for %s: %v", b, settled.Root.Sum(), err)
	}
}
