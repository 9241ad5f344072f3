package transport

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// pausing is a stream whose process stands still at the first deadline, for so long; message is what has come by then.
type pausing struct {
	network.Stream
	pause    time.Duration
	message  []byte
	deadline time.Time
	waits    int
}

func (p *pausing) SetReadDeadline(t time.Time) error {
	p.deadline = t
	return nil
}

func (p *pausing) Read(b []byte) (int, error) {
	if p.waits > 0 && len(p.message) > 0 {
		n := copy(b, p.message)
		p.message = p.message[n:]
		return n, nil
	}
	time.Sleep(time.Until(p.deadline))
	if p.waits == 0 {
		time.Sleep(p.pause)
	}
	p.waits++
	return 0, os.ErrDeadlineExceeded
}

// TestLateDeadline: who notices late that a time is over has stood still, and looks once more for what came meanwhile.
func TestLateDeadline(t *testing.T) {
	message := []byte{1, 0xa0} // one empty map
	for name, c := range map[string]struct {
		pause   time.Duration
		message []byte
		took    time.Duration
		ok      bool
	}{
		"noticed in time":               {0, message, time.Second, false},
		"a little late":                 {lateness / 2, message, time.Second + lateness/2, false},
		"late, and something has come":  {4 * time.Second, message, 5 * time.Second, true},
		"late, and nothing comes still": {4 * time.Second, nil, 6 * time.Second, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &pausing{pause: c.pause, message: c.message}
			s := newStream(p, p, &Conn{}, ProtocolControl)
			began := time.Now()
			err := s.Receive(&struct{}{}, time.Second)
			if (err == nil) != c.ok || time.Since(began) != c.took {
				t.Errorf("%s: %v after %v, want %v", name, err, time.Since(began), c.took)
			}
		})
	}
}

// silent is a stream on which nothing comes, beside one on which something does at these times.
type silent struct {
	pausing
	conn  *Conn
	other []time.Duration // since the connection began
}

func (s *silent) Read([]byte) (int, error) {
	end := s.deadline
	for len(s.other) > 0 && s.conn.since.Add(s.other[0]).Before(end) {
		time.Sleep(time.Until(s.conn.since.Add(s.other[0])))
		if _, err := (ear{strings.NewReader("x"), s.conn}).Read(make([]byte, 1)); err != nil {
			return 0, err
		}
		s.other = s.other[1:]
	}
	time.Sleep(time.Until(end))
	return 0, os.ErrDeadlineExceeded
}

// TestAlive: a peer that is heard on another stream is alive, and is given up when it is silent there, too.
func TestAlive(t *testing.T) {
	for name, c := range map[string]struct {
		other       []time.Duration
		took, alive time.Duration // until Receive and ReceiveAlive give up
	}{
		"nothing":             {nil, time.Second, time.Second},
		"one word":            {[]time.Duration{600 * time.Millisecond}, time.Second, 1600 * time.Millisecond},
		"many":                {[]time.Duration{300 * time.Millisecond, 900 * time.Millisecond, 1800 * time.Millisecond, 2700 * time.Millisecond}, time.Second, 3700 * time.Millisecond},
		"one that comes late": {[]time.Duration{1100 * time.Millisecond}, time.Second, time.Second},
	} {
		for alive, took := range map[bool]time.Duration{false: c.took, true: c.alive} {
			synctest.Test(t, func(t *testing.T) {
				conn := &Conn{since: time.Now()}
				p := &silent{conn: conn, other: c.other}
				began := time.Now()
				err := newStream(p, p, conn, ProtocolControl).receive(&struct{}{}, time.Second, alive)
				if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != took {
					t.Errorf("%s, alive %v: %v after %v, want %v", name, alive, err, time.Since(began), took)
				}
			})
		}
	}
}
