package devnet

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/browser"
	"github.com/essaim/essaim/wallet"
)

// provider is what an Ethereum wallet puts into a page (EIP-1193); its answers come from the test.
const provider = `(() => {
  const waiting = new Map(); let n = 0
  window.walletAnswers = (id, result, error) => { const w = waiting.get(id); waiting.delete(id); error ? w.fail(Object.assign(new Error(error), { code: 4001 })) : w.ok(result) }
  const one = { request: (r) => new Promise((ok, fail) => { const id = ++n; waiting.set(id, { ok, fail }); window.walletAsks(JSON.stringify({ id, ...r })) }) }
  PLACE
})()`

// older wallets are at a fixed place; newer ones announce themselves (EIP-6963), here beside one that nobody uses.
var (
	older = strings.Replace(provider, "PLACE", "window.ethereum = one", 1)
	newer = strings.Replace(provider, "PLACE", `
  const say = (rdns, name, provider) => dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail: Object.freeze({ info: { uuid: rdns, rdns, name, icon: '' }, provider }) }))
  addEventListener('eip6963:requestProvider', () => { say('org.example', 'Another', { request: () => Promise.reject(new Error('the wrong wallet')) }); say('app.keplr', 'Keplr', one) })`, 1)
)

// ethereumWallet answers a page's questions as a person with a wallet would.
type ethereumWallet struct {
	*testing.T
	*wallet.Account
	shown  atomic.Pointer[string] // the last text that was to be signed
	refuse atomic.Bool
}

// serve answers what the page asks through the binding walletAsks.
func (w *ethereumWallet) serve(v *visitor) {
	chromedp.ListenTarget(v.Ctx, func(e any) {
		call, ok := e.(*runtime.EventBindingCalled)
		if !ok {
			return
		}
		var ask struct {
			ID     int      `json:"id"`
			Method string   `json:"method"`
			Params []string `json:"params"`
		}
		if err := json.Unmarshal([]byte(call.Payload), &ask); err != nil {
			w.Error(err)
			return
		}
		answer, refusal := w.answer(ask.Method, ask.Params)
		said, err := json.Marshal([]any{ask.ID, answer, refusal})
		if err != nil {
			w.Error(err)
		}
		go func() { // an event's listener must not wait for the browser
			if err := chromedp.Run(v.Ctx, chromedp.Evaluate("window.walletAnswers(..."+string(said)+")", nil)); err != nil && w.Context().Err() == nil {
				w.Error(err)
			}
		}()
	})
}

func (w *ethereumWallet) answer(method string, params []string) (answer any, refusal string) {
	switch method {
	case "eth_requestAccounts":
		return []string{w.Address().Hex()}, ""
	case "personal_sign":
		text, err := hex.DecodeString(strings.TrimPrefix(params[0], "0x"))
		if err != nil || !strings.EqualFold(params[1], w.Address().Hex()) {
			w.Errorf("personal_sign of %q by %s: %v", text, params[1], err)
		}
		words := string(text)
		w.shown.Store(&words)
		if w.refuse.Load() {
			return nil, "User rejected the request."
		}
		sig, err := w.Sign(fmt.Appendf(nil, "\x19Ethereum Signed Message:\n%d%s", len(text), text))
		if err != nil {
			w.Error(err)
		}
		return "0x" + hex.EncodeToString(sig), ""
	}
	return nil, "Unsupported method"
}

