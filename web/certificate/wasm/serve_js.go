package main

import (
	"context"
	"fmt"
	"syscall/js"

	"github.com/essaim/essaim/web/certificate"
)

var checker *certificate.Checker

// serve hands the functions to the page and stays.
func serve() {
	js.Global().Set("essaimKey", js.FuncOf(func(_ js.Value, args []js.Value) any {
		return safely(func() (map[string]any, error) {
			c, err := certificate.New(bytes(args[0]))
			checker = c
			return map[string]any{}, err
		})
	}))
	js.Global().Set("essaimCheck", js.FuncOf(func(_ js.Value, args []js.Value) any {
		return safely(func() (map[string]any, error) {
			if checker == nil {
				return nil, fmt.Errorf("call essaimKey first")
			}
			f, err := checker.Check(context.Background(), certificate.Picture{
				File: bytes(args[0].Get("picture")), Receipt: bytes(args[0].Get("receipt")), Proof: bytes(args[0].Get("proof")), Prompt: args[0].Get("prompt").String(),
			})
			r := f.Receipt
			return map[string]any{
				"ms": float64(f.Took.Microseconds()) / 1000, "miner": r.Miner.String(), "task": r.Task.String(), "model": r.Model.String(),
				"seed": fmt.Sprint(r.Seed), "chain": r.ChainID, "cid": r.CID(),
			}, err
		})
	}))
	js.Global().Get("document").Call("dispatchEvent", js.Global().Get("Event").New("essaim"))
	select {}
}

// safely is what do returns as an object, whatever becomes of it.
func safely(do func() (map[string]any, error)) (out map[string]any) {
	defer func() {
		if p := recover(); p != nil {
			out = map[string]any{"ok": false, "error": fmt.Sprint(p)}
		}
	}()
	out, err := do()
	if err != nil {
		return map[string]any{"ok": false, "error": err.Error()}
	}
	out["ok"] = true
	return out
}

// bytes copies a Uint8Array.
func bytes(v js.Value) []byte {
	b := make([]byte, v.Get("length").Int())
	js.CopyBytesToGo(b, v)
	return b
}
