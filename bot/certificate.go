package bot

import (
	"context"
	"strconv"
	"strings"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot/book"
	"github.com/essaim/essaim/client"
)

func number(n int64) string { return strconv.FormatInt(n, 10) }

// verify checks a picture again: the last one, or the one with a number.
func (l *letter) verify(ctx context.Context, which string) error {
	if which == "" {
		list, err := l.cfg.Book.Draws(ctx, l.who, 1)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return l.say(ctx, verifyNone)
		}
		return l.certify(ctx, list[0])
	}
	id, err := strconv.ParseInt(strings.TrimPrefix(which, "#"), 10, 64)
	if err != nil {
		return l.say(ctx, notYours)
	}
	d, err := l.cfg.Book.Draw(ctx, id)
	switch {
	case err != nil && essaim.CodeOf(err) == essaim.CodeNotFound, err == nil && (d.State != book.Done || d.Person != l.who.ID && d.Chat != l.Chat):
		return l.say(ctx, notYours)
	case err != nil:
		return err
	}
	return l.certify(ctx, d)
}

// certify checks everything that can be checked here, says what that proves, and hands over the
// receipt with which anybody can do it again.
func (l *letter) certify(ctx context.Context, d book.Draw) error {
	r, t, _, err := essaim.ReadReceiptFile(d.Receipt)
	if err == nil && d.Picture != nil {
		if essaim.DigestOf(d.Picture) != r.Output {
			err = essaim.Errorf(essaim.CodeRefused, "", "the picture is not the one that the receipt names")
		} else {
			err = client.CheckPixels(d.Picture, r)
		}
	}
	if err != nil {
		return l.say(ctx, isWrong, err.Error())
	}
	more := []string{l.words(unprovenLine)}
	if d.Proven {
		more[0] = l.words(provenLine)
	}
	if n := l.audits(ctx, r.Task); n > 0 {
		more = append(more, l.words(auditedLine, n))
	}
	if d.Picture == nil {
		more = append(more, l.words(goneLine))
	}
	about := l.words(certificate, d.ID, r.Miner.Short(), r.Price, t.MaxPrice, r.Model.Short(), r.Seed, r.Task.Short(), strings.Join(more, "\n"))
	return l.tell(ctx, Note{Text: about, File: d.Receipt, Name: "essaim-" + number(d.ID) + ".png.receipt"})
}

// audits is how many others have run a task again, as far as the coordinator shows.
func (l *letter) audits(ctx context.Context, task essaim.Digest) int {
	if l.cfg.Auditor == nil {
		return 0
	}
	c, err := l.cfg.Auditor.Checked(ctx, task)
	if err != nil {
		return 0
	}
	return len(c.Checks)
}
