package web_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/web"
)

// owner has one miner, which it has put into maintenance so often.
type owner struct{ toggled int }

var mine = essaim.NodeKey{7}

func (o *owner) Look(context.Context) []web.Own { return []web.Own{{Miner: mine, State: "serving"}} }

func (o *owner) Books(_ context.Context, k essaim.NodeKey) (web.OwnBooks, error) {
	if k != mine {
		return web.OwnBooks{}, essaim.Errorf(essaim.CodeNotFound, "", "not here")
	}
	return web.OwnBooks{Limit: 4}, nil
}

func (o *owner) Toggle(context.Context, essaim.NodeKey) error {
	o.toggled++
	return nil
}

// TestOwn: earnings are shown to this machine's names only, and no other site's page stops a miner.
func TestOwn(t *testing.T) {
	o := &owner{}
	page := web.NewOwn(o, nil)
	for _, c := range []struct {
		method, url string
		header      []string
		status      int
		want        string
	}{
		{"GET", "http://127.0.0.1:8423/", nil, 200, "<title>Essaim: your miners"},
		{"GET", "http://127.0.0.1:8423/index.html", nil, 200, "<title>Essaim: your miners"},
		{"GET", "http://localhost/essaim/v1/own", nil, 200, `"state":"serving"`},
		{"GET", "http://[::1]:8423/essaim/v1/own/" + mine.String(), nil, 200, `"limit":4`},
		{"GET", "http://localhost/essaim/v1/own/" + essaim.NodeKey{8}.String(), nil, 404, "not here"},
		{"GET", "http://localhost/essaim/v1/own/x", nil, 400, "64 hex digits"},
		{"GET", "http://localhost/essaim/v1/ledger/head", nil, 404, "nothing is at"},
		// A name of theirs that they have pointed at this machine.
		{"GET", "http://evil.example:8423/essaim/v1/own", nil, 403, "does not answer to the name"},
		{"GET", "http://127.0.0.1.evil.example/", nil, 403, "does not answer to the name"},
		{"GET", "http://192.168.1.7:8423/essaim/v1/own", nil, 403, "does not answer to the name"},
		// A form of theirs that is sent here.
		{"POST", "http://127.0.0.1:8423/essaim/v1/own/" + mine.String() + "/maintenance", []string{"Sec-Fetch-Site", "cross-site"}, 403, ""},
		{"POST", "http://127.0.0.1:8423/essaim/v1/own/" + mine.String() + "/maintenance", []string{"Origin", "http://evil.example"}, 403, ""},
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(c.method, c.url, nil)
		for i := 0; i < len(c.header); i += 2 {
			r.Header.Set(c.header[i], c.header[i+1])
		}
		page.ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s %v: %d %s", c.method, c.url, c.header, w.Code, w.Body)
		}
	}
	if o.toggled != 0 {
		t.Error("a stranger has stopped the miner")
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "http://127.0.0.1:8423/essaim/v1/own/"+mine.String()+"/maintenance", nil)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if page.ServeHTTP(w, r); w.Code != 200 || o.toggled != 1 {
		t.Errorf("the owner: %d %s, toggled %d times", w.Code, w.Body, o.toggled)
	}
}
