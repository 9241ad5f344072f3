package devnet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/wallet"
)

// visitor is a person's browser.
type visitor struct {
	*testing.T
	ctx   context.Context
	saved string // folder of downloads
	shots string // folder of screenshots; "": none are taken
}

// browse opens a page in a real browser with a profile of its own, in which scripts run before the page's. What the
// page's own scripts complain about fails the test.
func browse(t *testing.T, url string, scripts ...string) *visitor {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil && path == "" {
			path = p
		}
	}
	if path == "" {
		t.Skip("no Chromium is on this machine, so the page cannot be opened")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1200, 900), chromedp.Flag("lang", "en"))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {})) // it does not know all events of newer browsers
	t.Cleanup(cancel)
	v := &visitor{T: t, ctx: ctx, saved: t.TempDir(), shots: os.Getenv("ESSAIM_TEST_SHOTS")}
	chromedp.ListenTarget(ctx, func(e any) {
		switch e := e.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("the page throws: %s %v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
		case *log.EventEntryAdded:
			if e.Entry.Source == log.SourceSecurity {
				t.Errorf("the browser refuses: %s", e.Entry.Text)
			}
		case *network.EventRequestWillBeSent:
			if u := e.Request.URL; !strings.HasPrefix(u, url) && !strings.HasPrefix(u, "blob:") && !strings.HasPrefix(u, "data:") {
				t.Errorf("the page asks a third party: %s", u)
			}
		}
	})
	if err := chromedp.Run(ctx); err != nil { // starts the browser, for as long as ctx lives
		t.Fatal(err)
	}
	v.do(network.Enable(), browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(v.saved))
	for _, s := range scripts {
		v.do(chromedp.ActionFunc(func(ctx context.Context) error {
			_, err := page.AddScriptToEvaluateOnNewDocument(s).Do(ctx)
			return err
		}))
	}
	v.do(chromedp.Navigate(url))
	return v
}

func (v *visitor) do(actions ...chromedp.Action) {
	v.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		var seen string
		_ = chromedp.Run(v.ctx, chromedp.Text("body", &seen))
		v.shot("failed")
		v.Fatalf("%v; the page says:\n%s", err, seen)
	}
}

func at(name string) string { return fmt.Sprintf(`[data-test=%q]`, name) }

func (v *visitor) click(name string) {
	v.Helper()
	v.do(chromedp.WaitEnabled(at(name)), chromedp.Click(at(name)))
}

func (v *visitor) fill(name, text string) {
	v.Helper()
	v.do(chromedp.WaitVisible(at(name)), chromedp.SendKeys(at(name), text))
}

func (v *visitor) text(name string) (s string) {
	v.Helper()
	v.do(chromedp.Text(at(name), &s))
	return s
}

// sees waits until an element says something.
func (v *visitor) sees(name, text string) {
	v.Helper()
	v.do(chromedp.PollFunction(`(s, t) => [...document.querySelectorAll(s)].some((e) => e.textContent.includes(t))`, nil, chromedp.WithPollingArgs(at(name), text), chromedp.WithPollingTimeout(0)))
}

func (v *visitor) visit(page string) {
	v.Helper()
	v.do(chromedp.Evaluate(`location.hash = "#/`+page+`"`, nil))
}

func (v *visitor) shot(name string) {
	if v.shots == "" {
		return
	}
	var b []byte
	if err := chromedp.Run(v.ctx, chromedp.FullScreenshot(&b, 100)); err != nil {
		v.Error(err)
		return
	}
	if err := os.WriteFile(filepath.Join(v.shots, name+".png"), b, 0o600); err != nil {
		v.Error(err)
	}
}

