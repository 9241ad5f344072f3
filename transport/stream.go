package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multistream"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/wire"
)

// Limits of one message, in bytes. A task's stream carries whole results, whose blob
// is at most 64 MiB (blob.MaxSize) and padded; a control stream carries receipts and
// lists of models.
const (
	MaxControlMessage = 1 << 20
	MaxTaskMessage    = 72 << 20
)

// WriteTimeout bounds the sending of one message: a peer that reads nothing for so
// long is as good as gone.
const WriteTimeout = 30 * time.Second

// openTimeout bounds the opening of a stream on a connection that stands.
const openTimeout = 10 * time.Second

var (
	encMode = must(cbor.CoreDetEncOptions().UserBufferEncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:   cbor.DupMapKeyEnforcedAPF,
		IndefLength: cbor.IndefLengthForbidden,
		TagsMd:      cbor.TagsForbidden,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // constant options; a failure is a programming error
	}
	return v
}

func (p Protocol) id() protocol.ID { return protocol.ID(p) }

func (p Protocol) maxMessage() uint64 {
	if p == ProtocolControl {
		return MaxControlMessage
	}
	return MaxTaskMessage
}

// Conn is one connection to one peer.
type Conn struct {
	host *Host
	conn network.Conn
	peer essaim.NodeKey
	ctx  context.Context // ends with the connection
	gone context.CancelFunc

	since time.Time    // when it was made
	heard atomic.Int64 // nanoseconds from then to the last byte that came from the peer
}

// last is when the peer was last heard, on whichever stream.
func (c *Conn) last() time.Time { return c.since.Add(time.Duration(c.heard.Load())) }

// ear reads a stream and notes that its peer lives.
type ear struct {
	io.Reader
	conn *Conn
}

func (e ear) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if n > 0 {
		e.conn.heard.Store(int64(time.Since(e.conn.since)))
	}
	return n, err
}

// Peer is who is at the other end, proved by the handshake.
func (c *Conn) Peer() essaim.NodeKey { return c.peer }

// RemoteIP is the address that the connection leads to; not valid if it is not of TCP.
func (c *Conn) RemoteIP() netip.Addr {
	at, err := manet.ToNetAddr(c.conn.RemoteMultiaddr())
	if tcp, ok := at.(*net.TCPAddr); err == nil && ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// Done is closed when the connection is gone.
func (c *Conn) Done() <-chan struct{} { return c.ctx.Done() }

// Open opens a stream on this very connection, never on another one to the same
// peer: a peer that has just reconnected may have a dead connection beside the live
// one.
//
// Errors: CodeUnavailable if the connection is gone or the peer refuses streams.
func (c *Conn) Open(ctx context.Context, p Protocol) (*Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	s, err := c.conn.NewStream(ctx)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeUnavailable, "", "open a stream to %s: %w", c.peer.Short(), err)
	}
	if err := s.SetProtocol(p.id()); err != nil {
		_ = s.Reset()
		return nil, essaim.Errorf(essaim.CodeUnavailable, "", "open a stream to %s: %w", c.peer.Short(), err)
	}
	// Both ends know the protocol, so its name travels with the first message
	// instead of costing a round trip.
	return newStream(s, multistream.NewMSSelect(s, p.id()), c, p), nil
}

// Close ends the connection with all its streams.
func (c *Conn) Close() error { return c.conn.Close() }

// Stream is an ordered pair of message flows.
type Stream struct {
	raw   network.Stream
	w     io.Writer
	r     *bufio.Reader
	conn  *Conn
	limit uint64
	out   bytes.Buffer // reused by Send
}

func newStream(raw network.Stream, rw io.ReadWriter, c *Conn, p Protocol) *Stream {
	return &Stream{raw: raw, w: rw, r: bufio.NewReaderSize(ear{rw, c}, 4<<10), conn: c, limit: p.maxMessage()}
}

// Conn is the connection that the stream is on.
func (s *Stream) Conn() *Conn { return s.conn }

