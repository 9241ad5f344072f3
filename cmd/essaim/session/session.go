// Package session is the commands about sessions: what the ledger has of them, and whether
// what they were settled from holds. It is apart from the program's other commands because
// it needs nothing of them but a Shell; it must not decide what package receipts or the
// ledger decides.
package session

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/cmd/essaim/signing"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/receipts"
	"github.com/essaim/essaim/wallet"
)

// Shell is what the commands need of the program around them.
type Shell struct {
	Stdout  io.Writer
	JSON    func() bool
	Gateway func() string                        // its URL; "": none is known
	Address func(string) (essaim.Address, error) // in either spelling, or of a key
	Payer   func(*chainclient.Client, *wallet.Account) client.Ledger
	Start   func(context.Context, devnet.Config) (*devnet.Network, func() error, error)
	No      func(error) error // the answer is no: the program ends with 1
	Shown   func(error) error // stdout has told the error already
	signing.Desk
}

// Command is essaim session.
func Command(c *Shell) *cobra.Command {
	cmd := &cobra.Command{Use: "session", Short: "Sessions: open, top up, close, and check what one has paid for"}
	cmd.AddCommand(newList(c), newShow(c), newOpen(c), newTopUp(c), newClose(c), newAudit(c))
	return cmd
}

// sessionID reads a session's number.
func sessionID(s string) (id essaim.SessionID, err error) {
	if json.Unmarshal([]byte(s), &id) != nil || id == 0 {
		return 0, essaim.Errorf(essaim.CodeBadInput, "sessions are numbered from 1", "%q is no session", s)
	}
	return id, nil
}