// TestPageEthereum is somebody with a wallet that knows only Ethereum: it shows each transaction as a text and signs
// it with personal_sign; the page never has the key.
func TestPageEthereum(t *testing.T) {
	r := start(t, Config{Miners: 1, Serve: true, HTTP: "127.0.0.1:0"})
	me, _, err := wallet.Open(t.TempDir()).Create("me", "")
	if err != nil {
		t.Fatal(err)
	}
	v := browse(t, r.Info().Gateway+"/", older)
	w := &ethereumWallet{T: t, Account: me}
	w.serve(v)
	v.Do(runtime.AddBinding("walletAsks"), chromedp.Evaluate(`location.hash = "#/wallet"`, nil))

	v.Click("connect")
	v.Sees("address", me.Address().String())
	v.Click("faucet")
	v.Sees("note", "have arrived")
	v.Fill("to", essaim.Address{7}.Hex())
	v.Fill("amount", "1.25")
	w.refuse.Store(true)
	v.Click("send")
	v.Sees("failure", "User rejected")
	if b, err := r.Chain().Balance(t.Context(), me.Address()); err != nil || b != 10*essaim.AIM {
		t.Errorf("after a refusal there are %s: %v", b, err)
	}
	w.refuse.Store(false)
	v.Click("send")
	v.Sees("note", "1.25 AIM were sent")
	if b, err := r.Chain().Balance(t.Context(), essaim.Address{7}); err != nil || b != 1_250_000 {
		t.Errorf("%s arrived: %v", b, err)
	}
	for _, word := range []string{`"cosmos-sdk/MsgSend"`, `"1250000"`, essaim.Address{7}.String(), r.Info().ChainID, `"timeout_height"`} {
		if !strings.Contains(*w.shown.Load(), word) {
			t.Errorf("the wallet shows no %s:\n%s", word, *w.shown.Load())
		}
	}

	// A picture needs one signature, for the session; then pictures need none.
	v.draws("a red apple")
	if s := *w.shown.Load(); !strings.Contains(s, "essaim/OpenSession") {
		t.Errorf("the wallet was shown\n%s", s)
	}

	// The same person in a browser with several wallets.
	v = browse(t, r.Info().Gateway+"/", newer)
	w.serve(v)
	v.Do(runtime.AddBinding("walletAsks"), chromedp.Evaluate(`location.hash = "#/wallet"`, nil))
	v.Sees("connect-app.keplr", "Keplr")
	v.Click("connect-app.keplr")
	v.Sees("address", me.Address().String())
	v.Fill("to", essaim.Address{8}.Hex())
	v.Fill("amount", "0.5")
	v.Click("send")
	v.Sees("note", "0.5 AIM were sent")
	v.Sees("movement", "−0.5 AIM")
	v.Sees("movement", "−1.25 AIM")
	v.Sees("movement", "+10 AIM")
	v.Shot("wallet-keplr")
}

// TestPageInTrouble: the network goes, the coordinator dies and comes back, coins run out, a session expires. The
// page says so, loses nothing and goes on.
func TestPageInTrouble(t *testing.T) {
	r := start(t, Config{Miners: 1, Serve: true, HTTP: "127.0.0.1:0"})
	// Sessions of this page last some blocks only once shortSessions is set.
	v := browse(t, r.Info().Gateway+"/", `(() => {
  const ask = window.fetch
  const less = (what) => (window[what] = (window[what] ?? 0) - 1) >= 0
  window.fetch = async (url, init) => {
    const to = String(url)
    if (to.endsWith('/quote') && less('noGateway')) return new Response('<html>', { status: 502 })
    if (to.endsWith('/quote') && less('noPrice')) throw new TypeError('the line is dead')
    if (to.endsWith('/tasks') && less('noTask')) {
      window.noPrice = 1
      throw new TypeError('the line is dead')
    }
    const answer = await ask(url, init)
    if (!window.shortSessions || !String(url).endsWith('/info')) return answer
    window.shortInfos = (window.shortInfos ?? 0) + 1
    return new Response(JSON.stringify({ ...(await answer.json()), expiry_blocks: 45 }))
  }
})()`)
	v.draws("a red apple")

	v.Do(network.EmulateNetworkConditions(true, 0, -1, -1))
	v.Sees("offline", "cannot be reached")
	v.Shot("offline")
	v.Do(network.EmulateNetworkConditions(false, 0, -1, -1), chromedp.WaitNotPresent(browser.At("offline")))

	v.Do(chromedp.Evaluate(`window.noGateway = 2`, nil))
	v.draws("a red pear") // a balancer has looked for a gateway
	v.Do(chromedp.Evaluate(`window.noTask = 1`, nil))
	v.draws("a red plum") // the line went as the task was handed in, and was still gone for the next price

	r.stopCoordinator()
	v.Sees("offline", "cannot be reached")
	v.Click("draw")
	v.Sees("failure", "cannot be reached")
	v.Shot("no-coordinator")
	<-r.parts.ended
	var err error
	if r.coordinator, err = r.parts.run(t.Context(), r.coordinatorConfig(), r.options()); err != nil {
		t.Fatal(err)
	}
	v.Do(chromedp.WaitNotPresent(browser.At("offline")))
	v.Click("draw")
	v.Do(chromedp.WaitVisible(browser.At("made") + " img"))

	address := r.expires(v)
	r.empties(v, address)
}

