// Package telegram is the bot on Telegram: it turns updates of the Bot API into events, and what
// the bot says into its methods.
//
// Updates are confirmed once the bot has them in its book, so that none is lost and none is done
// twice. When the platform says that it is too much (429), calls wait as long as it asks for.
// Texts are plain: nothing that a person has written is read as markup.
//
// The package must not know what commands mean. It needs nine methods of the API, which is why
// it brings its own client of them.
package telegram

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot"
)

// Server is where Telegram is.
const Server = "https://api.telegram.org"

// The platform's limits.
const (
	maxText    = 4096 // UTF-16 units
	maxCaption = 1024
)

// Config says which bot it is.
type Config struct {
	Token  string
	Server string // URL; "": Telegram's own
	Logger *slog.Logger
}

// Adapter is a bot.Platform. Make it with New; it is safe for concurrent use.
type Adapter struct {
	api  api
	log  *slog.Logger
	name string // of the bot, in lower case, once it is known
}

// Name is what the platform is called in the bot's book.
const Name = "telegram"

// New asks who the bot is and tells the platform its commands.
//
// Errors: CodeRefused for a wrong token, CodeUnavailable.
func New(ctx context.Context, cfg Config) (*Adapter, error) {
	if cfg.Server == "" {
		cfg.Server = Server
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Adapter{log: cfg.Logger, api: api{base: strings.TrimSuffix(cfg.Server, "/") + "/bot" + strings.TrimSpace(cfg.Token) + "/", http: &http.Client{}}}
	var me struct {
		Username string `json:"username"`
	}
	if err := a.api.call(ctx, "getMe", nil, nil, &me); err != nil {
		return nil, err
	}
	a.name = strings.ToLower(me.Username)
	for lang, line := range map[string]func(bot.Command) string{"": func(c bot.Command) string { return c.English }, "fr": func(c bot.Command) string { return c.French }} {
		var list []map[string]string
		for _, c := range bot.Commands() {
			list = append(list, map[string]string{"command": c.Name, "description": line(c)})
		}
		params := map[string]any{"commands": list}
		if lang != "" {
			params["language_code"] = lang
		}
		if err := a.api.call(ctx, "setMyCommands", params, nil, nil); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// UserName is what the bot is called on the platform.
func (a *Adapter) UserName() string { return a.name }

// The parts of the API's objects that are read.
type (
	user struct {
		ID       int64  `json:"id"`
		IsBot    bool   `json:"is_bot"`
		Username string `json:"username"`
		Language string `json:"language_code"`
	}
	chat struct {
		ID   int64  `json:"id"`
		Type string `json:"type"`
	}
	message struct {
		ID    int64    `json:"message_id"`
		From  *user    `json:"from"`
		Chat  chat     `json:"chat"`
		Text  string   `json:"text"`
		Reply *message `json:"reply_to_message"`
	}
	callback struct {
		ID      string   `json:"id"`
		From    user     `json:"from"`
		Message *message `json:"message"`
		Data    string   `json:"data"`
	}
	update struct {
		ID       int64     `json:"update_id"`
		Message  *message  `json:"message"`
		Callback *callback `json:"callback_query"`
	}
)

const (
	pollTime   = 50 // seconds that the platform waits for something to tell
	firstPause = time.Second
	lastPause  = time.Minute
)

// Run takes updates until the context ends, and gives them to accept.
//
// Errors: CodeConflict if another program takes the same bot's updates, CodeRefused for a token
// that is no more; else the context's.
func (a *Adapter) Run(ctx context.Context, accept func(context.Context, bot.Event) error) error {
	pause, offset := firstPause, int64(0)
	for {
		var list []update
		err := a.api.call(ctx, "getUpdates", map[string]any{"offset": offset, "timeout": pollTime, "allowed_updates": []string{"message", "callback_query"}}, nil, &list)
		for _, u := range list {
			if err = accept(ctx, a.event(u)); err != nil {
				break
			}
			offset = u.ID + 1
		}
		switch code := essaim.CodeOf(err); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			pause = firstPause
			continue
		case code == essaim.CodeRefused || code == essaim.CodeConflict:
			return err
		}
		a.log.Warn("updates cannot be had", "err", err, "again_in", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, lastPause)
	}
}

// event is what an update means; the zero event: nothing to the bot.
func (a *Adapter) event(u update) bot.Event {
	id := strconv.FormatInt(u.ID, 10)
	switch {
	case u.Callback != nil && u.Callback.Message != nil && !u.Callback.From.IsBot:
		c := u.Callback
		return bot.Event{
			ID: id, From: from(c.From), Chat: strconv.FormatInt(c.Message.Chat.ID, 10), Private: c.Message.Chat.Type == "private",
			Message: strconv.FormatInt(c.Message.ID, 10), Button: c.Data, Press: c.ID,
		}
	case u.Message != nil && u.Message.From != nil && !u.Message.From.IsBot:
		m := u.Message
		text, ours := a.ours(m.Text)
		if !ours {
			return bot.Event{}
		}
		e := bot.Event{
			ID: id, From: from(*m.From), Chat: strconv.FormatInt(m.Chat.ID, 10), Private: m.Chat.Type == "private",
			Message: strconv.FormatInt(m.ID, 10), Text: text,
		}
		if r := m.Reply; r != nil && r.From != nil && !r.From.IsBot {
			to := from(*r.From)
			e.To = &to
		}
		return e
	}
	return bot.Event{}
}

func from(u user) bot.User {
	return bot.User{ID: strconv.FormatInt(u.ID, 10), Name: u.Username, Lang: u.Language}
}

// ours takes the bot's name off a command, as groups write it; a command of another bot is not
// ours.
func (a *Adapter) ours(text string) (string, bool) {
	if !strings.HasPrefix(text, "/") {
		return text, true
	}
	end := strings.IndexAny(text, " \n\t")
	if end < 0 {
		end = len(text)
	}
	command, name, named := strings.Cut(text[:end], "@")
	return command + text[end:], !named || strings.ToLower(name) == a.name
}

// Say is bot.Platform's.
func (a *Adapter) Say(ctx context.Context, n bot.Note) (string, error) {
	params := map[string]any{"chat_id": chatID(n.Chat)}
	if n.Reply != "" {
		params["reply_parameters"] = map[string]any{"message_id": chatID(n.Reply), "allow_sending_without_reply": true}
	}
	if len(n.Buttons) > 0 {
		var row []map[string]string
		for _, b := range n.Buttons {
			row = append(row, map[string]string{"text": b.Text, "callback_data": b.Data})
		}
		params["reply_markup"] = map[string]any{"inline_keyboard": [][]map[string]string{row}}
	}
	method, file := "sendMessage", (*upload)(nil)
	switch {
	case n.Picture != nil:
		method, file = "sendPhoto", &upload{fieldName(true), n.Name, n.Picture}
	case n.File != nil:
		method, file = "sendDocument", &upload{fieldName(false), n.Name, n.File}
	}
	if file == nil {
		params["text"] = cut(n.Text, maxText)
	} else {
		params["caption"] = cut(n.Text, maxCaption)
	}
	var sent message
	err := a.api.call(ctx, method, params, file, &sent)
	return strconv.FormatInt(sent.ID, 10), err
}

// Edit is bot.Platform's. A text that stands there already is no error, nor one that is gone.
func (a *Adapter) Edit(ctx context.Context, chat, message, text string) error {
	err := a.api.call(ctx, "editMessageText", map[string]any{"chat_id": chatID(chat), "message_id": chatID(message), "text": cut(text, maxText)}, nil, nil)
	if says(err, "message is not modified") {
		return nil
	}
	return err
}

// Delete is bot.Platform's. A message that is gone is no error.
func (a *Adapter) Delete(ctx context.Context, chat, message string) error {
	err := a.api.call(ctx, "deleteMessage", map[string]any{"chat_id": chatID(chat), "message_id": chatID(message)}, nil, nil)
	if says(err, "message to delete not found") {
		return nil
	}
	return err
}

// Press is bot.Platform's. One that was pressed long ago takes no answer.
func (a *Adapter) Press(ctx context.Context, press, text string) error {
	params := map[string]any{"callback_query_id": press}
	if text != "" {
		params["text"] = cut(text, 200)
	}
	err := a.api.call(ctx, "answerCallbackQuery", params, nil, nil)
	if says(err, "query is too old") {
		return nil
	}
	return err
}

var (
	_ bot.Platform = (*Adapter)(nil)
	_ bot.Listener = (*Adapter)(nil)
)
