// Package bots is the program's commands for people who chat: `essaim bot` answers them on a
// platform, `essaim link` ties an account of one's own to one there, and `essaim demo-bot` tells a
// whole conversation.
//
// The commands read, call and print; what a bot says and does is package bot's business.
package bots

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot"
	"github.com/essaim/essaim/bot/book"
	"github.com/essaim/essaim/bot/discord"
	"github.com/essaim/essaim/bot/telegram"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/wallet"
)

// Shell is what the commands need of the program around them.
type Shell struct {
	Stdin   io.Reader
	Stdout  io.Writer
	Getenv  func(string) string
	JSON    func() bool
	Home    func() string
	Dial    func(context.Context) (*chainclient.Client, error)
	Gateway func() string
	Account func(name string) (*wallet.Account, error)
	User    string // the key that signs unless another is named
	Logger  func() *slog.Logger
	Start   func(context.Context, devnet.Config) (*devnet.Network, func() error, error)
	No      func(error) error // the answer is no: the program ends with 1
}

// Commands are those of this package.
func Commands(s *Shell) []*cobra.Command {
	cmd := &cobra.Command{
		Use:   "bot",
		Short: "Answer people who chat: pictures, a faucet, tips",
		Long: `Answers people on a chat platform, in French and English. Each of them gets an account
on the ledger, whose key the bot keeps, encrypted under a secret, and hands over when asked.

The bot has two accounts of its own. Coins that are sent to its house go to newcomers, by
/faucet; its pot holds tips for people who have not come yet.`,
	}
	cmd.AddCommand(newTelegram(s), newDiscord(s))
	return []*cobra.Command{cmd, newLink(s), demo(s)}
}

// place is where a bot keeps its things, and what it gives.
type place struct {
	dir, secret, faucet, daily, most string
	usual                            string // folder in the home
}

func (p *place) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.dir, "dir", "", "folder of the bot's book (default: "+p.usual+" in --home)")
	f.StringVar(&p.secret, "secret-file", "", "what keys are encrypted under; keep it apart from the book (default: secret in --dir)")
	f.StringVar(&p.faucet, "faucet", "0.1", "AIM that a person gets once a day")
	f.StringVar(&p.daily, "daily", "20", "AIM that the faucet gives in a day")
	f.StringVar(&p.most, "cap", "100", "AIM that an account here should hold at most")
}

// open opens the book, and says how generous the bot is.
func (p *place) open(s *Shell) (*book.Book, bot.Limits, error) {
	var l bot.Limits
	for _, x := range []struct {
		flag, text string
		into       *essaim.Amount
	}{{"faucet", p.faucet, &l.Faucet}, {"daily", p.daily, &l.Daily}, {"cap", p.most, &l.Cap}} {
		a, err := essaim.ParseAmount(x.text)
		if err != nil || a == 0 {
			return nil, l, essaim.Errorf(essaim.CodeBadInput, "write it like 0.5", "--%s %q is no amount", x.flag, x.text)
		}
		*x.into = a
	}
	if p.dir == "" {
		p.dir = filepath.Join(s.Home(), p.usual)
	}
	if p.secret == "" {
		p.secret = filepath.Join(p.dir, "secret")
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, l, essaim.Errorf(essaim.CodeBadInput, "choose another --dir", "the bot's folder: %w", err)
	}
	secret, err := book.Secret(p.secret)
	if err != nil {
		return nil, l, err
	}
	kept, err := book.Open(filepath.Join(p.dir, "book.db"), secret)
	return kept, l, err
}

// network is where a bot's pictures come from.
func (s *Shell) network(ctx context.Context) (bot.Config, error) {
	url := s.Gateway()
	if url == "" {
		return bot.Config{}, essaim.Errorf(essaim.CodeUnavailable, "start one with `essaim up`, or give --gateway", "no network runs here")
	}
	api, err := client.Dial(url)
	if err != nil {
		return bot.Config{}, err
	}
	chain, err := s.Dial(ctx)
	if err != nil {
		return bot.Config{}, err
	}
	return node.Bot(ctx, chain, api)
}

// platform is where a bot talks.
type platform interface {
	bot.Platform
	bot.Listener
	UserName() string
}

