package bot

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/ethsig"
	"github.com/essaim/essaim/wallet"
)

// A link ties an account of one's own to an account of a platform: the bot gives a code, the
// account signs it, the bot checks. The code names both and the time, so that no signature works
// for anybody else, or later.
//
//	essaim link
//	telegram 4711 1700000000 8c1f…
//
// It is signed as wallets sign text (EIP-191, personal_sign), so MetaMask can, too; the answer
// is "link", the address and the signature in base64.

const (
	linkHead = "essaim link\n"
	linkTime = time.Hour
)

// linkCode is the text that is signed.
func (b *Bot) linkCode(user string, at int64) string {
	body := fmt.Sprintf("%s %s %d", b.cfg.Name, user, at)
	mac := hmac.New(sha256.New, b.cfg.Book.LinkKey())
	mac.Write([]byte(body))
	return linkHead + body + " " + hex.EncodeToString(mac.Sum(nil)[:16])
}

// SignLink signs a link code with an account: what the person sends back to the bot.
//
// Errors: CodeBadInput for a text that is none.
func SignLink(a *wallet.Account, code string) (string, error) {
	code = strings.TrimSpace(strings.ReplaceAll(code, "\r", ""))
	if !strings.HasPrefix(code, linkHead) || len(code) > 300 {
		return "", essaim.Errorf(essaim.CodeBadInput, "paste what the bot has answered to /link, both lines", "this is no link code")
	}
	sig, err := a.Sign(ethsig.Personal(code))
	if err != nil {
		return "", err
	}
	return "link " + a.Address().Hex() + " " + base64.RawURLEncoding.EncodeToString([]byte(code)) + " " + base64.RawURLEncoding.EncodeToString(sig), nil
}

func isProof(s string) bool { return strings.HasPrefix(s, "link 0x") }

// link gives a code, or takes a proof.
func (l *letter) link(ctx context.Context, rest string) error {
	if !l.Private {
		return l.say(ctx, inPrivate)
	}
	if rest != "" {
		return l.linked(ctx, "link "+strings.TrimPrefix(rest, "link "))
	}
	return l.say(ctx, linkHow, l.linkCode(l.who.User, l.cfg.Now().Unix()))
}

func (l *letter) linked(ctx context.Context, proof string) error {
	a, why := l.checkLink(proof)
	if why != "" {
		return l.say(ctx, linkBad, why)
	}
	if err := l.cfg.Book.Link(l.who, a); err != nil {
		return err
	}
	return l.say(ctx, linkDone, a.String())
}

// checkLink finds out whose proof it is, or what is wrong with it.
func (l *letter) checkLink(proof string) (a essaim.Address, wrong string) {
	words := strings.Fields(proof)
	if len(words) != 4 {
		return a, "it was cut"
	}
	a, err := essaim.ParseAddress(words[1])
	code, err1 := base64.RawURLEncoding.DecodeString(words[2])
	sig, err2 := base64.RawURLEncoding.DecodeString(words[3])
	if err != nil || err1 != nil || err2 != nil {
		return a, "it was cut"
	}
	var name, user, mac string
	var at int64
	if _, err := fmt.Sscanf(strings.TrimPrefix(string(code), linkHead), "%s %s %d %s", &name, &user, &at, &mac); err != nil {
		return a, "it is of another bot"
	}
	age := l.cfg.Now().Sub(time.Unix(at, 0))
	var by [ethsig.AddressSize]byte
	public, err := ethsig.Recover(ethsig.Personal(string(code)), sig)
	if err == nil {
		by, err = ethsig.Address(public)
	}
	switch {
	case !hmac.Equal(code, []byte(l.linkCode(l.who.User, at))):
		return a, "the code was not given to you here"
	case age < -time.Minute || age > linkTime:
		return a, "the code is too old"
	case err != nil || by != a:
		return a, "the signature is not that account's"
	}
	return a, ""
}
