package openai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/png"
	"net/http"
	"time"

	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/desk"
)

// imageEvent is an event of a picture that is streamed. The fields that name a choice of OpenAI's say
// what was done, which is always the same.
type imageEvent struct {
	Type       string `json:"type"`
	B64JSON    []byte `json:"b64_json"`
	Created    int64  `json:"created_at"` // Unix seconds
	Size       string `json:"size"`       // of this file, which of a preview may be smaller
	Quality    string `json:"quality"`
	Background string `json:"background"`
	Format     string `json:"output_format"`
	Index      *int   `json:"partial_image_index,omitempty"`

	Essaim    *desk.PictureOrigin `json:"essaim,omitempty"`    // ours; of the finished picture
	Unchecked bool                `json:"unchecked,omitempty"` // ours: a preview, of which no receipt speaks
}

// streamImage answers with a picture's previews and then the picture, as server-sent events. Until
// something was written an error is an ordinary answer; after that it is an event.
func (api *API) streamImage(w http.ResponseWriter, r *http.Request, key apikey.Key, o desk.Order) {
	s, index, began := (*desk.Stream)(nil), 0, time.Now().Unix()
	event := func(e imageEvent) (err error) {
		if s == nil {
			if s, err = desk.OpenStream(w); err != nil {
				return err
			}
		}
		e.Created, e.Quality, e.Background, e.Format = began, "auto", "opaque", "png"
		e.Size = sizeOf(e.B64JSON)
		return named(s, e.Type, e)
	}
	pictures, cost, err := api.desk.FillShown(r.Context(), key, o, func(p *desk.Shown) (err error) {
		switch {
		case p != nil:
			n := index
			index++
			return event(imageEvent{Type: "image_generation.partial_image", B64JSON: p.File, Index: &n, Unchecked: true})
		case s == nil:
			s, err = desk.OpenStream(w)
			return err
		}
		return s.Comment("keep-alive")
	})
	switch {
	case err != nil && s == nil:
		api.fail(w, err)
		return
	case err != nil:
		api.desk.LogFault(w, err)
		_, info := desk.FaultOf(err)
		_ = named(s, "error", struct { // the client may have left
			Type  string     `json:"type"`
			Error desk.Fault `json:"error"`
		}{"error", info})
		return
	case s == nil:
		api.desk.TellPictures(r.Context(), w, pictures, cost)
	}
	for _, p := range pictures {
		_ = event(imageEvent{Type: "image_generation.completed", B64JSON: p.Data, Essaim: &p.Origin})
	}
}

// named writes an event with its name.
func named(s *desk.Stream, name string, data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		panic(err) // our own types always encode
	}
	return s.Write("event: %s\ndata: %s\n\n", name, b)
}

// sizeOf is a PNG file's; "": a miner has sent something else.
func sizeOf(file []byte) string {
	c, err := png.DecodeConfig(bytes.NewReader(file))
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%dx%d", c.Width, c.Height)
}