// download is the one file whose name ends so.
func (v *visitor) download(ending string) string {
	v.Helper()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		if found, _ := filepath.Glob(filepath.Join(v.saved, "*"+ending)); len(found) == 1 {
			return found[0]
		}
		v.do(chromedp.Evaluate(`new Promise(requestAnimationFrame)`, nil, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	}
	v.Fatalf("no file *%s was saved", ending)
	return ""
}

// TestPage is a newcomer's first visit in a real browser: account, coins and picture with one
// click; the certificate; coins for somebody else; stake; settlement; the key on another machine.
func TestPage(t *testing.T) {
	r := start(t, Config{Miners: 3, Serve: true, HTTP: "127.0.0.1:0", Pace: 100 * time.Millisecond, Audit: &node.Audit{Budget: 1_000_000, Patience: node.Duration(time.Second), Poll: node.Duration(50 * time.Millisecond)}})
	v := browse(t, r.Info().Gateway+"/", `new MutationObserver(() => { window.previewed ||= !!document.querySelector('[data-test="preview"]') }).observe(document, { subtree: true, childList: true })`)

	v.do(chromedp.WaitVisible("#prompt"), chromedp.SendKeys("#prompt", "a red apple"))
	v.sees("price", "AIM each, at most")
	v.do(chromedp.SendKeys(at("style"), "twemoji"))
	v.shot("make-before")
	v.click("draw")
	v.do(chromedp.WaitVisible(at("made") + " img"))
	v.shot("make")
	var previewed bool
	if v.do(chromedp.Evaluate("window.previewed", &previewed)); !previewed {
		t.Error("no preview was shown")
	}
	v.sees("balance", "9 AIM") // ten from the faucet, one in escrow

	v.click("made")
	for _, line := range []string{"the task is signed", "the receipt is signed", "the receipt answers this task", "the file is the one", "its pixels are those", "the whole drawing was computed with the registered weights"} {
		v.sees("offline", line)
	}
	v.sees("online", "the session is yours")
	v.sees("online", "drawn by the beacon") // a new miner's first receipts are all audited
	if s := v.text("online"); !strings.Contains(s, "registered and active") || strings.Contains(s, "✗") {
		t.Errorf("the ledger's node says: %s", s)
	}
	v.shot("certificate")
	v.do(chromedp.Click(`//button[text()="Download receipt"]`, chromedp.BySearch))
	file, err := os.ReadFile(v.download(".receipt"))
	if err != nil {
		t.Fatal(err)
	}
	receipt, task, _, err := essaim.ReadReceiptFile(file)
	if err != nil || task.Kind != essaim.KindImage || receipt.Price == 0 {
		t.Fatalf("the saved receipt: %+v: %v", receipt, err)
	}

	v.shows(r)
	address := v.spends(r, receipt)
	v.votes(r, address)
	v.settles(r, receipt, address)
	v.leaves(address)
}

// shows the picture to everybody: another browser finds it with its proof, until it is taken back.
func (v *visitor) shows(r *running) {
	v.Helper()
	v.click("show")
	v.click("consent")
	v.sees("text", "Show my picture to everybody")
	v.click("sign")
	v.do(chromedp.WaitVisible(at("unshow")))
	v.sees("link", r.Info().Gateway+"/#/shown/")

	other := browse(v.T, r.Info().Gateway+"/")
	other.visit("pictures")
	other.sees("shown", "a red apple twemoji")
	other.shot("gallery")
	other.do(chromedp.Click(at("shown") + " a"))
	for _, line := range []string{"the receipt is signed", "its pixels are those", "the whole drawing was computed with the registered weights"} {
		other.sees("offline", line)
	}
	other.shot("shown")
	v.click("unshow")
	v.sees("text", "Show my picture no more")
	v.click("sign")
	v.do(chromedp.WaitVisible(at("show")))
	other.visit("pictures")
	other.do(chromedp.Reload(), chromedp.WaitVisible(".empty"), chromedp.WaitNotPresent(at("shown")))
}

// spends sends coins to somebody, takes a name and stakes some.
func (v *visitor) spends(r *running, receipt essaim.Receipt) essaim.Address {
	v.Helper()
	v.visit("wallet")
	v.sees("spent", strings.TrimSuffix(receipt.Price.String(), " AIM"))
	address, err := essaim.ParseAddress(strings.Fields(strings.ReplaceAll(v.text("address"), "Copy", ""))[0])
	if err != nil {
		v.Fatal(err)
	}
	friend := essaim.Address{1, 2, 3}
	v.fill("to", friend.Hex())
	v.fill("amount", "2.5")
	v.click("send")
	v.do(chromedp.WaitVisible("dialog pre"))
	v.shot("sign")
	v.click("sign")
	v.sees("note", "2.5 AIM were sent")
	if b, err := r.Chain().Balance(v.Context(), friend); err != nil || b != 2_500_000 {
		v.Errorf("the friend has %s: %v", b, err)
	}
	v.click("faucet")
	v.sees("failure", "has been given coins already")
	v.fill("wanted", "@Apple_Lover")
	v.click("claim")
	v.sees("text", "apple_lover")
	v.click("sign")
	v.sees("name", "@apple_lover")
	if a, err := r.Chain().Resolve(v.Context(), "apple_lover"); err != nil || a != address {
		v.Errorf("@apple_lover is %s: %v", a, err)
	}
	v.fill("wanted", "app1e_lover")
	v.click("claim")
	v.sees("failure", "looks like @apple_lover")
	v.shot("wallet")

	v.visit("network")
	v.click("stake-miner")
	v.fill("amount", "1")
	v.shot("network")
	v.click("delegate")
	v.click("sign")
	v.sees("note", "Done in transaction")
	if list, err := r.Chain().Delegations(v.Context(), address); err != nil || len(list) != 1 || list[0].Value != essaim.AIM {
		v.Errorf("staked %+v: %v", list, err)
	}

	return address
}

// votes with what it has staked, and looks at the ledger.
func (v *visitor) votes(r *running, address essaim.Address) {
	v.Helper()
	chain := r.Chain()
	deposit, err := chain.LeastDeposit(v.Context(), false)
	if err != nil {
		v.Fatal(err)
	}
	id, _, err := chain.ProposeText(v.Context(), r.Account(operatorName), chainclient.Draft{Title: "Draw more apples", Summary: "Shall there be more apples?", Deposit: deposit})
	if err != nil {
		v.Fatal(err)
	}
	v.visit("votes")
	v.sees("proposal", "Draw more apples")
	v.sees("power", "1 AIM of stake")
	v.click("vote-yes")
	v.do(chromedp.WaitVisible("dialog pre"))
	v.click("sign")
	v.sees("note", "You voted “yes” on proposal")
	v.sees("proposal", "yes 100%")
	v.shot("votes")
	p, err := chain.Proposal(v.Context(), id)
	if err != nil || p.Outcome == nil || p.Outcome.Stake.Options["yes"] != essaim.AIM {
		v.Errorf("proposal %+v: %v", p, err)
	}

	v.visit("ledger")
	for _, what := range []string{"OpenSession", "Delegate", "SubmitProposal", "Vote"} {
		v.sees("tx", what)
	}
	v.shot("ledger")
	v.fill("find", strconv.FormatInt(p.Outcome.Height, 10))
	v.click("find-now")
	v.do(chromedp.WaitVisible(`//h1[contains(., "Block")]`, chromedp.BySearch))
	if staked, err := chain.Delegations(v.Context(), address); err != nil || len(staked) != 1 {
		v.Errorf("staked %+v: %v", staked, err)
	} else {
		v.visit("node/" + staked[0].Actor.String())
		v.do(chromedp.WaitVisible(`//span[contains(., "`+address.String()+`")]`, chromedp.BySearch))
		v.shot("node")
	}
}

// settles ends the session: what was not spent comes back.
func (v *visitor) settles(r *running, receipt essaim.Receipt, address essaim.Address) {
	v.Helper()
	v.visit("wallet")
	v.click("settle")
	v.sees("note", "came back")
	s, err := r.Chain().Session(v.Context(), receipt.Session)
	if err != nil || s.State != essaim.SessionSettled || s.Payer != address {
		v.Errorf("session %+v: %v", s, err)
	}
	// 10 given, 2.5 sent, 1 for the name, 1 staked, and the picture.
	want := 10*essaim.AIM - 4_500_000 - receipt.Price
	if b, err := r.Chain().Balance(v.Context(), address); err != nil || b != want {
		v.Errorf("the newcomer has %s, want %s: %v", b, want, err)
	}

}

// leaves takes the key along, which the program reads.
func (v *visitor) leaves(address essaim.Address) {
	v.Helper()
	v.fill("passphrase", "correct horse")
	v.click("export")
	key := v.download(".json")
	b, err := os.ReadFile(key)
	if err != nil {
		v.Fatal(err)
	}
	home := v.TempDir()
	if err := os.WriteFile(filepath.Join(home, "me.json"), b, 0o600); err != nil {
		v.Fatal(err)
	}
	if a, err := wallet.Open(home).Load("me", "correct horse"); err != nil || a.Address() != address {
		v.Errorf("the program reads the page's key file as %v: %v", a, err)
	}
}
