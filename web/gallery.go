package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/internal/ethsig"
)

const (
	galleryMost  = 500             // pictures; the oldest make room
	galleryEach  = 50              // of one payer, likewise
	galleryBody  = 3 << 20         // bytes of a request
	galleryClock = 5 * time.Minute // that a consent may be off
)

// Wish says that a picture is to be seen by everybody, or no more. Who has paid for it signs Text as wallets sign
// text (EIP-191), so a person reads what it is about.
type Wish struct {
	ChainID string
	Task    essaim.Digest
	Prompt  string // shown beside the picture; "": it stays between payer and miner
	Public  bool
	At      int64 // milliseconds since 1970
}

// Text is what is signed.
func (w Wish) Text() string {
	verb := "Show my picture to everybody"
	if !w.Public {
		verb = "Show my picture no more"
	}
	return fmt.Sprintf("%s\n\nNetwork: %s\nPicture: %s\nPrompt: %s\nTime: %d", verb, w.ChainID, w.Task, w.Prompt, w.At)
}

// Shown is a picture of the gallery.
type Shown struct {
	Task    essaim.Digest  `json:"task"`
	Payer   essaim.Address `json:"payer"`
	Prompt  string         `json:"prompt"`
	Media   string         `json:"media"`
	At      int64          `json:"at"` // milliseconds since 1970, by the payer's word
	Receipt []byte         `json:"receipt"`
	Picture []byte         `json:"picture,omitempty"`
	Proof   []byte         `json:"proof,omitempty"`
}

// Gallery keeps pictures that their payers want to be seen, a file each. A picture is in it with its receipt, so only
// what was drawn on this network, and paid for, can be. Whoever runs it may delete files; it reads them at its start.
// It is safe for concurrent use.
type Gallery struct {
	dir    string
	ledger Ledger

	mu   sync.Mutex
	list []Shown                 // without pictures and proofs, oldest first; guarded by mu
	gone map[essaim.Digest]int64 // when it was taken back: an older consent brings nothing back; guarded by mu
}

// OpenGallery reads a folder, which is made if it is not there.
//
// Errors: CodeInternal if it cannot be read; a damaged file is passed over.
func OpenGallery(dir string, ledger Ledger) (*Gallery, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	g := &Gallery{dir: dir, ledger: ledger, gone: map[essaim.Digest]int64{}}
	for _, f := range files {
		task, err := essaim.ParseDigest(strings.TrimSuffix(f.Name(), ".json"))
		if err != nil {
			continue
		}
		s, err := g.load(task)
		switch {
		case err != nil:
		case s.Receipt == nil:
			g.gone[task] = s.At
		default:
			s.Picture, s.Proof = nil, nil
			g.list = append(g.list, s)
		}
	}
	slices.SortFunc(g.list, func(a, b Shown) int { return int(a.At - b.At) })
	return g, nil
}

func (g *Gallery) file(task essaim.Digest) string {
	return filepath.Join(g.dir, task.String()+".json")
}

func (g *Gallery) load(task essaim.Digest) (s Shown, err error) {
	b, err := os.ReadFile(g.file(task))
	if errors.Is(err, fs.ErrNotExist) {
		return s, essaim.Errorf(essaim.CodeNotFound, "its payer may have taken it back", "the gallery has no picture %s", task.Short())
	}
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(b, &s)
}

// Keep does what a signed wish says. s carries receipt, picture and proof; what is taken back needs its receipt alone.
//
// Errors: CodeRefused if it is not the payer's own, or not what the receipt says; CodeExpired for an old wish.
func (g *Gallery) Keep(ctx context.Context, s Shown, public bool, signature []byte) error {
	head, err := g.ledger.Head(ctx)
	if err != nil {
		return err
	}
	r, t, key, err := essaim.ReadReceiptFile(s.Receipt)
	if err != nil {
		return err
	}
	refuse := func(format string, args ...any) error {
		return essaim.Errorf(essaim.CodeRefused, "show a picture that this account has paid for here", format, args...)
	}
	if t.Kind != essaim.KindImage || r.ChainID != head.ChainID {
		return refuse("the receipt is not of a picture of %s", head.ChainID)
	}
	session, err := g.ledger.Session(ctx, r.Session)
	if err != nil {
		return err
	}
	w := Wish{ChainID: head.ChainID, Task: r.Task, Prompt: s.Prompt, Public: public, At: s.At}
	by, err := signer(w.Text(), signature)
	if err != nil || by != session.Payer || key != session.SessionKey {
		return refuse("the wish is not signed by who has paid for picture %s", r.Task.Short())
	}
	if off := time.Since(time.UnixMilli(s.At)).Abs(); off > galleryClock {
		return essaim.Errorf(essaim.CodeExpired, "look at this machine's clock", "the wish is %s off", off.Round(time.Second))
	}
	if public {
		switch {
		case essaim.DigestOf(s.Picture) != r.Output:
			return refuse("the picture is not the one of the receipt")
		case s.Proof != nil && essaim.DigestOf(s.Proof) != r.Proof:
			return refuse("the proof is not the one of the receipt")
		case t.Kind.CheckPrompt(s.Prompt) != nil && s.Prompt != "":
			return refuse("the prompt is none")
		}
	}
	s.Task, s.Payer, s.Media = r.Task, by, r.MediaType
	return g.put(s, public)
}