// Send writes one message within WriteTimeout. A failed stream is of no more use.
//
// Errors: CodeBadInput if the message is larger than the protocol allows, any other
// error means that the peer or the connection is gone.
func (s *Stream) Send(v any) error {
	s.out.Reset()
	s.out.Write(make([]byte, binary.MaxVarintLen64)) // room for the length, which is known later
	if err := s.encode(v); err != nil {
		return fmt.Errorf("encode %T: %w", v, err)
	}
	message := s.out.Bytes()
	n := uint64(len(message) - binary.MaxVarintLen64)
	if n > s.limit {
		return essaim.Errorf(essaim.CodeBadInput, "", "message %T of %d bytes is larger than %d", v, n, s.limit)
	}
	length := binary.AppendUvarint(nil, n)
	message = message[binary.MaxVarintLen64-len(length):]
	copy(message, length)
	if err := s.raw.SetWriteDeadline(time.Now().Add(WriteTimeout)); err != nil {
		return fmt.Errorf("send to %s: %w", s.conn.peer.Short(), err)
	}
	_, err := s.w.Write(message)
	if s.out.Cap() > MaxControlMessage {
		s.out = bytes.Buffer{} // a whole result went through; do not hold it
	}
	if err != nil {
		return fmt.Errorf("send to %s: %w", s.conn.peer.Short(), err)
	}
	return nil
}

// encode adds a message to what is sent.
func (s *Stream) encode(v any) error {
	if m, ok := v.(wire.Message); ok {
		if b, ok := wire.Append(s.out.AvailableBuffer(), m); ok {
			s.out.Write(b)
			return nil
		}
	}
	return encMode.MarshalToBuffer(v, &s.out)
}

// Receive reads one message into v, which is empty, waiting at most within for it; 0 waits until the
// stream or the connection ends.
//
// Errors: io.EOF if the peer has closed the stream between two messages; CodeBadInput
// for a message that is too large or not in deterministic CBOR; any other error means
// that time ran out or the connection is gone.
func (s *Stream) Receive(v any, within time.Duration) error { return s.receive(v, within, false) }

// ReceiveAlive is Receive for who wants to know whether the peer lives: the time begins again with whatever comes from
// it, on this stream or another one. A beat waits its turn behind a large result, on a line that is slow, or in a
// process that has all hands full.
func (s *Stream) ReceiveAlive(v any, within time.Duration) error { return s.receive(v, within, true) }

func (s *Stream) receive(v any, within time.Duration, alive bool) error {
	if err := s.await(within, alive); err != nil && err != io.EOF {
		return fmt.Errorf("receive from %s: %w", s.conn.peer.Short(), err)
	}
	n, err := binary.ReadUvarint(s.r)
	if err == io.EOF {
		return err
	}
	if err != nil {
		return fmt.Errorf("receive from %s: %w", s.conn.peer.Short(), err)
	}
	if n > s.limit {
		return essaim.Errorf(essaim.CodeBadInput, "", "message of %d bytes from %s is larger than %d", n, s.conn.peer.Short(), s.limit)
	}
	body, err := s.body(int(n))
	if err != nil {
		return fmt.Errorf("receive from %s: %w", s.conn.peer.Short(), err)
	}
	if m, ok := v.(wire.Message); ok {
		if wire.Read(body, m) {
			return nil
		}
		reflect.ValueOf(v).Elem().SetZero()
	}
	if err := decMode.Unmarshal(body, v); err != nil {
		return essaim.Errorf(essaim.CodeBadInput, "the other program may be of another version", "message from %s: %v", s.conn.peer.Short(), err)
	}
	return nil
}

// lateness is how much later than a deadline its end is noticed by a process that runs.
const lateness = 250 * time.Millisecond

// await waits for a message's first byte. Where the end of the time is noticed late, this process stood still and not
// the peer, whose message may lie in the connection, not read yet: then it waits once more.
func (s *Stream) await(within time.Duration, alive bool) error {
	from := time.Now()
	for again := false; ; {
		deadline := time.Time{}
		if within > 0 {
			deadline = from.Add(within)
		}
		if err := s.raw.SetReadDeadline(deadline); err != nil {
			return err
		}
		_, err := s.r.Peek(1)
		var ended net.Error
		if !errors.As(err, &ended) || !ended.Timeout() {
			return err
		}
		switch last := s.conn.last(); {
		case alive && last.After(from):
			from, again = last, false
		case again || time.Since(deadline) < lateness:
			return err
		default:
			from, again = time.Now(), true
		}
	}
}

// atOnce is how many bytes are allocated because of a length alone.
const atOnce = 64 << 10

// body reads n bytes. Beyond atOnce the buffer grows with what arrives.
func (s *Stream) body(n int) ([]byte, error) {
	if n <= atOnce {
		b := make([]byte, n)
		_, err := io.ReadFull(s.r, b)
		return b, err
	}
	var b bytes.Buffer
	_, err := io.CopyN(&b, s.r, int64(n))
	return b.Bytes(), err
}

// Close ends the stream in good order: what was sent still arrives.
func (s *Stream) Close() error { return s.raw.Close() }

// Reset ends the stream at once, for both sides; whoever reads from it or writes to
// it gets an error.
func (s *Stream) Reset() error { return s.raw.Reset() }
