package openai

import (
	"net/http"
	"slices"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/desk"
)

// imagesRequest is the body of POST /v1/images/generations. Fields of OpenAI's that
// are not here (quality, style, user, background, …) change nothing.
type imagesRequest struct {
	Prompt         string  `json:"prompt"`
	Model          string  `json:"model"`
	N              *int    `json:"n"`
	Size           string  `json:"size"`            // "WxH"; "" or "auto": the model's default
	ResponseFormat string  `json:"response_format"` // "b64_json" or "url"; "": both
	OutputFormat   string  `json:"output_format"`   // "png" or ""
	Stream         bool    `json:"stream"`          // one picture, its previews before it
	PartialImages  int     `json:"partial_images"`  // previews at most: 0 to 3
	Seed           *uint64 `json:"seed"`            // ours; picture i has seed + i
	Steps          uint32  `json:"steps"`           // ours; 0: the model's default
	// Verify is ours: "proof", the default, "public" or "none"; see desk.Wish.
	Verify string `json:"verify"`
	// Consent is ours: a miner that is drawn to check the picture may read the prompt, too.
	Consent bool `json:"consent"`
}

// maxPartial is how many previews OpenAI's clients may ask for.
const maxPartial = 3

type imagesResponse struct {
	Created int64       `json:"created"` // Unix seconds
	Data    []imageData `json:"data"`
}

type imageData struct {
	B64JSON []byte             `json:"b64_json,omitempty"`
	URL     string             `json:"url,omitempty"`
	Essaim  desk.PictureOrigin `json:"essaim"`
}

// wish checks what is this dialect's alone.
//
// Errors: CodeBadInput.
func (q imagesRequest) wish() (desk.Wish, error) {
	switch {
	case q.Stream && q.N != nil && *q.N != 1:
		return desk.Wish{}, essaim.Errorf(essaim.CodeBadInput, "ask several times", "one picture is streamed, not %d", *q.N)
	case q.PartialImages < 0 || q.PartialImages > maxPartial:
		return desk.Wish{}, essaim.Errorf(essaim.CodeBadInput, "0 to 3", "partial_images is %d", q.PartialImages)
	case q.OutputFormat != "" && q.OutputFormat != "png":
		return desk.Wish{}, essaim.Errorf(essaim.CodeBadInput, "png, the file that the receipt is of", "output_format %.20q is not made here", q.OutputFormat)
	case !slices.Contains([]string{"", "b64_json", "url"}, q.ResponseFormat):
		return desk.Wish{}, essaim.Errorf(essaim.CodeBadInput, "b64_json or url", "response_format %.20q is not known", q.ResponseFormat)
	}
	w := desk.Wish{Prompt: q.Prompt, Model: q.Model, N: 1, Size: q.Size, Seed: q.Seed, Steps: q.Steps, Consent: q.Consent, Verify: q.Verify}
	if q.N != nil {
		w.N = *q.N
	}
	if q.Stream {
		w.Previews = uint32(q.PartialImages)
	}
	return w, nil
}

// images draws pictures for an API-key user.
func (api *API) images(w http.ResponseWriter, r *http.Request) {
	key, err := api.desk.Admit(r)
	var q imagesRequest
	if err == nil {
		err = desk.ReadJSON(w, r, desk.MaxSmall, &q)
	}
	var wish desk.Wish
	if err == nil {
		wish, err = q.wish()
	}
	var o desk.Order
	if err == nil {
		o, err = api.desk.Order(r.Context(), wish)
	}
	if err == nil && q.Stream {
		api.streamImage(w, r, key, o)
		return
	}
	var pictures []desk.Picture
	var cost essaim.Amount
	if err == nil {
		pictures, cost, err = api.desk.Fill(r.Context(), key, o)
	}
	if err != nil {
		api.fail(w, err)
		return
	}
	out := imagesResponse{Created: time.Now().Unix()}
	for _, p := range pictures {
		d := imageData{B64JSON: p.Data, Essaim: p.Origin}
		if q.ResponseFormat != "b64_json" {
			d.URL = api.desk.Base(r) + "/ipfs/" + p.Origin.CID
		}
		if q.ResponseFormat == "url" {
			d.B64JSON = nil
		}
		out.Data = append(out.Data, d)
	}
	api.desk.TellPictures(r.Context(), w, pictures, cost)
	desk.WriteJSON(w, http.StatusOK, out)
}