// answering is a command that answers on a platform until it is asked to stop.
func (s *Shell) answering(cmd *cobra.Command, usual, variable, asked string, connect func(ctx context.Context, token string) (platform, bot.Config, error)) *cobra.Command {
	var token string
	p := place{usual: usual}
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		secret, err := s.token(token, variable, asked)
		if err != nil {
			return err
		}
		kept, limits, err := p.open(s)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, kept.Close()) }()
		cfg, err := s.network(cmd.Context())
		if err != nil {
			return err
		}
		a, kind, err := connect(cmd.Context(), secret)
		if err != nil {
			return err
		}
		cfg.Name, cfg.Forms, cfg.Platform, cfg.Book, cfg.Limits, cfg.Logger = kind.Name, kind.Forms, a, kept, limits, s.Logger()
		b, err := bot.New(cfg)
		if err != nil {
			return err
		}
		if err := s.introduce("@"+a.UserName(), b); err != nil {
			return err
		}
		err = b.Serve(cmd.Context(), a)
		if cmd.Context().Err() != nil {
			return nil // it was asked to stop
		}
		return err
	}
	cmd.Flags().StringVar(&token, "token-file", "", "file that holds the token of the bot (default: $"+variable+")")
	p.flags(cmd)
	return cmd
}

func newTelegram(s *Shell) *cobra.Command {
	var server string
	cmd := &cobra.Command{
		Use:   "telegram --token-file FILE",
		Short: "Answer people on Telegram",
		Example: `  essaim bot telegram --token-file token.txt
  essaim bot telegram --token-file token.txt --gateway https://gate.example`,
	}
	cmd.Flags().StringVar(&server, "server", telegram.Server, "URL of the Bot API")
	return s.answering(cmd, "bot", "ESSAIM_TELEGRAM_TOKEN", "ask @BotFather on Telegram for one", func(ctx context.Context, token string) (platform, bot.Config, error) {
		a, err := telegram.New(ctx, telegram.Config{Token: token, Server: server, Logger: s.Logger()})
		return a, bot.Config{Name: telegram.Name}, err
	})
}

func newDiscord(s *Shell) *cobra.Command {
	var server, guild string
	cmd := &cobra.Command{
		Use:   "discord --token-file FILE",
		Short: "Answer people on Discord",
		Long: `Answers people on Discord: slash commands and buttons, in guilds and in private. It asks for
no intent, so it reads no messages of anybody.`,
		Example: `  essaim bot discord --token-file token.txt
  essaim bot discord --token-file token.txt --guild 700100200300400500`,
	}
	cmd.Flags().StringVar(&server, "server", discord.Server, "URL of the HTTP interface")
	cmd.Flags().StringVar(&guild, "guild", "", "number of the only guild that may use it (default: all, and in private)")
	return s.answering(cmd, "bot-discord", "ESSAIM_DISCORD_TOKEN", "make an application at discord.com/developers, and a bot in it", func(ctx context.Context, token string) (platform, bot.Config, error) {
		a, err := discord.New(ctx, discord.Config{Token: token, Guild: guild, Server: server, Logger: s.Logger()})
		return a, bot.Config{Name: discord.Name, Forms: true}, err
	})
}

// token comes from a file or the environment, never from an argument that others can see.
func (s *Shell) token(file, variable, asked string) (string, error) {
	if file == "" {
		if t := s.Getenv(variable); t != "" {
			return t, nil
		}
		return "", essaim.Errorf(essaim.CodeBadInput, asked, "no token: give --token-file")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", essaim.Errorf(essaim.CodeBadInput, "write the token into a file of its own", "the token: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// introduce says who the bot is, and where its money comes from.
func (s *Shell) introduce(name string, b *bot.Bot) error {
	if s.JSON() {
		return term.JSON(s.Stdout, map[string]any{"name": name, "house": b.House(), "pot": b.Pot()})
	}
	_, err := fmt.Fprintf(s.Stdout, "%s answers\nhouse  %s  fill it: it pays the faucet\npot    %s  holds tips that wait\n", name, b.House(), b.Pot())
	return err
}

func newLink(s *Shell) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "link < CODE",
		Short: "Prove to a bot that an account is yours",
		Long: `Reads the two lines that a bot has answered to /link, signs them with an account key and
prints what to send to the bot, in private. The signature is good for that and nothing
else: it names the bot, you, and the hour.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b, err := io.ReadAll(io.LimitReader(s.Stdin, 4096))
			if err != nil {
				return err
			}
			a, err := s.Account(from)
			if err != nil {
				return err
			}
			proof, err := bot.SignLink(a, string(b))
			if err != nil {
				return err
			}
			if s.JSON() {
				return term.JSON(s.Stdout, map[string]any{"address": a.Address(), "proof": proof})
			}
			_, err = fmt.Fprintln(s.Stdout, proof)
			return err
		},
	}
	cmd.Flags().StringVar(&from, "from", s.User, "account key that signs")
	return cmd
}

// demoTime is the most that the story may take.
const demoTime = time.Minute
