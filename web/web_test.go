package web_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/web"
)

// ledger knows one account and takes no transaction.
type ledger struct{ web.Ledger }

func (ledger) Head(context.Context) (web.Head, error) { return web.Head{ChainID: "c", Height: 7}, nil }

func (ledger) Account(_ context.Context, a essaim.Address) (web.Account, error) {
	return web.Account{Address: a, Balance: 5, Known: true, Number: 16263294077294081145, Sequence: 2}, nil
}

func (ledger) Broadcast(context.Context, []byte) (essaim.Tx, []byte, error) {
	return essaim.Tx{}, nil, essaim.Errorf(essaim.CodeBadInput, "sign one", "the transaction cannot be read")
}

func ask(t *testing.T, method, path, body string) (*http.Response, string) {
	t.Helper()
	return askPage(t, web.New(web.Config{Ledger: ledger{}}), method, path, body)
}

func askPage(t *testing.T, page *web.Page, method, path, body string) (*http.Response, string) {
	t.Helper()
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), string(b)
}

func TestLedger(t *testing.T) {
	zero := essaim.Address{}.String()
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/essaim/v1/ledger/head", "", 200, `"height":7`},
		{"GET", "/essaim/v1/ledger/accounts/" + zero, "", 200, `"number":"16263294077294081145"`}, // as a text: a page's numbers have 53 bits
		{"GET", "/essaim/v1/ledger/accounts/" + essaim.Address{}.Hex(), "", 200, zero},
		{"GET", "/essaim/v1/ledger/accounts/nobody", "", 400, `"hint"`},
		{"GET", "/essaim/v1/ledger/actors/nobody", "", 400, "64 hex digits"},
		{"GET", "/essaim/v1/ledger/sessions/x", "", 400, "numbered from 1"},
		{"GET", "/essaim/v1/ledger/nothing", "", 404, "nothing is at"},
		{"POST", "/essaim/v1/ledger/transactions", `{"tx":"AA=="}`, 400, "cannot be read"},
		{"POST", "/essaim/v1/ledger/transactions", `{"tx":`, 400, "one JSON object"},
		{"POST", "/essaim/v1/ledger/transactions", `{"tx":"` + strings.Repeat("A", 70_000) + `"}`, 400, "too large"},
		{"POST", "/essaim/v1/faucet", `{"address":"` + zero + `"}`, 404, "no faucet"},
		{"GET", "/web.go", "", 404, "nothing is at"},
	} {
		r, b := ask(t, c.method, c.path, c.body)
		if r.StatusCode != c.status || !strings.Contains(b, c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.path, r.StatusCode, b)
		}
	}
}

// TestFiles: the built page is in the program, whole, under a strict policy, and asks nobody else.
func TestFiles(t *testing.T) {
	r, page := ask(t, "GET", "/", "")
	if r.StatusCode != 200 || r.Header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("%d %v", r.StatusCode, r.Header)
	}
	policy := r.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'") || strings.Contains(policy, "unsafe-inline") || strings.Contains(policy, "unsafe-eval'") && !strings.Contains(policy, "wasm-unsafe-eval") {
		t.Error(policy)
	}
	parts := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(parts) < 3 || strings.Contains(page, "<style") || strings.Contains(page, "onclick") {
		t.Fatal(page)
	}
	for _, p := range parts {
		path, local := strings.CutPrefix(p[1], "./")
		if !local {
			t.Errorf("%s is not beside the page", p[1])
			continue
		}
		r, b := ask(t, "GET", "/"+path, "")
		if r.StatusCode != 200 || len(b) == 0 || r.Header.Get("Content-Type") == "" || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d, %d bytes, %v", path, r.StatusCode, len(b), r.Header)
		}
	}
}