func newAudit(c *Shell) *cobra.Command {
	var a auditing
	cmd := &cobra.Command{
		Use:   "audit ID {--receipt FILE | --file FILE} [--out FILE] [--challenge]",
		Short: "Do a settled session's sum again from its receipts; exit 1 if it does not hold",
		Long: `The ledger has the digest of the receipts that a session was settled from. They
are fetched from the gateway, which wants to see one of them (--receipt: the file
beside a picture), or read from --file, and everything is checked again: every
signature, that each task is this session's, is there once and cost no more than the
payer agreed to, the root of the tree, and each payee's total.

With --challenge each fault that a leaf proves is shown to the ledger, which slashes the
coordinator and gives the payer back what the leaf was to bring. It hears that until the
challenge window is over.

Whoever has one receipt of the session can see all: digests, sizes, seeds, prices
and keys; no prompts and no pictures.

What the check does not prove: that no receipt was left out (its miner holds the
coordinator's promise: essaim miner promises), and that the work was done well.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := sessionID(args[0])
			if err != nil {
				return err
			}
			chain, err := c.Dial(cmd.Context())
			if err != nil {
				return err
			}
			claim, err := claimOf(cmd.Context(), chain, id)
			if err != nil {
				return err
			}
			a.blobs = map[essaim.Digest][]byte{}
			report, err := c.audit(cmd.Context(), chain, claim, a)
			if err != nil {
				return err
			}
			if !a.challenge {
				return c.tellAudit(claim, report, nil)
			}
			account, err := c.Account(a.from)
			if err != nil {
				return err
			}
			done, err := c.challenge(cmd.Context(), chain, account, a.again, claim, report)
			return errors.Join(c.tellAudit(claim, report, done), err)
		},
	}
	f := cmd.Flags()
	f.StringVar(&a.shown, "receipt", "", "a receipt of this session, to be shown to the gateway")
	f.StringVar(&a.file, "file", "", "the receipts, instead of fetching them")
	f.StringVar(&a.out, "out", "", "keep the receipts in this file")
	f.BoolVar(&a.challenge, "challenge", false, "show the ledger what is false")
	c.From(cmd, &a.from, "account key that pays for the challenge")
	return cmd
}

// auditing is how an audit is wanted.
type auditing struct {
	shown, file, out string
	challenge        bool
	from             string
	blobs            map[essaim.Digest][]byte // with challenge: what was read
}

// keep is fetch, and keeps what it reads for again.
func (a auditing) keep(fetch receipts.Fetch) receipts.Fetch {
	return func(ctx context.Context, d, shown essaim.Digest) ([]byte, error) {
		b, err := fetch(ctx, d, shown)
		if err == nil {
			a.blobs[essaim.DigestOf(b)] = b
		}
		return b, err
	}
}

// again reads what an audit has read.
func (a auditing) again(_ context.Context, d, _ essaim.Digest) ([]byte, error) {
	b, ok := a.blobs[d]
	if !ok {
		return nil, essaim.Errorf(essaim.CodeNotFound, "", "receipts %s were not read", essaim.CIDOf(d))
	}
	return b, nil
}

// claimOf is what the ledger says of a settled session.
func claimOf(ctx context.Context, chain *chainclient.Client, id essaim.SessionID) (receipts.Claim, error) {
	status, err := chain.Status(ctx)
	if err != nil {
		return receipts.Claim{}, err
	}
	s, err := chain.Session(ctx, id)
	if err != nil {
		return receipts.Claim{}, err
	}
	if s.State != essaim.SessionSettled {
		return receipts.Claim{}, essaim.Errorf(essaim.CodeConflict, "only what was settled can be audited", "session %s is %s", id, s.State)
	}
	settled, err := chain.Settlement(ctx, id)
	return receipts.Claim{ChainID: status.ChainID, Session: s, Root: settled.Root, Receipts: settled.Receipts, Lines: settled.Lines}, err
}

// audit reads a settlement's receipts from a file, the network's gateway, or the gateway
// that the ledger has for the session's coordinator, and does their sum again. With out it
// keeps what it has read.
func (c *Shell) audit(ctx context.Context, chain *chainclient.Client, claim receipts.Claim, a auditing) (r receipts.Report, err error) {
	var fetch receipts.Fetch
	switch {
	case a.file != "":
		f, err := os.Open(a.file)
		if err != nil {
			return r, essaim.Errorf(essaim.CodeNotFound, "without --file the receipts are fetched", "read receipts: %w", err)
		}
		defer f.Close()
		fetch = receipts.From(bufio.NewReader(f))
	case !claim.Receipts.IsZero():
		own, err := signedReceipt(a.shown)
		if err != nil {
			return r, err
		}
		fetch = c.receiptsOf(ctx, chain, claim, own)
	}
	if a.out != "" {
		f, err := os.Create(a.out)
		if err != nil {
			return r, essaim.Errorf(essaim.CodeBadInput, "name a file that can be written", "keep the receipts: %w", err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		fetch = receipts.Keep(fetch, f)
	}
	if a.challenge {
		fetch = a.keep(fetch)
	}
	return receipts.Audit(ctx, fetch, claim)
}

// receiptsOf reads blobs of a settlement's receipts from gateways. They are shown one of
// them: own for the index, for a part the one that the index names.
func (c *Shell) receiptsOf(ctx context.Context, chain *chainclient.Client, claim receipts.Claim, own essaim.Digest) receipts.Fetch {
	gateways := []string{c.Gateway()}
	if a, err := chain.Actor(ctx, claim.Session.Coordinator); err == nil {
		gateways = append(gateways, a.URL)
	}
	return func(ctx context.Context, d, shown essaim.Digest) ([]byte, error) {
		if shown.IsZero() {
			shown = own
		}
		var missed error
		for _, url := range gateways {
			if url == "" {
				continue
			}
			api, err := client.Dial(url)
			if err == nil {
				var b []byte
				if b, err = api.Receipts(ctx, d, shown); err == nil {
					return b, nil
				}
			}
			missed = errors.Join(missed, err)
		}
		return nil, essaim.Errorf(essaim.CodeNotFound, "ask a payee or the payer for the file, and give --file", "receipts %s cannot be fetched: %w", essaim.CIDOf(d), missed)
	}
}

// signedReceipt is the digest of the signed receipt in a receipt file.
func signedReceipt(file string) (essaim.Digest, error) {
	if file == "" {
		return essaim.Digest{}, essaim.Errorf(essaim.CodeBadInput, "give --receipt FILE, such as apple.png.receipt, or --file", "a session's receipts are for who has one of them")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return essaim.Digest{}, essaim.Errorf(essaim.CodeNotFound, "name the receipt beside a picture", "read receipt: %w", err)
	}
	f, err := essaim.DecodeReceiptFile(b)
	return essaim.DigestOf(f.Receipt), err
}

// tellAudit prints what was found, and ends with the answer.
func (c *Shell) tellAudit(claim receipts.Claim, r receipts.Report, challenged []upheld) error {
	var answer error
	if n := r.Faults; n > 0 {
		answer = c.No(essaim.Errorf(essaim.CodeRefused, "keep the receipts (--out FILE): the coordinator has signed for them; --challenge shows the ledger what leaves prove", "the settlement of session %s does not hold: faults found: %d", claim.Session.ID, n))
	}
	if c.JSON() {
		v := map[string]any{"ok": answer == nil, "session": claim.Session.ID, "coordinator": claim.Session.Coordinator, "root": claim.Root, "report": r}
		if challenged != nil {
			v["challenged"] = challenged
		}
		if !claim.Receipts.IsZero() {
			v["receipts"] = essaim.CIDOf(claim.Receipts)
		}
		if err := term.JSON(c.Stdout, v); err != nil || answer == nil {
			return err
		}
		return c.Shown(answer)
	}
	if err := printSettled(c.Stdout, claim, r); err != nil {
		return err
	}
	for _, u := range challenged {
		fmt.Fprintln(c.Stdout, strings.Join(u.lines(), "\n"))
	}
	if challenged != nil && len(challenged) == 0 && answer != nil {
		fmt.Fprintln(c.Stdout, "    nothing of it was challenged: no leaf proves it, or the ledger hears it no more")
	}
	return answer
}

func printSettled(w io.Writer, claim receipts.Claim, r receipts.Report) error {
	lines := []string{fmt.Sprintf("session %s, coordinator %s, receipts %d", claim.Session.ID, claim.Session.Coordinator.Short(), r.Leaves)}
	if !claim.Receipts.IsZero() {
		lines = append(lines, essaim.CIDOf(claim.Receipts))
	}
	lines = append(lines, fmt.Sprintf("%-8s  %-8s  %6s  %22s  %22s", "MINER", "MODEL", "TASKS", "RECEIPTS COME TO", "SETTLED"))
	for _, t := range r.Totals {
		settled := "not kept any more"
		if r.Compared {
			settled = t.Settled.String()
		}
		lines = append(lines, fmt.Sprintf("%-8s  %-8s  %6d  %22s  %22s", t.Miner.Short(), t.Model.Short(), t.Tasks, t.Amount, settled))
	}
	for _, f := range r.Findings {
		where := string(f.Fault)
		if f.Leaf > 0 {
			where = fmt.Sprintf("receipt %d, %s", f.Leaf, f.Fault)
		}
		lines = append(lines, wrapped("no  ", where+": "+f.Text)...)
	}
	if len(r.Findings) == 0 {
		lines = append(lines, fmt.Sprintf("ok  signatures, tasks, prices, root and totals: %s", r.Sum))
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

// wrapped breaks a text into lines of 80 columns; the later ones are indented.
func wrapped(mark, text string) []string {
	lines := []string{mark}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case strings.TrimSpace(*last) == strings.TrimSpace(mark) || strings.TrimSpace(*last) == "":
			*last += word
		case len([]rune(*last))+1+len([]rune(word)) > 80:
			lines = append(lines, strings.Repeat(" ", len(mark))+word)
		default:
			*last += " " + word
		}
	}
	return lines
}
