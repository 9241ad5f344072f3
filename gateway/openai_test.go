package gateway_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client/clienttest"
	"github.com/essaim/essaim/gateway"
)

type pictures struct {
	Created int64
	Data    []struct {
		B64JSON []byte `json:"b64_json"`
		URL     string
		Essaim  struct {
			CID, Receipt, Miner, Size string
			Price, Seed               uint64
		}
	}
}

type failure struct {
	Error struct{ Message, Type, Code string }
}

func (r *rig) draw(t testing.TB, body string) (*http.Response, []byte) {
	t.Helper()
	return r.send(t, "POST", "/v1/images/generations", body, "Authorization", "Bearer "+r.secret)
}

func TestImages(t *testing.T) {
	r := newRig(t)
	resp, b := r.draw(t, `{"prompt":"a red apple","model":"pixel-test","n":2,"size":"32x32","seed":5,"user":"u","quality":"hd","later":{}}`)
	if resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, b)
	}
	got := decode[pictures](t, b)
	if len(got.Data) != 2 {
		t.Fatalf("%d pictures", len(got.Data))
	}
	for i, p := range got.Data {
		want, _ := clienttest.Draw("a red apple", 5+uint64(i))
		if !bytes.Equal(p.B64JSON, want) || p.Essaim.Seed != 5+uint64(i) || p.Essaim.Price != uint64(clienttest.Price) || p.Essaim.Size != "32x32" {
			t.Errorf("picture %d: %+v", i, p.Essaim)
		}
		if _, file := r.send(t, "GET", strings.TrimPrefix(p.URL, r.url), ""); !bytes.Equal(file, want) {
			t.Errorf("%s holds another picture", p.URL)
		}
		_, file := r.send(t, "GET", "/ipfs/"+p.Essaim.Receipt, "")
		receipt, _, _, err := essaim.ReadReceiptFile(file)
		if err != nil || receipt.CID() != p.Essaim.CID || receipt.Miner.String() != p.Essaim.Miner {
			t.Errorf("receipt %+v, %v", receipt, err)
		}
	}
	h := resp.Header
	if h.Get("x-essaim-cost") != "5000" || h.Get("x-essaim-receipt") != got.Data[0].Essaim.Receipt+", "+got.Data[1].Essaim.Receipt || h.Get("x-essaim-miner") == "" {
		t.Errorf("headers %v", h)
	}
	if k, err := r.keys.Key(t.Context(), r.keyID); err != nil || k.Spent != 2*clienttest.Price {
		t.Errorf("%+v, %v", k, err)
	}
}

func TestResponseFormats(t *testing.T) {
	r := newRig(t, func(c *gateway.Config) { c.PublicURL = "https://pictures.example/" })
	for format, want := range map[string][2]bool{"": {true, true}, "url": {false, true}, "b64_json": {true, false}} {
		_, b := r.draw(t, fmt.Sprintf(`{"prompt":"x","response_format":%q}`, format))
		p := decode[pictures](t, b).Data[0]
		if (len(p.B64JSON) > 0) != want[0] || strings.HasPrefix(p.URL, "https://pictures.example/ipfs/bafkrei") != want[1] {
			t.Errorf("%q: %d bytes, url %q", format, len(p.B64JSON), p.URL)
		}
	}
}

