package gateway_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image"
	"image/png"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client/clienttest"
)

type imageEvent struct {
	Type      string
	B64JSON   []byte `json:"b64_json"`
	Size      string
	Created   int64 `json:"created_at"`
	Index     *int  `json:"partial_image_index"`
	Unchecked bool
	Essaim    *struct {
		Receipt string
		Price   essaim.Amount
	}
	Error *struct{ Code string }
}

// imageEvents reads a stream of events, whose names and types must agree.
func imageEvents(t testing.TB, b []byte) (out []imageEvent) {
	t.Helper()
	name := ""
	for _, line := range strings.Split(string(b), "\n") {
		if n, ok := strings.CutPrefix(line, "event: "); ok {
			name = n
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			e := decode[imageEvent](t, []byte(data))
			if e.Type != name {
				t.Errorf("event %s has type %s", name, e.Type)
			}
			out = append(out, e)
		}
	}
	return out
}

// TestStreamedImage: previews come first and say that nothing speaks for them; the picture comes
// last with its receipt, is charged once, and no preview is sent that nobody has asked for.
func TestStreamedImage(t *testing.T) {
	r := newRig(t)
	want, _ := clienttest.Draw("a red apple", 5)
	for partial, events := range map[int]int{0: 1, 1: 2, 3: 2} {
		resp, b := r.draw(t, fmt.Sprintf(`{"prompt":"a red apple","seed":5,"stream":true,"partial_images":%d}`, partial))
		got := imageEvents(t, b)
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || len(got) != events {
			t.Fatalf("%d %s", resp.StatusCode, b)
		}
		last := got[events-1]
		if last.Type != "image_generation.completed" || !bytes.Equal(last.B64JSON, want) || last.Size != "32x32" || last.Created == 0 ||
			last.Unchecked || last.Index != nil || last.Essaim == nil || last.Essaim.Price != clienttest.Price {
			t.Errorf("the picture is %+v", last)
		}
		_, file := r.send(t, "GET", "/ipfs/"+last.Essaim.Receipt, "")
		if receipt, _, _, err := essaim.ReadReceiptFile(file); err != nil || receipt.Output != essaim.DigestOf(want) {
			t.Errorf("its receipt: %v", err)
		}
		if events == 1 {
			continue
		}
		if p := got[0]; p.Type != "image_generation.partial_image" || !bytes.Equal(p.B64JSON, clienttest.Preview("a red apple", 5)) ||
			p.Index == nil || *p.Index != 0 || !p.Unchecked || p.Essaim != nil {
			t.Errorf("the preview is %+v", p)
		}
	}
	if k, err := r.keys.Key(t.Context(), r.keyID); err != nil || k.Spent != 3*clienttest.Price {
		t.Errorf("%+v, %v", k, err)
	}
	r.books(t)
}

// TestStreamedImageRefuses, before the stream with an ordinary answer and after its begin with an
// event; neither is charged.
func TestStreamedImageRefuses(t *testing.T) {
	r := newRig(t)
	for _, body := range []string{
		`{"prompt":"x","stream":true,"n":2}`, `{"prompt":"x","stream":true,"partial_images":4}`, `{"prompt":"x","stream":true,"partial_images":-1}`,
		`{"prompt":"","stream":true}`, `{"prompt":"x","output_format":"webp"}`,
	} {
		resp, b := r.draw(t, body)
		if f := decode[failure](t, b); resp.StatusCode != 400 || f.Error.Code != "bad_input" {
			t.Errorf("%s: %d %s", body, resp.StatusCode, b)
		}
	}
	r.OnOutput = func(o *essaim.Output) { o.Data = []byte("no picture") }
	resp, b := r.draw(t, `{"prompt":"x","stream":true}`)
	if resp.StatusCode/100 != 5 || bytes.Contains(b, []byte("event:")) {
		t.Errorf("nothing was shown: %d %s", resp.StatusCode, b)
	}
	resp, b = r.draw(t, `{"prompt":"x","stream":true,"partial_images":1}`)
	got := imageEvents(t, b)
	if resp.StatusCode != 200 || len(got) != 2 || got[1].Type != "error" || got[1].Error == nil || got[1].Error.Code == "" {
		t.Errorf("after a preview: %d %s", resp.StatusCode, b)
	}
	if k, err := r.keys.Key(t.Context(), r.keyID); err != nil || k.Spent != 0 {
		t.Errorf("%+v, %v", k, err)
	}
}

