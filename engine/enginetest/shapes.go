package enginetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"net/http"

	"github.com/essaim/essaim/engine"
)

// What fakes of other programs share: they take the documented fields only, and answer as Fake
// and Talker do.

// ReadStrict reads a request's JSON into the documented fields and answers 422 if there is another
// field or none.
func ReadStrict(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if _, more := d.Token(); err == nil && errors.Is(more, io.EOF) {
		return true
	}
	http.Error(w, fmt.Sprintf(`{"error":{"message":%q}}`, fmt.Sprint(err)), http.StatusUnprocessableEntity)
	return false
}

// Painted is a picture of the hash of what it is asked, as a file, with the faults that a picture
// can have.
func Painted(r engine.Request, fault string) []byte {
	if fault == WrongSize {
		r.Width += 8
	}
	var b bytes.Buffer
	if err := png.Encode(&b, paint(r)); err != nil {
		panic(err) // to memory
	}
	switch fault {
	case HalfPicture:
		return b.Bytes()[:b.Len()/2]
	case NoPicture:
		return []byte("this is no picture, whatever it was said to be")
	}
	return b.Bytes()
}

// Spoken is Talker's answer to a chat, in the pieces that it comes in.
func Spoken(messages []engine.Message, most int) (pieces []string, answer engine.Answer) {
	r := engine.Request{Model: TalkerModels()[0].Digest, Prompt: engine.Chat{Messages: messages}.Encode(), Steps: most}
	f := Talker{}
	result, err := f.talk(context.Background(), r, func(p engine.Progress) { pieces = append(pieces, p.Text) })
	if err != nil {
		panic(err) // the fake that asks has checked it
	}
	answer, err = engine.ParseAnswer(result.Data)
	if err != nil {
		panic(err)
	}
	return pieces, answer
}

// Vector is Talker's embedding of a text.
func Vector(text string) []float32 {
	e := embed(text)
	v, err := engine.ParseEmbedding(e.MediaType, e.Data)
	if err != nil {
		panic(err)
	}
	return v
}
