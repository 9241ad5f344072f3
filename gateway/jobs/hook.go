package jobs

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/desk"
)

// Webhooks are signed as standardwebhooks.com has it: the receiver takes the secret of
// PathSecret and any library that knows the scheme. Only the end of a job is told, never
// its answer.

const (
	hookTries  = 5
	hookTime   = 10 * time.Second
	hookPrefix = "whsec_"
	hookUse    = "essaim webhook v1"
)

// reserved are networks besides those that netip knows as private.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("2002::/16"),
}

// public reports whether an address is one of the open internet.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range reserved {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// newHooks is a client that looks at the address that it really connects to, so that no
// name leads it inside, and follows no redirect.
func newHooks(private bool) *http.Client {
	d := &net.Dialer{Timeout: hookTime, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil || !private && !public(at.Addr()) {
			return fmt.Errorf("webhooks do not go to %s", address)
		}
		return nil
	}}
	return &http.Client{
		Timeout:       hookTime,
		Transport:     &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: hookTime},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (j *Jobs) checkHook(hook string) error {
	u, err := url.Parse(hook)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(j.cfg.Private && u.Scheme == "http") {
		return essaim.Errorf(essaim.CodeBadInput, "write it like https://example.com/hook", "the webhook is no https URL")
	}
	return nil
}

func bearer(r *http.Request) string {
	return strings.TrimSpace(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
}

// secretOf is what webhooks of an API key are signed with. It follows from the key, and
// the key does not follow from it.
func secretOf(apiKey string) []byte {
	mac := hmac.New(sha256.New, []byte(apiKey))
	mac.Write([]byte(hookUse))
	return mac.Sum(nil)
}

// secret tells a key's user what the webhooks of the key are signed with.
func (j *Jobs) secret(w http.ResponseWriter, r *http.Request) {
	if _, err := j.cfg.Authenticate(r); err != nil {
		j.fail(w, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	desk.WriteJSON(w, http.StatusOK, map[string]string{"secret": hookPrefix + base64.StdEncoding.EncodeToString(secretOf(bearer(r)))})
}

// told is what a webhook gets.
type told struct {
	Type      string    `json:"type"` // job.done or job.cancelled
	Timestamp time.Time `json:"timestamp"`
	Data      state     `json:"data"`
}

// tell reports a job's end, again and again until it is heard or given up.
func (j *Jobs) tell(n *job) {
	s := j.describe(j.cfg.Halt, n)
	body, err := json.Marshal(told{"job." + s.State, s.Ended, s})
	if err != nil {
		panic(err) // our own type always encodes
	}
	for try := 1; ; try++ {
		err := j.post(j.cfg.Halt, n, body)
		if err == nil {
			return
		}
		if try == hookTries {
			j.cfg.Log.Info("a webhook was given up", "tries", try, "err", err)
			return
		}
		select {
		case <-time.After(j.cfg.Pause(try)):
		case <-j.cfg.Halt.Done():
			return
		}
	}
}

func (j *Jobs) post(ctx context.Context, n *job, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.hook, bytes.NewReader(body))
	if err != nil {
		return err
	}
	id, at := "msg_"+n.name.key+"_"+n.name.id, strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, n.secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", at)
	req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	resp, err := j.hooks.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<10)) // what it says changes nothing
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("the webhook answers %s", resp.Status)
	}
	return nil
}
