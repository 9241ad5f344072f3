package devnet

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestPageOwn is a miner's owner: what a picture has brought, where the money is, and maintenance.
func TestPageOwn(t *testing.T) {
	r := start(t, Config{Miners: 1, Serve: true, HTTP: "127.0.0.1:0"})
	v := browse(t, r.Info().Gateway+"/")
	own := browse(t, r.Info().Own+"/")
	own.sees("state", "serving")
	own.sees("promised", "0 AIM")
	v.draws("a red apple")
	own.do(chromedp.WaitVisible(`//td[text()="pixel-2"]`, chromedp.BySearch))
	earned := own.text("earned")
	if earned == "0 AIM" {
		t.Error("nothing was earned")
	}
	own.sees("promised", earned)
	v.visit("wallet")
	v.click("settle")
	v.sees("note", "came back")
	own.do(chromedp.Reload())
	own.sees("settled", earned)
	own.shot("own")

	own.click("maintenance")
	own.sees("state", "maintenance")
	v.visit("")
	v.do(chromedp.WaitVisible("#prompt"), chromedp.SendKeys("#prompt", "a green tree"))
	v.click("draw") // and waits
	own.click("maintenance")
	own.sees("state", "serving")
	v.do(chromedp.WaitVisible(at("made") + " img"))
	own.do(chromedp.Poll(`document.querySelectorAll('[data-test="miner"] table')[2].querySelectorAll("tbody tr").length === 2`, nil, chromedp.WithPollingTimeout(0)))
	own.do(chromedp.Click("summary"))
	if s := own.text("miner"); !strings.Contains(s, r.info.ChainID) {
		t.Errorf("no settings are shown:\n%s", s)
	}
}
