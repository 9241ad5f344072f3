package cuckoo

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/ethsig"
)

// The words of that network.
const (
	statusPending    = "Pending"
	statusInProgress = "InProgress"
	statusCompleted  = "Completed"
	statusFailed     = "Failed"

	coin = "SD"
)

type rpcRequest struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
}

type rpcAnswer struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  any             `json:"result,omitempty"`
	Error   *rpcError       `json:"error,omitempty"`
}

type rpcError struct {
	Code    int         `json:"code"`
	Message string      `json:"message"`
	Data    essaim.Code `json:"data,omitempty"`
}

const (
	rpcParse   = -32700
	rpcMethod  = -32601
	rpcParams  = -32602
	rpcRefused = -32000
)

type payload struct {
	Path string          `json:"path"`
	Body json.RawMessage `json:"body"`
}

// offer is a task as that network writes it.
type offer struct {
	ID      string  `json:"id"`
	Payload payload `json:"payload"`
	Coin    string  `json:"coinSymbol"`
	Max     string  `json:"maxOfferPrice"`
	Status  string  `json:"status,omitempty"`
}

// result is what a machine hands in. Wallet and Sig are ours: that network takes anybody's
// word.
type result struct {
	ID      string          `json:"id"`
	Coin    string          `json:"coinSymbol"`
	Status  string          `json:"status"`
	Payload json.RawMessage `json:"payload"`
	Wallet  string          `json:"walletAddress"`
	Sig     string          `json:"sig"`
}

func (x *Exchange) routes() {
	x.mux.HandleFunc("POST /{$}", x.rpc)
	x.mux.HandleFunc("POST /task/"+coin+"/{path...}", x.draw)
	x.mux.HandleFunc("GET /task/"+coin+"/sdapi/v1/sd-models", x.checkpoints)
	x.mux.HandleFunc("GET /task/"+coin+"/sdapi/v1/progress", x.progress)
}

func (x *Exchange) rpc(w http.ResponseWriter, r *http.Request) {
	var q rpcRequest
	a := rpcAnswer{Version: "2.0", ID: json.RawMessage("null")}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.Version != "2.0" {
		a.Error = &rpcError{Code: rpcParse, Message: "this is no JSON-RPC 2.0 request"}
		write(w, http.StatusOK, a)
		return
	}
	if len(q.ID) > 0 {
		a.ID = q.ID
	}
	method, ok := map[string]func(*http.Request, json.RawMessage) (any, error){
		"getHealth": x.getHealth, "listGPUProviders": x.listGPUProviders, "offerTask": x.offerTask,
		"listPendingTasks": x.listPendingTasks, "submitTaskResult": x.submitTaskResult,
	}[q.Method]
	if !ok {
		a.Error = &rpcError{Code: rpcMethod, Message: "there is no such method"}
		write(w, http.StatusOK, a)
		return
	}
	out, err := method(r, q.Params)
	if err != nil {
		a.Error = &rpcError{Code: rpcRefused, Message: err.Error(), Data: essaim.CodeOf(err)}
		if essaim.CodeOf(err) == essaim.CodeBadInput {
			a.Error.Code = rpcParams
		}
	} else {
		a.Result = out
	}
	write(w, http.StatusOK, a)
}

func write(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err) // our own types always encode
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a client that has left needs no answer
}

// one reads parameters that are an array of one object.
func one[T any](params json.RawMessage) (v T, err error) {
	var list []T
	if json.Unmarshal(params, &list) != nil || len(list) != 1 {
		return v, essaim.Errorf(essaim.CodeBadInput, "params is an array with one object", "the parameters cannot be read")
	}
	return list[0], nil
}

func (x *Exchange) getHealth(*http.Request, json.RawMessage) (any, error) {
	return map[string]string{"status": "healthy"}, nil
}

// listGPUProviders lists the machines without their addresses, which are nobody's business.
func (x *Exchange) listGPUProviders(*http.Request, json.RawMessage) (any, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sweep(x.cfg.Now())
	out := []map[string]any{}
	for _, p := range x.providers {
		info := maps.Clone(p.info)
		info["votes"], info["createdAt"], info["updatedAt"] = "0", p.since.UTC().Format(time.RFC3339), p.polled.UTC().Format(time.RFC3339)
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b map[string]any) int {
		return cmp.Compare(a["walletAddress"].(string), b["walletAddress"].(string))
	})
	return out, nil
}

func (x *Exchange) listPendingTasks(_ *http.Request, params json.RawMessage) (any, error) {
	info, err := one[map[string]any](params)
	if err != nil {
		return nil, err
	}
	wallet, sig := str(info["walletAddress"]), str(info["sig"])
	delete(info, "sig")
	delete(info, "ip")
	by, err := x.signed(wallet, sig, "")
	if err != nil {
		return nil, err
	}
	info["walletAddress"] = by.Hex()
	t, err := x.poll(&provider{wallet: by, info: info})
	if t == nil || err != nil {
		return []offer{}, err
	}
	return []offer{{t.id, payload{t.path, t.body}, coin, t.max, statusPending}}, nil
}

func str(v any) string { s, _ := v.(string); return s }

func (x *Exchange) submitTaskResult(_ *http.Request, params json.RawMessage) (any, error) {
	res, err := one[result](params)
	if err != nil {
		return nil, err
	}
	by, err := x.signed(res.Wallet, res.Sig, resultText(res.ID, res.Status, res.Payload))
	if err != nil {
		return nil, err
	}
	if err := x.submit(by, res.ID, res.Status, res.Payload); err != nil {
		return nil, err
	}
	return map[string]string{"id": res.ID, "status": res.Status}, nil
}

// resultText is what is signed of a result besides the date, so that the signature is of
// this result and no other.
func resultText(id, status string, payload []byte) string {
	sum := sha256.Sum256(payload)
	return "\n" + id + "\n" + status + "\n" + hex.EncodeToString(sum[:])
}

// signed checks a signature as that network writes it, DATE.0xSIG, over the date and more.
//
// Errors: CodeRefused.
func (x *Exchange) signed(wallet, sig, more string) (by essaim.Address, err error) {
	refuse := func(why string) (essaim.Address, error) {
		return by, essaim.Errorf(essaim.CodeRefused, "sign the date, as RFC 3339, with the wallet's key", "%s", why)
	}
	date, hexSig, ok := strings.Cut(sig, ".0x")
	raw, err1 := hex.DecodeString(hexSig)
	at, err2 := time.Parse(time.RFC3339Nano, date)
	if !ok || err1 != nil || err2 != nil {
		return refuse("there is no signature")
	}
	if d := x.cfg.Now().Sub(at); d > clockSlack || d < -clockSlack {
		return refuse("the signature is of another time")
	}
	key, err := ethsig.Recover([]byte(date+more), raw)
	if err != nil {
		return refuse("the signature is of nobody")
	}
	a, err := ethsig.Address(key)
	if err != nil {
		return refuse("the signature is of nobody")
	}
	by = essaim.Address(a)
	if !strings.EqualFold(by.Hex(), wallet) {
		return refuse("the signature is not the wallet's")
	}
	if len(x.cfg.Wallets) > 0 && !slices.Contains(x.cfg.Wallets, by) {
		return by, essaim.Errorf(essaim.CodeRefused, "ask the exchange's owner", "this wallet is not served here")
	}
	return by, nil
}

// local reports whether a request comes from this machine.
func local(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}