// TestOpenAINodeStreams draws with OpenAI's own JavaScript client and reads its events.
func TestOpenAINodeStreams(t *testing.T) {
	r := newRig(t)
	out := script(t, "openai-stream.mjs", npmOpenAI, r.url+"/v1", r.secret)
	got := decode[struct {
		Types           []string
		Partial, Final  []byte
		Index           int
		Receipt         string
		TooMany, Failed failed
	}](t, out)
	want, _ := clienttest.Draw("a red apple", 11)
	if fmt.Sprint(got.Types) != "[image_generation.partial_image image_generation.completed]" || !bytes.Equal(got.Final, want) ||
		!bytes.Equal(got.Partial, clienttest.Preview("a red apple", 11)) || got.Receipt == "" {
		t.Errorf("%s", out)
	}
	if got.TooMany != (failed{400, "bad_input"}) {
		t.Errorf("an error as the client sees it: %s", out)
	}
}

// TestImg2img: a model whose engine begins with pictures gets the client's, smaller if it must be,
// and one whose engine does not is refused with the reason.
func TestImg2img(t *testing.T) {
	r := newRig(t)
	file := base64Of(pngOf(t, 700, 500))
	const path = "/sdapi/v1/img2img"
	ask := func(change string) (int, string) {
		resp, b := r.send(t, "POST", path, `{"prompt":"a red apple","width":32,"height":32,"seed":1,"init_images":["data:image/png;base64,`+file+`"]`+change+`}`, "Authorization", r.basic())
		return resp.StatusCode, string(b)
	}
	if status, b := ask(""); status != 400 || !strings.Contains(b, "does not begin with a picture") {
		t.Errorf("%d %s", status, b)
	}
	r.Model.Inits = true
	for _, bad := range []string{`,"denoising_strength":1.5`, `,"mask":"x"`, `,"init_images":[]`, `,"init_images":["!"]`, `,"init_images":["aGVsbG8="]`} {
		if status, b := ask(bad); status != 400 {
			t.Errorf("%s: %d %s", bad, status, b)
		}
	}
	var got essaim.Input
	r.OnInput = func(in essaim.Input) { got = in }
	if status, b := ask(`,"denoising_strength":0.4`); status != 200 || !strings.Contains(b, `"images":["`) {
		t.Fatalf("%d %s", status, b)
	}
	c, format, err := image.DecodeConfig(bytes.NewReader(got.Init))
	if err != nil || format != "jpeg" || c.Width != 32 || c.Height != 32 || got.Strength != 400 || len(got.Init) > essaim.MaxInit {
		t.Errorf("the miner gets %s %dx%d of strength %d, %v", format, c.Width, c.Height, got.Strength, err)
	}
	r.books(t)
}

func pngOf(t testing.TB, w, h int) []byte {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = byte(i * i >> 7)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestProgressShowsPreviews, unless somebody asks for none.
func TestProgressShowsPreviews(t *testing.T) {
	for want, ask := range map[bool]string{true: `{"prompt":"a red apple","seed":5}`, false: `{"prompt":"a red apple","seed":5,"override_settings":{"live_previews_enable":false}}`} {
		r := newRig(t)
		seen := make(chan []byte, 8)
		r.OnProgress = func(context.Context, func(string)) {
			for _, query := range []string{"", "?skip_current_image=true"} {
				_, b := r.send(t, "GET", "/sdapi/v1/progress"+query, "", "Authorization", r.basic())
				seen <- b
			}
		}
		if resp, b := r.send(t, "POST", "/sdapi/v1/txt2img", ask, "Authorization", r.basic()); resp.StatusCode != 200 {
			t.Fatalf("%d %s", resp.StatusCode, b)
		}
		type progress struct {
			Image []byte `json:"current_image"`
		}
		if p := decode[progress](t, <-seen); bytes.Equal(p.Image, clienttest.Preview("a red apple", 5)) != want {
			t.Errorf("previews %v: %d bytes", want, len(p.Image))
		}
		if p := decode[progress](t, <-seen); p.Image != nil {
			t.Error("a preview that is not wanted")
		}
	}
}

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
