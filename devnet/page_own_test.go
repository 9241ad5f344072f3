package devnet

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/essaim/essaim/internal/browser"
)

// TestPageOwn is a miner's owner: what a picture has brought, where the money is, and maintenance.
func TestPageOwn(t *testing.T) {
	r := start(t, Config{Miners: 1, Serve: true, HTTP: "127.0.0.1:0"})
	v := browse(t, r.Info().Gateway+"/")
	own := browse(t, r.Info().Own+"/")
	own.Sees("state", "serving")
	own.Sees("promised", "0 AIM")
	v.draws("a red apple")
	own.Do(chromedp.WaitVisible(`//td[text()="pixel-2"]`, chromedp.BySearch))
	own.Do(chromedp.Poll(`document.querySelector('[data-test="earned"]').textContent !== "0 AIM"`, nil, chromedp.WithPollingTimeout(0))) // it is acknowledged
	earned := own.Text("earned")
	own.Sees("promised", earned)
	v.Visit("wallet")
	v.Click("settle")
	v.Sees("note", "came back")
	own.Do(chromedp.Reload())
	own.Sees("settled", earned)
	own.Do(chromedp.WaitVisible(`//td[text()="settled"]`, chromedp.BySearch)) // so says its receipt's line
	own.Shot("own")

	own.Click("maintenance")
	own.Sees("state", "maintenance")
	v.Visit("")
	v.Do(chromedp.WaitVisible("#prompt"), chromedp.SendKeys("#prompt", "a green tree"))
	v.Click("draw") // and waits
	own.Click("maintenance")
	own.Sees("state", "serving")
	v.Do(chromedp.WaitVisible(browser.At("made") + " img"))
	own.Do(chromedp.Poll(`document.querySelectorAll('[data-test="miner"] table')[2].querySelectorAll("tbody tr").length === 2`, nil, chromedp.WithPollingTimeout(0)))
	own.Do(chromedp.Click("summary"))
	if s := own.Text("miner"); !strings.Contains(s, r.info.ChainID) {
		t.Errorf("no settings are shown:\n%s", s)
	}
}