// draws goes to the first page and has a picture drawn.
func (v *visitor) draws(prompt string) {
	v.Helper()
	v.Visit("")
	v.Do(chromedp.WaitVisible("#prompt"), chromedp.SendKeys("#prompt", prompt))
	v.Click("draw")
	v.Do(chromedp.WaitVisible(browser.At("made") + " img"))
}

// expires waits until the page's session is over; the next picture opens another.
func (r *running) expires(v *visitor) essaim.Address {
	v.Helper()
	v.Visit("wallet")
	address, err := essaim.ParseAddress(strings.Fields(strings.ReplaceAll(v.Text("address"), "Copy", ""))[0])
	if err != nil {
		v.Fatal(err)
	}
	sessions := func() []essaim.Session {
		s, err := r.Chain().Sessions(v.Context(), address)
		if err != nil {
			v.Fatal(err)
		}
		return s
	}
	v.Click("settle")
	v.Sees("note", "came back")
	v.Do(chromedp.Evaluate(`window.shortSessions = true`, nil), chromedp.WaitNotPresent(browser.At("settle")))
	v.Do(chromedp.Poll(`window.shortInfos > 1`, nil, chromedp.WithPollingTimeout(0))) // the page has heard of it
	v.draws("a green tree")
	first := sessions()
	short := first[len(first)-1]
	if err := r.Chain().WaitHeight(v.Context(), short.Expiry+1); err != nil {
		v.Fatal(err)
	}
	v.Visit("wallet")
	v.draws("a blue house")
	now := sessions()
	if len(now) != len(first)+1 {
		v.Errorf("%d sessions, want one more than %d", len(now), len(first))
	}
	for _, s := range first {
		if s, err := r.Chain().Session(v.Context(), s.ID); err != nil || s.State != essaim.SessionSettled {
			v.Errorf("the first session is %+v: %v", s, err)
		}
	}
	return address
}

// empties sends all coins away, so that no picture can be paid for.
func (r *running) empties(v *visitor, address essaim.Address) {
	v.Helper()
	v.Visit("wallet")
	v.Click("settle")
	v.Sees("note", "came back")
	all, err := r.Chain().Balance(v.Context(), address)
	if err != nil {
		v.Fatal(err)
	}
	v.Fill("to", essaim.Address{9}.String())
	v.Fill("amount", strings.TrimSuffix(all.String(), " AIM"))
	v.Click("send")
	v.Click("sign")
	v.Sees("note", "were sent")
	v.Visit("")
	v.Do(chromedp.WaitVisible("#prompt"), chromedp.SendKeys("#prompt", "a yellow star"))
	v.Click("draw")
	v.Sees("failure", "given coins already")
	v.Shot("empty")
}

// TestPageChat: where somebody offers a chat, the page has one: sealed, streamed, receipted, and paid by its tokens.
func TestPageChat(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not on this machine, and the example of an engine is written in it")
	}
	program, err := filepath.Abs("../docs/extend/engine.py")
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, Config{Miners: 1, Serve: true, HTTP: "127.0.0.1:0", Engines: []string{"exec=" + program}})
	v := browse(t, r.Info().Gateway+"/")
	v.Do(chromedp.WaitVisible(`//a[text()="Chat"]`, chromedp.BySearch))
	v.Visit("chat")
	v.Do(chromedp.WaitVisible("#words"), chromedp.SendKeys("#words", "one two three"))
	v.Click("say")
	v.Sees("assistant", "three two one")
	v.Sees("cost", "4 units") // three words written, and three read for one
	v.Do(chromedp.SendKeys("#words", "red apple"))
	v.Click("say")
	v.Sees("assistant", "apple red")
	v.Shot("chat")
	v.Do(chromedp.Click(`(//button[text()="Receipt"])[1]`, chromedp.BySearch))
	file, err := os.ReadFile(v.Download(".receipt"))
	if err != nil {
		t.Fatal(err)
	}
	receipt, task, _, err := essaim.ReadReceiptFile(file)
	if err != nil || task.Kind != essaim.KindChat || receipt.Units != 4 || receipt.Price != 4*meteredPrice {
		t.Errorf("the saved receipt: %+v: %v", receipt, err)
	}
	// What the page has acknowledged is what the two answers cost.
	v.Visit("wallet")
	v.Click("settle")
	v.Sees("note", "came back")
	s, err := r.Chain().Settlement(t.Context(), receipt.Session)
	if err != nil || s.Root.Count() != 2 || s.Root.Sum() != 7*meteredPrice {
		t.Errorf("settled %+v: %v", s, err)
	}
}
