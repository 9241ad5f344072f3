package web

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
)

// maxBody bounds a request's body; a transaction of the page has some hundred bytes.
const maxBody = 64 << 10

func (p *Page) routes() {
	get := func(path string, answer func(*http.Request) (any, error)) {
		p.mux.HandleFunc("GET "+client.PathLedger+path, func(w http.ResponseWriter, r *http.Request) {
			out, err := answer(r)
			p.answer(w, out, err)
		})
	}
	get("head", func(r *http.Request) (any, error) { return p.head(r) })
	get("accounts/{address}", func(r *http.Request) (any, error) {
		a, err := address(r.PathValue("address"))
		if err != nil {
			return nil, err
		}
		return p.cfg.Ledger.Account(r.Context(), a)
	})
	get("accounts/{address}/stakes", func(r *http.Request) (any, error) {
		a, err := address(r.PathValue("address"))
		if err != nil {
			return nil, err
		}
		return p.cfg.Ledger.Stakes(r.Context(), a)
	})
	get("actors", func(r *http.Request) (any, error) { return p.cfg.Ledger.Actors(r.Context()) })
	get("actors/{key}", func(r *http.Request) (any, error) {
		k, err := nodeKey(r.PathValue("key"))
		if err != nil {
			return nil, err
		}
		return p.cfg.Ledger.Actor(r.Context(), k)
	})
	get("models", func(r *http.Request) (any, error) { return p.cfg.Ledger.Models(r.Context()) })
	get("sessions/{id}", func(r *http.Request) (any, error) {
		id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
		if err != nil {
			return nil, essaim.Errorf(essaim.CodeBadInput, "sessions are numbered from 1", "%.40q is not a session", r.PathValue("id"))
		}
		return p.cfg.Ledger.Session(r.Context(), essaim.SessionID(id))
	})
	if h := p.cfg.History; h != nil {
		get("transactions", func(*http.Request) (any, error) { return h.Txs(), nil })
		get("points", func(*http.Request) (any, error) { return h.Points(), nil })
	}
	if p.cfg.Gallery != nil {
		p.gallery(p.cfg.Gallery)
	}
	for path, v := range p.cfg.Views {
		p.view(path, v)
	}
	p.mux.HandleFunc("POST "+client.PathLedger+"transactions", p.broadcast)
	p.mux.HandleFunc("GET "+client.PathProofKey+"{model}", p.proofKey)
	p.mux.HandleFunc("POST "+client.PathFaucet, p.gift)
	p.mux.HandleFunc("GET /", p.file)
}

func (p *Page) head(r *http.Request) (Head, error) {
	h, err := p.cfg.Ledger.Head(r.Context())
	if p.cfg.Faucet != nil {
		h.Faucet, h.FaucetHours = p.cfg.Faucet.cfg.Amount, int(p.cfg.Faucet.cfg.Pause.Hours())
	}
	return h, err
}

func address(s string) (essaim.Address, error) {
	a, err := essaim.ParseAddress(s)
	if err != nil {
		return a, essaim.Errorf(essaim.CodeBadInput, "write it like essaim1… or 0x…", "%.100q is not an address", s)
	}
	return a, nil
}

// proofKey serves what a page needs to check a model's proofs. It is no secret, and the checker believes it only if it
// is what the model's manifest states.
func (p *Page) proofKey(w http.ResponseWriter, r *http.Request) {
	model, err := essaim.ParseDigest(r.PathValue("model"))
	if err != nil || p.cfg.ProofKey == nil {
		p.fail(w, essaim.Errorf(essaim.CodeNotFound, "ask for no proof", "there is no proof key of model %.100q", r.PathValue("model")))
		return
	}
	b, err := p.cfg.ProofKey(model)
	if err != nil {
		p.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(b) // a browser that has left needs no answer
}

// broadcast hands in what a page has signed.
func (p *Page) broadcast(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Tx []byte `json:"tx"`
	}
	var out struct {
		Tx     essaim.Tx `json:"tx"`
		Answer []byte    `json:"answer"`
	}
	err := readJSON(w, r, &ask)
	if err == nil {
		out.Tx, out.Answer, err = p.cfg.Ledger.Broadcast(r.Context(), ask.Tx)
	}
	p.answer(w, out, err)
}

// gift gives a newcomer coins.
func (p *Page) gift(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Address string `json:"address"`
	}
	var out struct {
		Amount essaim.Amount `json:"amount"`
		Tx     essaim.Tx     `json:"tx"`
	}
	if p.cfg.Faucet == nil {
		p.fail(w, essaim.Errorf(essaim.CodeNotFound, "ask somebody for coins", "there is no faucet here"))
		return
	}
	err := readJSON(w, r, &ask)
	var to essaim.Address
	if err == nil {
		to, err = address(ask.Address)
	}
	if err == nil {
		out.Amount = p.cfg.Faucet.cfg.Amount
		out.Tx, err = p.cfg.Faucet.Give(r.Context(), to, from(r))
	}
	p.answer(w, out, err)
}

// from is whom a request counts against: an IPv4 address, or the /64 of an IPv6 one, which
// is what one household has.
func from(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap(); ip.Is6() {
		if whole, err := ip.Prefix(64); err == nil {
			return whole.String()
		}
	}
	return ip.String()
}

func readJSON(w http.ResponseWriter, r *http.Request, out any) error {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(out)
	if err != nil && !errors.Is(err, io.EOF) {
		return essaim.Errorf(essaim.CodeBadInput, "send one JSON object", "the body cannot be read: %v", err)
	}
	return nil
}

func (p *Page) answer(w http.ResponseWriter, out any, err error) {
	if err != nil {
		p.fail(w, err)
		return
	}
	p.write(w, http.StatusOK, out)
}

func (p *Page) fail(w http.ResponseWriter, err error) {
	code := essaim.CodeOf(err)
	if code == essaim.CodeInternal {
		p.cfg.Logger.Error("page: request failed", "err", err)
	}
	p.write(w, code.HTTPStatus(), client.ErrorBodyOf(err))
}

func (p *Page) write(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err) // our own types always encode
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a browser that has left needs no answer
}
