package devnet

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/browser"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/wallet"
)

// visitor is a person's browser.
type visitor struct{ *browser.Visitor }

// browse opens a page in a browser, in which scripts run before the page's.
func browse(t *testing.T, url string, scripts ...string) *visitor {
	t.Helper()
	return &visitor{browser.Open(t, url, scripts...)}
}

// TestPage is a newcomer's first visit in a real browser: account, coins and picture with one
// click; the certificate; coins for somebody else; stake; settlement; the key on another machine.
func TestPage(t *testing.T) {
	r := start(t, Config{Miners: 3, Serve: true, HTTP: "127.0.0.1:0", Pace: 100 * time.Millisecond, Audit: &node.Audit{Budget: 1_000_000, Patience: node.Duration(time.Second), Poll: node.Duration(50 * time.Millisecond)}})
	v := browse(t, r.Info().Gateway+"/", `new MutationObserver(() => { window.previewed ||= !!document.querySelector('[data-test="preview"]') }).observe(document, { subtree: true, childList: true })`)

	v.Do(chromedp.WaitVisible("#prompt"), chromedp.SendKeys("#prompt", "a red apple"))
	v.Sees("price", "AIM each, at most")
	v.Do(chromedp.SendKeys(browser.At("style"), "twemoji"))
	v.Shot("make-before")
	v.Click("draw")
	v.Do(chromedp.WaitVisible(browser.At("made") + " img"))
	v.Shot("make")
	var previewed bool
	if v.Do(chromedp.Evaluate("window.previewed", &previewed)); !previewed {
		t.Error("no preview was shown")
	}
	v.Sees("balance", "9 AIM") // ten from the faucet, one in escrow

	v.Click("made")
	for _, line := range []string{"the task is signed", "the receipt is signed", "the receipt answers this task", "the file is the one", "its pixels are those", "the whole drawing was computed with the registered weights"} {
		v.Sees("offline", line)
	}
	v.Sees("online", "the session is yours")
	v.Sees("online", "drawn by the beacon") // a new miner's first receipts are all audited
	if s := v.Text("online"); !strings.Contains(s, "registered and active") || strings.Contains(s, "✗") {
		t.Errorf("the ledger's node says: %s", s)
	}
	v.Shot("certificate")
	v.Do(chromedp.Click(`//button[text()="Download receipt"]`, chromedp.BySearch))
	file, err := os.ReadFile(v.Download(".receipt"))
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
	v.Click("show")
	v.Click("consent")
	v.Sees("text", "Show my picture to everybody")
	v.Click("sign")
	v.Do(chromedp.WaitVisible(browser.At("unshow")))
	v.Sees("link", r.Info().Gateway+"/#/shown/")

	other := browse(v.T, r.Info().Gateway+"/")
	other.Visit("pictures")
	other.Sees("shown", "a red apple twemoji")
	other.Shot("gallery")
	other.Do(chromedp.Click(browser.At("shown") + " a"))
	for _, line := range []string{"the receipt is signed", "its pixels are those", "the whole drawing was computed with the registered weights"} {
		other.Sees("offline", line)
	}
	other.Shot("shown")
	v.Click("unshow")
	v.Sees("text", "Show my picture no more")
	v.Click("sign")
	v.Do(chromedp.WaitVisible(browser.At("show")))
	other.Visit("pictures")
	other.Do(chromedp.Reload(), chromedp.WaitVisible(".empty"), chromedp.WaitNotPresent(browser.At("shown")))
}

// spends sends coins to somebody, takes a name and stakes some.
func (v *visitor) spends(r *running, receipt essaim.Receipt) essaim.Address {
	v.Helper()
	v.Visit("wallet")
	v.Sees("spent", strings.TrimSuffix(receipt.Price.String(), " AIM"))
	address, err := essaim.ParseAddress(strings.Fields(strings.ReplaceAll(v.Text("address"), "Copy", ""))[0])
	if err != nil {
		v.Fatal(err)
	}
	friend := essaim.Address{1, 2, 3}
	v.Fill("to", friend.Hex())
	v.Fill("amount", "2.5")
	v.Click("send")
	v.Do(chromedp.WaitVisible("dialog pre"))
	v.Shot("sign")
	v.Click("sign")
	v.Sees("note", "2.5 AIM were sent")
	if b, err := r.Chain().Balance(v.Context(), friend); err != nil || b != 2_500_000 {
		v.Errorf("the friend has %s: %v", b, err)
	}
	v.Click("faucet")
	v.Sees("failure", "has been given coins already")
	v.Fill("wanted", "@Apple_Lover")
	v.Click("claim")
	v.Sees("text", "apple_lover")
	v.Click("sign")
	v.Sees("name", "@apple_lover")
	if a, err := r.Chain().Resolve(v.Context(), "apple_lover"); err != nil || a != address {
		v.Errorf("@apple_lover is %s: %v", a, err)
	}
	v.Fill("wanted", "app1e_lover")
	v.Click("claim")
	v.Sees("failure", "looks like @apple_lover")
	v.Shot("wallet")

	v.Visit("network")
	v.Click("stake-miner")
	v.Fill("amount", "1")
	v.Shot("network")
	v.Click("delegate")
	v.Click("sign")
	v.Sees("note", "Done in transaction")
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
	v.Visit("votes")
	v.Sees("proposal", "Draw more apples")
	v.Sees("power", "1 AIM of stake")
	v.Click("vote-yes")
	v.Do(chromedp.WaitVisible("dialog pre"))
	v.Click("sign")
	v.Sees("note", "You voted “yes” on proposal")
	v.Sees("proposal", "yes 100%")
	v.Shot("votes")
	p, err := chain.Proposal(v.Context(), id)
	if err != nil || p.Outcome == nil || p.Outcome.Stake.Options["yes"] != essaim.AIM {
		v.Errorf("proposal %+v: %v", p, err)
	}

	v.Visit("ledger")
	for _, what := range []string{"OpenSession", "Delegate", "SubmitProposal", "Vote"} {
		v.Sees("tx", what)
	}
	v.Shot("ledger")
	v.Fill("find", strconv.FormatInt(p.Outcome.Height, 10))
	v.Click("find-now")
	v.Do(chromedp.WaitVisible(`//h1[contains(., "Block")]`, chromedp.BySearch))
	if staked, err := chain.Delegations(v.Context(), address); err != nil || len(staked) != 1 {
		v.Errorf("staked %+v: %v", staked, err)
	} else {
		v.Visit("node/" + staked[0].Actor.String())
		v.Do(chromedp.WaitVisible(`//span[contains(., "`+address.String()+`")]`, chromedp.BySearch))
		v.Shot("node")
	}
}

// settles ends the session: what was not spent comes back.
func (v *visitor) settles(r *running, receipt essaim.Receipt, address essaim.Address) {
	v.Helper()
	v.Visit("wallet")
	v.Click("settle")
	v.Sees("note", "came back")
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
	v.Fill("passphrase", "correct horse")
	v.Click("export")
	key := v.Download(".json")
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
