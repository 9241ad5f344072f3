package desk

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestAGuestIsWhoHasAskedFirst: an instance believes another one, and nobody else, who has sent what it passes on.
func TestAGuestIsWhoHasAskedFirst(t *testing.T) {
	guests := func(secret string) *Guests {
		g, err := NewGuests("key", 1)
		if err != nil {
			t.Fatal(err)
		}
		if secret != "" {
			g.Among([]byte(secret))
		}
		return g
	}
	request := func(from string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/v1/images/generations", nil)
		r.RemoteAddr = from + ":1234"
		return r
	}
	in := request("203.0.113.7")
	marked := request("10.0.0.1") // as the other instance gets it
	guests("a").Pass(in, marked.Header)
	mark := marked.Header.Get(headerGuest)
	for name, c := range map[string]struct{ secret, mark, want string }{
		"its sibling's word":  {"a", mark, "203.0.113.7/32"},
		"somebody else's":     {"b", mark, "10.0.0.1/32"},
		"of another address":  {"a", "203.0.113.8/32" + mark[len("203.0.113.7/32"):], "10.0.0.1/32"},
		"nobody's":            {"a", "", "10.0.0.1/32"},
		"without a MAC":       {"a", "203.0.113.7/32", "10.0.0.1/32"},
		"with an empty MAC":   {"a", "203.0.113.7/32 ", "10.0.0.1/32"},
		"there is no sibling": {"", mark, "10.0.0.1/32"},
	} {
		r := request("10.0.0.1")
		r.Header.Set(headerGuest, c.mark)
		if from, err := guests(c.secret).from(r); err != nil || from.String() != c.want {
			t.Errorf("%s: %v, %v, want %s", name, from, err, c.want)
		}
	}
	in.Header.Set(headerGuest, "8.8.8.8/32 00")
	out := in.Header.Clone()
	if guests("a").Pass(in, out); out.Get(headerGuest) != mark {
		t.Errorf("what the sender has made up goes on as %q", out.Get(headerGuest))
	}
	in.Header.Set("Authorization", "Bearer x")
	if guests("a").Pass(in, out); out.Get(headerGuest) != "" {
		t.Errorf("a request with a key goes on as the guest %q", out.Get(headerGuest))
	}
}
