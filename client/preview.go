package client

import (
	"github.com/essaim/essaim"
	"github.com/essaim/essaim/seal"
)

// look shows a preview, if that is what a step brings. What does not open is passed over: the
// picture itself is what is paid for and checked.
func (r Request) look(key *seal.PrivateKey, t essaim.Task, p essaim.Progress) {
	if len(p.Part) == 0 || p.Step < 1 {
		return
	}
	file, err := key.Parts(t.PreviewInfo(p.Attempt, uint32(p.Step))).Open(p.Part)
	if err != nil {
		return
	}
	r.Preview([]byte(file))
}