func (g *Gallery) put(s Shown, public bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.At <= g.gone[s.Task] {
		return essaim.Errorf(essaim.CodeExpired, "sign it again", "picture %s was taken back later", s.Task.Short())
	}
	if !public {
		s = Shown{Task: s.Task, At: s.At}
	}
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	next := g.file(s.Task) + ".new"
	if err := os.WriteFile(next, b, 0o600); err != nil {
		return err
	}
	if err := os.Rename(next, g.file(s.Task)); err != nil {
		return err
	}
	g.list = slices.DeleteFunc(g.list, func(x Shown) bool { return x.Task == s.Task })
	if !public {
		g.gone[s.Task] = s.At
		return nil
	}
	s.Picture, s.Proof = nil, nil
	g.list = append(g.list, s)
	return g.trim(s.Payer)
}

// trim makes room: of this payer's pictures first, then of all.
func (g *Gallery) trim(payer essaim.Address) error {
	of := 0
	for _, s := range g.list {
		if s.Payer == payer {
			of++
		}
	}
	i := -1
	switch {
	case of > galleryEach:
		i = slices.IndexFunc(g.list, func(s Shown) bool { return s.Payer == payer })
	case len(g.list) > galleryMost:
		i = 0
	default:
		return nil
	}
	task := g.list[i].Task
	g.list = slices.Delete(g.list, i, i+1)
	return os.Remove(g.file(task))
}

// List is all pictures, the newest first, without the pictures themselves.
func (g *Gallery) List() []Shown {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := slices.Clone(g.list)
	slices.Reverse(out)
	return out
}

// signer is whose account has signed a text as wallets do.
func signer(text string, signature []byte) (a essaim.Address, err error) {
	public, err := ethsig.Recover(ethsig.Personal(text), signature)
	if err != nil {
		return a, err
	}
	b, err := ethsig.Address(public)
	return essaim.Address(b), err
}

// gallery answers for the gallery's pictures.
func (p *Page) gallery(g *Gallery) {
	p.mux.HandleFunc("GET "+client.PathGallery, func(w http.ResponseWriter, _ *http.Request) { p.answer(w, g.List(), nil) })
	p.mux.HandleFunc("GET "+client.PathGallery+"/{task}", func(w http.ResponseWriter, r *http.Request) {
		task, err := essaim.ParseDigest(r.PathValue("task"))
		if err != nil {
			p.fail(w, essaim.Errorf(essaim.CodeBadInput, "a task has 64 hex digits", "%.100q is not a task", r.PathValue("task")))
			return
		}
		s, err := g.load(task)
		if err == nil && s.Receipt == nil {
			err = essaim.Errorf(essaim.CodeNotFound, "", "picture %s was taken back by its payer", task.Short())
		}
		p.answer(w, s, err)
	})
	p.mux.HandleFunc("POST "+client.PathGallery, func(w http.ResponseWriter, r *http.Request) {
		var ask struct {
			Shown
			Public    bool   `json:"public"`
			Signature []byte `json:"signature"`
		}
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, galleryBody)).Decode(&ask)
		if err != nil {
			p.fail(w, essaim.Errorf(essaim.CodeBadInput, "send one JSON object", "the body cannot be read: %v", err))
			return
		}
		p.answer(w, struct{}{}, g.Keep(r.Context(), ask.Shown, ask.Public, ask.Signature))
	})
}