func TestImagesRefuse(t *testing.T) {
	r := newRig(t)
	for body, want := range map[string]struct {
		status     int
		kind, code string
	}{
		`{}`:                                     {400, "invalid_request_error", "bad_input"},
		`not json`:                               {400, "invalid_request_error", "bad_input"},
		`{"prompt":7}`:                           {400, "invalid_request_error", "bad_input"},
		`{"prompt":"x","n":0}`:                   {400, "invalid_request_error", "bad_input"},
		`{"prompt":"x","n":5}`:                   {400, "invalid_request_error", "bad_input"},
		`{"prompt":"x","size":"33x33"}`:          {400, "invalid_request_error", "bad_input"},
		`{"prompt":"x","size":"big"}`:            {400, "invalid_request_error", "bad_input"},
		`{"prompt":"x","steps":99}`:              {400, "invalid_request_error", "bad_input"},
		`{"prompt":"x","response_format":"gif"}`: {400, "invalid_request_error", "bad_input"},
		`{"prompt":"x","model":"dall-e-9"}`:      {404, "invalid_request_error", "model_not_found"},
	} {
		resp, b := r.draw(t, body)
		got := decode[failure](t, b).Error
		if resp.StatusCode != want.status || got.Type != want.kind || got.Code != want.code || got.Message == "" {
			t.Errorf("%s: %d %s", body, resp.StatusCode, b)
		}
	}
	for _, auth := range []string{"", "Bearer ", "Bearer sk-wrong", "Basic x"} {
		resp, b := r.send(t, "POST", "/v1/images/generations", `{"prompt":"x"}`, "Authorization", auth)
		if got := decode[failure](t, b).Error; resp.StatusCode != 401 || got.Code != "invalid_api_key" {
			t.Errorf("%q: %d %s", auth, resp.StatusCode, b)
		}
	}
	if n := r.Submits(); n != 0 {
		t.Errorf("%d tasks were submitted", n)
	}
}

