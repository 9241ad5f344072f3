package transport

import (
	"os"
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
