package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/cmd/essaim/picture"
	"github.com/essaim/essaim/cmd/essaim/proving"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/cmd/essaim/traced"
	"github.com/essaim/essaim/coordinator/round"
	engines "github.com/essaim/essaim/engine/all"
	"github.com/essaim/essaim/proof/builtin"
)

// imagineOptions is what the flags of imagine say.
type imagineOptions struct {
	prompt   string
	seed     uint64
	hasSeed  bool
	count    int
	size     string
	steps    uint32
	model    string
	out      string
	from     string
	maxPrice string
	timeout  time.Duration

	verify   string // proof, none, or replica:K
	replicas int    // K; 1 without
	consent  bool
	attend   bool
}

// verifyNone asks for the receipt only.
const verifyNone = "none"

func newImagineCommand(c *cli) *cobra.Command {
	var o imagineOptions
	cmd := &cobra.Command{
		Use:   "imagine PROMPT",
		Short: "Draw a picture, get its receipt, pay for it",
		Long: `Draws what PROMPT says, in English or French, writes the picture and its receipt,
and pays: the deposit goes into escrow, the miner is paid for what it delivered, the
rest comes back.

Uses --gateway if given, else the network that runs in --home (essaim up), else brings
one up in this process, for this picture. The prompt is sealed to the miner: the
coordinator and the ledger see digests. The miner reads it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.prompt, o.hasSeed = args[0], cmd.Flags().Changed("seed")
			k, err := round.Wanted(o.verify)
			if err != nil && o.verify != verifyNone {
				return err
			}
			o.replicas = max(1, k)
			return imagine(cmd.Context(), c, o)
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&o.seed, "seed", 0, "fixes the picture bit for bit (default: drawn at random)")
	f.IntVar(&o.count, "count", 1, "pictures, with consecutive seeds, in one session")
	f.StringVar(&o.size, "size", "", "WxH in pixels (default: the model's)")
	f.Uint32Var(&o.steps, "steps", 0, "sampling steps (default: the model's)")
	f.StringVar(&o.model, "model", "", "name or digest (default: the first that is offered)")
	f.StringVarP(&o.out, "out", "o", "", "file to write (default: after the prompt); the receipt goes beside it")
	c.desk().From(cmd, &o.from, "account key that pays")
	f.StringVar(&o.maxPrice, "max-price", "", "per picture, such as 0.01 (default: what is quoted)")
	f.StringVar(&o.verify, "verify", essaim.VerifyProof, "proof: that the model draws this, checked before the picture is accepted; replica:2 or replica:3: as many miners of different owners draw each picture, and each is paid; none")
	f.BoolVar(&o.consent, "audit-consent", false, "let the coordinator read the prompt if the picture is drawn for an audit")
	f.BoolVar(&o.attend, "attend", false, "stay until it is known what is checked, and seal the prompt to the verifier that is drawn")
	f.DurationVar(&o.timeout, "timeout", client.DefaultTime, "give up after this long; nothing is charged then")
	return cmd
}

// drawn is one picture with what was said about it.
type drawn struct {
	*client.Picture
	file, receiptFile string
	trace             string // "": none
}

func imagine(ctx context.Context, c *cli, o imagineOptions) error {
	began := time.Now()
	req, err := o.request()
	if err != nil {
		return err
	}
	st := newStatus(c.stderr)
	defer st.clear()
	n, err := c.connect(ctx, o.from, st)
	if err != nil {
		return err
	}
	defer n.close()
	model, err := n.pickModel(ctx, o.model)
	if err != nil {
		return err
	}
	if err := checkFits(model, req); err != nil {
		return err
	}
	req.Model = model.Digest
	if model.Meter != essaim.MeterTask {
		req.Units = client.Most(model, req.Width, req.Height, req.Steps)
	}
	pictures, settled, err := n.draw(ctx, o, req, st)
	if err != nil {
		return err
	}
	st.clear()
	if c.json {
		return term.JSON(c.stdout, report(model, pictures, settled, n, time.Since(began)))
	}
	return c.tellDrawn(model, pictures, settled, n)
}

// request checks everything that can be checked before anything is started or paid.
func (o imagineOptions) request() (client.Request, error) {
	r := client.Request{Prompt: o.prompt, Seed: o.seed, Steps: o.steps, Consent: o.consent, Unproven: o.verify == verifyNone}
	if err := essaim.CheckPrompt(o.prompt); err != nil {
		return r, err
	}
	if o.count < 1 || o.count > 100 {
		return r, essaim.Errorf(essaim.CodeBadInput, "ask for 1 to 100", "--count %d is out of range", o.count)
	}
	if o.size != "" {
		w, h, ok := strings.Cut(strings.ToLower(o.size), "x")
		width, err1 := strconv.ParseUint(w, 10, 16)
		height, err2 := strconv.ParseUint(h, 10, 16)
		if !ok || err1 != nil || err2 != nil || width == 0 || height == 0 {
			return r, essaim.Errorf(essaim.CodeBadInput, "write it like 256x256", "--size %q is no size", o.size)
		}
		r.Width, r.Height = uint32(width), uint32(height)
	}
	if o.maxPrice != "" {
		p, err := essaim.ParseAmount(o.maxPrice)
		if err != nil {
			return r, essaim.Errorf(essaim.CodeBadInput, "write it like 0.01", "--max-price: %w", err)
		}
		r.MaxPrice = p
	}
	if !o.hasSeed {
		var b [4]byte
		rand.Read(b[:])
		r.Seed = uint64(binary.BigEndian.Uint32(b[:])) // short enough to retype
	}
	if o.out != "" {
		if info, err := os.Stat(filepath.Dir(o.out)); err != nil || !info.IsDir() {
			return r, essaim.Errorf(essaim.CodeBadInput, "make the folder first", "--out %s: there is no folder %s", o.out, filepath.Dir(o.out))
		}
	}
	return r, nil
}

// pickModel finds the model by name, digest or the beginning of its digest.
func (n *network) pickModel(ctx context.Context, want string) (essaim.ModelInfo, error) {
	info, err := n.api.Info(ctx)
	if err != nil {
		return essaim.ModelInfo{}, err
	}
	var names []string
	for _, m := range info.Models {
		if m.Kind != essaim.KindImage {
			continue
		}
		if want == "" || want == m.Name || len(want) >= 8 && strings.HasPrefix(m.Digest.String(), want) {
			return m, nil
		}
		names = append(names, m.Name)
	}
	if len(names) == 0 {
		return essaim.ModelInfo{}, essaim.Errorf(essaim.CodeUnavailable, "wait for a miner, or start one", "no connected miner draws pictures")
	}
	return essaim.ModelInfo{}, essaim.Errorf(essaim.CodeNotFound, "choose from: "+strings.Join(names, ", "), "no miner offers model %q", want)
}

// checkFits refuses what the model cannot do, before any money moves.
func checkFits(m essaim.ModelInfo, r client.Request) error {
	size := fmt.Sprintf("%dx%d", r.Width, r.Height)
	if r.Width != 0 && !slices.Contains(m.Sizes, size) {
		return essaim.Errorf(essaim.CodeBadInput, "choose from: "+strings.Join(m.Sizes, ", "), "%s cannot draw %s", m.Name, size)
	}
	if s := int(r.Steps); s != 0 && (s < m.MinSteps || s > m.MaxSteps) {
		return essaim.Errorf(essaim.CodeBadInput, fmt.Sprintf("choose %d to %d", m.MinSteps, m.MaxSteps), "%s cannot draw in %d steps", m.Name, s)
	}
	return nil
}

// draw opens a session, draws into files and settles. Whatever happens after the
// session is open, it is closed again, so that no deposit stays locked.
func (n *network) draw(ctx context.Context, o imagineOptions, req client.Request, st *status) (pictures []drawn, settled essaim.Settled, err error) {
	deposit, err := n.deposit(ctx, o, req)
	if err != nil {
		return nil, settled, err
	}
	st.set("opening a session: %s into escrow", deposit)
	s, err := client.Open(ctx, client.Config{Coordinator: n.api, Ledger: n.ledger, ChainID: n.chainID, Plan: engines.Plan, Proofs: builtin.Proofs{}}, deposit)
	if err != nil {
		return nil, settled, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	for i := range o.count {
		r := req
		r.Seed, r.Deadline = req.Seed+uint64(i), time.Now().Add(o.timeout)
		list, drawErr := o.ask(ctx, s, r, st, i)
		for _, p := range list {
			d, writeErr := o.write(p, len(pictures))
			if writeErr == nil {
				d.trace, writeErr = traced.Save(ctx, n.api, p, d.receiptFile)
			}
			pictures, drawErr = append(pictures, d), cmp.Or(drawErr, writeErr)
		}
		if drawErr != nil {
			err = proving.Evidence(drawErr, o.fileName(i))
			break
		}
	}
	st.set("settling session %s on the ledger", s.Record().ID)
	closing, cancelClose := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancelClose()
	settled, closeErr := s.Close(closing)
	return pictures, settled, cmp.Or(err, closeErr)
}

// ask has one picture drawn, or its replicas, and stays to see it checked if it is to.
func (o imagineOptions) ask(ctx context.Context, s *client.Session, r client.Request, st *status, i int) (list []*client.Picture, err error) {
	progress := func(p essaim.Progress) { st.progress(p, i, o.count) }
	same := true
	if o.replicas > 1 {
		list, same, err = s.Replicas(ctx, r, o.replicas, progress)
	} else if p, drawErr := s.Draw(ctx, r, progress); drawErr != nil {
		err = drawErr
	} else {
		list = []*client.Picture{p}
	}
	if err == nil && !same {
		st.progress(essaim.Progress{Note: "the replicas differ: somebody is wrong, and others are asked who"}, i, o.count)
	}
	for _, p := range list {
		if !o.attend || err != nil {
			break
		}
		st.set("waiting until it is known what is checked")
		var c essaim.Checked
		if c, err = s.Attend(ctx, p); err == nil && c.State == essaim.AuditDone && c.Reason != "" {
			st.progress(essaim.Progress{Note: fmt.Sprintf("the picture of miner %s: %s", p.Receipt.Miner.Short(), c.Reason)}, i, o.count)
		}
	}
	return list, err
}

func (n *network) deposit(ctx context.Context, o imagineOptions, req client.Request) (essaim.Amount, error) {
	q, err := n.api.Quote(ctx, essaim.QuoteRequest{Kind: essaim.KindImage, Model: req.Model, Width: req.Width, Height: req.Height, Steps: req.Steps, Count: o.count, Units: req.Units})
	if err != nil {
		return 0, err
	}
	each := q.MaxPrice
	if req.MaxPrice != 0 { // the tasks say so, and the escrow has to cover what they say
		each = req.MaxPrice
		asks := func(c essaim.Candidate) bool { return c.Price <= each }
		if len(q.Candidates) > 0 && !slices.ContainsFunc(q.Candidates, asks) {
			cheapest := slices.MinFunc(q.Candidates, func(a, b essaim.Candidate) int { return cmp.Compare(a.Price, b.Price) }).Price
			return 0, essaim.Errorf(essaim.CodeInsufficient, "raise --max-price", "the cheapest miner asks %s a picture, more than %s", cheapest, each)
		}
	}
	sum, ok := each.Mul(uint64(o.count * o.replicas))
	if !ok {
		return 0, essaim.Errorf(essaim.CodeInsufficient, "", "the price of %d pictures is out of range", o.count)
	}
	info, err := n.api.Info(ctx)
	if err != nil {
		return 0, err
	}
	sum = max(sum, info.MinDeposit)
	have, err := n.balance(ctx)
	if err != nil {
		return 0, err
	}
	if have < sum {
		return 0, essaim.Errorf(essaim.CodeInsufficient, "`essaim balance` shows what an account has; --from chooses another", "%s costs up to %s, %s has %s", plural(o.count, "picture"), sum, n.payer, have)
	}
	return sum, nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (s *status) progress(p essaim.Progress, i, count int) {
	which := ""
	if count > 1 {
		which = fmt.Sprintf(" %d of %d", i+1, count)
	}
	if p.Note != "" {
		s.set("%s", p.Note)
		s.keep()
		return
	}
	s.set("drawing%s %s step %d of %d on miner %s", which, bar(p.Step, p.Steps), p.Step, p.Steps, p.Miner.Short())
}

// fileName is where picture i goes. Existing files are not overwritten unless --out names
// them.
func (o imagineOptions) fileName(i int) string {
	name := o.out
	if name == "" {
		name = slug(o.prompt) + ".png"
	}
	if o.count*max(o.replicas, 1) > 1 {
		ext := filepath.Ext(name)
		name = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(name, ext), i+1, ext)
	}
	if o.out == "" {
		name = unused(name)
	}
	return name
}

// write saves a picture, its receipt and its proof.
func (o imagineOptions) write(p *client.Picture, i int) (drawn, error) {
	name := o.fileName(i)
	d := drawn{Picture: p, file: name, receiptFile: name + ".receipt"}
	if err := writePicture(name, p.Data); err != nil {
		return d, err
	}
	if p.Proof != nil {
		if err := os.WriteFile(name+".proof", p.Proof, 0o644); err != nil {
			return d, err
		}
	}
	return d, os.WriteFile(d.receiptFile, p.ReceiptFile, 0o644)
}

func writePicture(name string, data []byte) error {
	if err := os.WriteFile(name, data, 0o644); err != nil {
		return essaim.Errorf(essaim.CodeBadInput, "choose another place with --out", "write picture: %w", err)
	}
	return nil
}

// slug makes a file name of a prompt: letters, digits and hyphens, at most 40.
func slug(prompt string) string {
	words := strings.FieldsFunc(strings.ToLower(prompt), func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r > 127)
	})
	var b strings.Builder
	for _, w := range words {
		if b.Len()+len(w) > 40 {
			break
		}
		if b.Len() > 0 {
			b.WriteByte('-')
		}
		b.WriteString(w)
	}
	return cmp.Or(b.String(), "picture")
}

func unused(name string) string {
	ext := filepath.Ext(name)
	for i := 2; ; i++ {
		if _, err := os.Stat(name); err != nil {
			return name
		}
		name = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(strings.TrimSuffix(name, ext), fmt.Sprintf("-%d", i-1)), i, ext)
	}
}

// tellDrawn tells a person what happened: the picture, then who drew it, for what
// price, and who was paid.
func (c *cli) tellDrawn(model essaim.ModelInfo, pictures []drawn, settled essaim.Settled, n *network) error {
	w := c.stdout
	for _, d := range pictures {
		if err := picture.Show(w, picture.Detect(c.stdout, c.getenv), d.Data); err != nil {
			return err
		}
		r := d.Receipt
		fmt.Fprintf(w, "%s\n", d.file)
		fmt.Fprintf(w, "  picture   %dx%d, seed %d, %s of %s, drawn in %d ms\n", r.Width, r.Height, r.Seed, steps(int(r.Steps)), model.Name, r.Finished-r.Started)
		fmt.Fprintf(w, "  cid       %s\n", d.CID)
		fmt.Fprintf(w, "  task      %s\n", r.Task)
		fmt.Fprintf(w, "  miner     %s\n", r.Miner)
		fmt.Fprintf(w, "  price     %s\n", r.Price)
		fmt.Fprintf(w, "  receipt   %s\n", d.receiptFile)
		fmt.Fprintf(w, "  proof     %s\n", proving.Line(d.Picture))
		if d.trace != "" {
			fmt.Fprintf(w, "  trace     %s\n", d.trace)
		}
		for _, warning := range d.Warnings {
			fmt.Fprintf(c.stderr, "essaim: warning: %s\n", oneLine(warning))
		}
	}
	fmt.Fprintf(w, "settled: session %s, height %d, transaction %s\n", settled.Session, settled.Tx.Height, settled.Tx.Hash)
	for _, p := range settled.Tx.Payments {
		fmt.Fprintf(w, "  %14s  %-28s %s\n", p.Amount, paidTo(p.Reason), p.To)
	}
	if len(pictures) > 0 {
		fmt.Fprintf(w, "check it: essaim receipt verify %s --picture %s\n", quoted(pictures[0].receiptFile), quoted(pictures[0].file))
	}
	return nil
}

func quoted(name string) string {
	if strings.ContainsAny(name, " '\"$") {
		return strconv.Quote(name)
	}
	return name
}

func paidTo(reason string) string {
	return cmp.Or(map[string]string{
		"miner":       "to the miner's pool, of",
		"royalty":     "royalty to the model's owner",
		"coordinator": "to the coordinator's pool, of",
		"treasury":    "protocol fee to the treasury",
		"refund":      "back to the payer",
	}[reason], reason)
}

// report is the JSON object of imagine. Its flat fields are about the first picture;
// with --count above 1, "pictures" has them all.
func report(model essaim.ModelInfo, pictures []drawn, settled essaim.Settled, n *network, took time.Duration) map[string]any {
	one := func(d drawn) map[string]any {
		r := d.Receipt
		out := map[string]any{
			"proof": proving.Report(d.Picture), "task": r.Task, "picture": d.file, "cid": d.CID, "pixels_sha256": r.Pixels, "model": model.Name, "model_digest": r.Model,
			"engine": r.Engine, "miner": r.Miner, "coordinator": r.Coordinator, "seed": r.Seed, "steps": r.Steps,
			"width": r.Width, "height": r.Height, "price_uaim": r.Price, "receipt": d.receiptFile, "warnings": append([]string{}, d.Warnings...),
		}
		if d.trace != "" {
			out["trace"] = d.trace
		}
		return out
	}
	out := one(pictures[0])
	paid := map[string]uint64{}
	for _, p := range settled.Tx.Payments {
		paid[p.To.String()] += uint64(p.Amount)
	}
	out["session"] = settled.Session
	out["settlement"] = map[string]any{"tx": settled.Tx.Hash, "height": settled.Tx.Height, "paid": paid}
	out["payer"] = n.payer
	out["elapsed_ms"] = took.Milliseconds()
	if len(pictures) > 1 {
		all := make([]map[string]any, 0, len(pictures))
		for _, d := range pictures {
			all = append(all, one(d))
		}
		out["pictures"] = slices.Clip(all)
	}
	return out
}