func TestTheLimitOfAKeyHolds(t *testing.T) {
	r := newRig(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for range 14 {
		wg.Go(func() {
			resp, _ := r.draw(t, `{"prompt":"x"}`)
			mu.Lock()
			defer mu.Unlock()
			statuses[resp.StatusCode]++
		})
	}
	wg.Wait()
	if statuses[200] != 10 || statuses[402] != 4 {
		t.Errorf("answers by status: %v", statuses)
	}
	resp, b := r.draw(t, `{"prompt":"x"}`)
	if got := decode[failure](t, b).Error; resp.StatusCode != 402 || got.Code != "insufficient_quota" || got.Type != "insufficient_quota" {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
}

func TestTooManyRequestsOfOneKey(t *testing.T) {
	r := newRig(t)
	secret, k, err := r.keys.Create(t.Context(), "busy", essaim.AIM)
	if err != nil {
		t.Fatal(err)
	}
	for range 16 {
		if _, err := r.keys.Reserve(t.Context(), k.ID, 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	r.secret = secret
	resp, b := r.draw(t, `{"prompt":"x"}`)
	if got := decode[failure](t, b).Error; resp.StatusCode != 429 || got.Code != "rate_limit_exceeded" || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
}

func TestAFailedPictureCostsTheKeyNothing(t *testing.T) {
	r := newRig(t)
	r.OnOutput = func(o *essaim.Output) { o.Data[90] ^= 1 }
	resp, b := r.draw(t, `{"prompt":"x"}`)
	if resp.StatusCode != 503 || strings.Contains(string(b), "receipt") {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
	if k, err := r.keys.Key(t.Context(), r.keyID); err != nil || k.Spent != 0 || k.Balance != k.Limit {
		t.Errorf("%+v, %v", k, err)
	}
	// The session pays for it all the same, so the books say who bears it.
	r.runOnce(t)
	if b := r.books(t); b.Balances["house"] != -int64(clienttest.Price) || b.Balances["session/1"] != int64(clienttest.Price) {
		t.Errorf("%+v", b.Balances)
	}
}

func TestPicturesThatWereDrawnAreHandedOut(t *testing.T) {
	r := newRig(t)
	r.OnSubmit = func(n int) error {
		if n == 2 {
			return essaim.Errorf(essaim.CodeRefused, "", "no")
		}
		return nil
	}
	resp, b := r.draw(t, `{"prompt":"x","n":3}`)
	if got := decode[pictures](t, b); resp.StatusCode != 200 || len(got.Data) != 2 || resp.Header.Get("x-essaim-cost") != "5000" {
		t.Errorf("%d, %d pictures, cost %s", resp.StatusCode, len(got.Data), resp.Header.Get("x-essaim-cost"))
	}
}

func TestNobodyToDraw(t *testing.T) {
	r := newRig(t)
	r.OnQuote = func(q *essaim.Quote) { q.Candidates = nil }
	resp, b := r.draw(t, `{"prompt":"x"}`)
	if got := decode[failure](t, b).Error; resp.StatusCode != 503 || got.Type != "server_error" {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
}

func TestAnEndedSessionIsReplaced(t *testing.T) {
	r := newRig(t)
	r.draw(t, `{"prompt":"x"}`)
	r.Advance(1000) // the session has expired under the gateway
	if resp, b := r.draw(t, `{"prompt":"x"}`); resp.StatusCode != 200 || len(r.Sessions()) != 2 {
		t.Errorf("%d %s, %d sessions", resp.StatusCode, b, len(r.Sessions()))
	}
}

func TestPromptsAreNeverLogged(t *testing.T) {
	var log bytes.Buffer
	r := newRig(t, func(c *gateway.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	r.draw(t, `{"prompt":"my secret wish"}`)
	r.draw(t, `{"prompt":"my secret wish","model":"none"}`)
	r.OnSubmit = func(int) error { return errors.New("broken") }
	r.draw(t, `{"prompt":"my secret wish"}`)
	if log.Len() == 0 || strings.Contains(log.String(), "secret") {
		t.Errorf("the log says %s", log.String())
	}
}

func TestModels(t *testing.T) {
	r := newRig(t)
	_, b := r.send(t, "GET", "/v1/models", "")
	list := decode[struct {
		Object string
		Data   []struct{ ID, Object string }
	}](t, b)
	if list.Object != "list" || len(list.Data) != 3 || list.Data[0].ID != "pixel-test" {
		t.Errorf("%s", b)
	}
	for id, status := range map[string]int{"pixel-test": 200, r.Model.Digest.String(): 200, "a/b": 404} {
		if resp, b := r.send(t, "GET", "/v1/models/"+id, ""); resp.StatusCode != status {
			t.Errorf("%s: %d %s", id, resp.StatusCode, b)
		}
	}
}

// TestOpenAIGo draws with OpenAI's own Go client.
func TestOpenAIGo(t *testing.T) {
	r := newRig(t)
	defer http.DefaultClient.CloseIdleConnections()
	c := openai.NewClient(option.WithBaseURL(r.url+"/v1"), option.WithAPIKey(r.secret), option.WithMaxRetries(0), option.WithHTTPClient(http.DefaultClient))
	models, err := c.Models.List(t.Context())
	if err != nil || len(models.Data) != 3 {
		t.Fatalf("%+v, %v", models, err)
	}
	ask := openai.ImageGenerateParams{
		Prompt: "a red apple", Model: models.Data[0].ID, N: openai.Int(1),
		ResponseFormat: openai.ImageGenerateParamsResponseFormatB64JSON,
	}
	out, err := c.Images.Generate(t.Context(), ask, option.WithJSONSet("seed", 9))
	if err != nil {
		t.Fatal(err)
	}
	data, err := base64.StdEncoding.DecodeString(out.Data[0].B64JSON)
	if want, _ := clienttest.Draw("a red apple", 9); err != nil || !bytes.Equal(data, want) {
		t.Errorf("another picture: %v", err)
	}
	var apiErr *openai.Error
	ask.N = openai.Int(4)
	for range 3 {
		_, err = c.Images.Generate(t.Context(), ask)
	}
	if !errors.As(err, &apiErr) || apiErr.StatusCode != 402 || apiErr.Code != "insufficient_quota" {
		t.Errorf("got %v", err)
	}
}

// deaf is a payer whose wallet is empty.
type deaf struct{}

func (deaf) OpenSession(context.Context) (s *clientSession, err error) {
	return nil, essaim.Errorf(essaim.CodeInsufficient, "fund essaim1secret", "the wallet is empty")
}

func (deaf) RestoreSession(context.Context, []byte) (s *clientSession, err error) {
	return nil, essaim.Errorf(essaim.CodeConflict, "", "it is over")
}

func TestTheGatewaysOwnPovertyIsNotTheUsers(t *testing.T) {
	r := newRig(t, func(c *gateway.Config) { c.Payer = deaf{} })
	resp, b := r.draw(t, `{"prompt":"x"}`)
	if resp.StatusCode != 503 || strings.Contains(string(b), "wallet") {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
}
