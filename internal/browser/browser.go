// Package browser is what tests of pages do in a real browser: they visit, click, write and read like a person.
//
// It must not know a page: that is the test's part.
package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdp "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is for what must happen; generous, the machine may be busy.
const patience = 2 * time.Minute

// Visitor is a person's cdp.
type Visitor struct {
	*testing.T
	Ctx   context.Context // of the browser, for chromedp
	saved string          // folder of downloads
	shots string          // folder of screenshots; "": none are taken
}

// Open opens a page in a real browser with a profile of its own, in which scripts run before the page's. What the
// page's own scripts complain about fails the test.
func Open(t *testing.T, url string, scripts ...string) *Visitor {
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
	v := &Visitor{T: t, Ctx: ctx, saved: t.TempDir(), shots: os.Getenv("ESSAIM_TEST_SHOTS")}
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
	v.Do(network.Enable(), cdp.SetDownloadBehavior(cdp.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(v.saved))
	for _, s := range scripts {
		v.Do(chromedp.ActionFunc(func(ctx context.Context) error {
			_, err := page.AddScriptToEvaluateOnNewDocument(s).Do(ctx)
			return err
		}))
	}
	v.Do(chromedp.Navigate(url))
	return v
}

func (v *Visitor) Do(actions ...chromedp.Action) {
	v.Helper()
	ctx, cancel := context.WithTimeout(v.Ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		var seen string
		_ = chromedp.Run(v.Ctx, chromedp.Text("body", &seen))
		v.Shot("failed")
		v.Fatalf("%v; the page says:\n%s", err, seen)
	}
}

func At(name string) string { return fmt.Sprintf(`[data-test=%q]`, name) }

func (v *Visitor) Click(name string) {
	v.Helper()
	v.Do(chromedp.WaitEnabled(At(name)), chromedp.Click(At(name)))
}

func (v *Visitor) Fill(name, text string) {
	v.Helper()
	v.Do(chromedp.WaitVisible(At(name)), chromedp.SendKeys(At(name), text))
}

func (v *Visitor) Text(name string) (s string) {
	v.Helper()
	v.Do(chromedp.Text(At(name), &s))
	return s
}

// Sees waits until an element says something.
func (v *Visitor) Sees(name, text string) {
	v.Helper()
	v.Do(chromedp.PollFunction(`(s, t) => [...document.querySelectorAll(s)].some((e) => e.textContent.includes(t))`, nil, chromedp.WithPollingArgs(At(name), text), chromedp.WithPollingTimeout(0)))
}

func (v *Visitor) Visit(page string) {
	v.Helper()
	v.Do(chromedp.Evaluate(`location.hash = "#/`+page+`"`, nil))
}

func (v *Visitor) Shot(name string) {
	if v.shots == "" {
		return
	}
	var b []byte
	if err := chromedp.Run(v.Ctx, chromedp.FullScreenshot(&b, 100)); err != nil {
		v.Error(err)
		return
	}
	if err := os.WriteFile(filepath.Join(v.shots, name+".png"), b, 0o600); err != nil {
		v.Error(err)
	}
}

// Download is the one file whose name ends so.
func (v *Visitor) Download(ending string) string {
	v.Helper()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		if found, _ := filepath.Glob(filepath.Join(v.saved, "*"+ending)); len(found) == 1 {
			return found[0]
		}
		v.Do(chromedp.Evaluate(`new Promise(requestAnimationFrame)`, nil, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	}
	v.Fatalf("no file *%s was saved", ending)
	return ""
}
