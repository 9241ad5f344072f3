package discordtest

import (
	"net/http"
	"regexp"
	"slices"
	"unicode/utf8"
)

// form is a command as the bot has registered it.
type form struct {
	Type         int               `json:"type"`
	Name         string            `json:"name"`
	Description  string            `json:"description"`
	Described    map[string]string `json:"description_localizations"`
	Options      []option          `json:"options"`
	Contexts     []int             `json:"contexts"`
	Integrations []int             `json:"integration_types"`
}

type option struct {
	Type        int               `json:"type"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Described   map[string]string `json:"description_localizations"`
	Required    bool              `json:"required"`
	Choices     []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"choices"`
}

// The kinds of options that are taken here.
const (
	optionString = 3
	optionUser   = 6
)

var nameRule = regexp.MustCompile(`^[-_a-z0-9]{1,32}$`)

func (s *Server) register(q *http.Request, b *body) (any, *no) {
	var list []form
	if refused := b.into(&list); refused != nil {
		return nil, refused
	}
	if len(list) == 0 || len(list) > 100 {
		return nil, bad("%d commands", len(list))
	}
	forms := map[string]form{}
	for _, f := range list {
		if refused := f.check(q.PathValue("guild") != ""); refused != nil {
			return nil, refused
		}
		if _, twice := forms[f.Name]; twice {
			return nil, bad("two commands %s", f.Name)
		}
		forms[f.Name] = f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forms = forms
	return list, nil
}

func (f form) check(inGuild bool) *no {
	named := described(f.Description, f.Described)
	switch {
	case f.Type != 1 || !nameRule.MatchString(f.Name) || !named || len(f.Options) > 25:
		return bad("command %+v", f)
	case inGuild && (f.Contexts != nil || f.Integrations != nil):
		return bad("%s has contexts in a guild", f.Name)
	case !inGuild && (!slices.Equal(f.Contexts, []int{0, 1}) || !slices.Equal(f.Integrations, []int{0})):
		return bad("%s in contexts %v", f.Name, f.Contexts)
	}
	required := true
	for _, o := range f.Options {
		switch {
		case o.Type != optionString && o.Type != optionUser || !nameRule.MatchString(o.Name) || !described(o.Description, o.Described) || len(o.Choices) > 25:
			return bad("option %+v of %s", o, f.Name)
		case o.Required && !required:
			return bad("%s: what is required comes first", f.Name)
		}
		required = o.Required
	}
	return nil
}

func described(text string, others map[string]string) bool {
	ok := length(text)
	for locale, t := range others {
		ok = ok && slices.Contains([]string{"en-US", "en-GB", "fr", "de"}, locale) && length(t)
	}
	return ok
}

func length(s string) bool {
	n := utf8.RuneCountInString(s)
	return n >= 1 && n <= 100
}
