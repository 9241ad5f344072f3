package client

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/raw"
	"github.com/essaim/essaim/internal/wire"
)

// MediaFrames is the media type of frames: each 4 bytes of length, big-endian, and as many
// of CBOR. A submission's body is frames of Submitted, the answer frames of Event.
const MediaFrames = "application/vnd.essaim.frames"

// MaxBatch is how many submissions one request may hold.
const MaxBatch = 64

// Submitted is an essaim.Submission as it travels.
type Submitted struct {
	Task    []byte    `cbor:"1,keyasint"`
	Input   raw.Bytes `cbor:"2,keyasint"`
	Voucher []byte    `cbor:"3,keyasint,omitempty"`
	Consent []byte    `cbor:"4,keyasint,omitempty"`

	Conversation string `cbor:"5,keyasint,omitempty"`
}

// Event tells what became of one submission of a request: any number with a progress, then
// one with a delivery or an error. One with none of them keeps the connection alive.
type Event struct {
	N        int              `cbor:"1,keyasint"` // which submission, from 0
	Progress *essaim.Progress `cbor:"2,keyasint,omitempty"`
	Delivery *essaim.Delivery `cbor:"3,keyasint,omitempty"`
	Error    *ErrorInfo       `cbor:"4,keyasint,omitempty"`
}

var (
	errCut    = errors.New("the stream ended early")
	errSilent = errors.New("not even a sign of life came")

	frameEnc = must(cbor.CoreDetEncOptions().UserBufferEncMode())
	frameDec = must(cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // constant options; a failure is a programming error
	}
	return v
}

const frameHead = 4

// AppendFrame adds a frame that holds v, a pointer to a Submitted or an Event, to b.
func AppendFrame(b []byte, v wire.Message) []byte {
	start := len(b)
	b, ok := wire.Append(append(b, make([]byte, frameHead)...), v)
	if !ok {
		buf := bytes.NewBuffer(b)
		if err := frameEnc.MarshalToBuffer(v, buf); err != nil {
			panic(fmt.Sprintf("client: encode %T: %v", v, err)) // our own types always encode
		}
		b = buf.Bytes()
	}
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-frameHead))
	return b
}

// ReadFrame reads a frame of at most limit bytes.
//
// Errors: io.EOF at the end; CodeBadInput for what is not a frame; any other is the
// reader's.
func ReadFrame[T any, M interface {
	*T
	wire.Message
}](r io.Reader, limit int, out M) error {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if uint64(n) > uint64(limit) {
		return essaim.Errorf(essaim.CodeBadInput, "send frames, and less in each", "a frame of %d bytes, at most %d", n, limit)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	*out = *new(T)
	if wire.Read(body, out) {
		return nil
	}
	*out = *new(T)
	if err := frameDec.Unmarshal(body, out); err != nil {
		return essaim.Errorf(essaim.CodeBadInput, "the other program may be of another version", "a frame cannot be decoded: %v", err)
	}
	return nil
}
