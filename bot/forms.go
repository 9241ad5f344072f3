package bot

import (
	"slices"
	"strings"
)

// Command is a command as platforms list them.
type Command struct {
	Name, English, French string
	Quiet                 bool // in a group its answer is for who has asked, where the platform can do that
	Options               []Option
}

// Option is what a command takes, for platforms that ask for it.
type Option struct {
	Name, English, French string
	Required              bool
	Person                bool     // somebody of the platform, not a text: Event.To
	Choices               []string // the texts that there are; nil: any
}

// Commands lists what a bot understands, with a line of each in both languages.
func Commands() []Command {
	return []Command{
		{"start", "begin", "commencer", true, nil},
		{"imagine", "draw a picture", "dessiner", false, []Option{{Name: "prompt", English: "what to draw: a red apple", French: "quoi dessiner : une pomme rouge", Required: true}}},
		{"faucet", "free coins, once a day", "des pièces gratuites, une fois par jour", true, nil},
		{"balance", "what you have", "ce que vous avez", true, nil},
		{"tip", "give coins to somebody", "donner à quelqu'un", false, []Option{
			{Name: "user", English: "who gets them", French: "qui les reçoit", Person: true},
			{Name: "to", English: "or an address: essaim1…, 0x…, aim:name, @name", French: "ou une adresse : essaim1…, 0x…, aim:nom, @nom"},
			{Name: "amount", English: "how much, in AIM: 0.5", French: "combien, en AIM : 0,5", Required: true},
		}},
		{"history", "your last pictures and payments", "vos derniers dessins et paiements", true, nil},
		{"price", "what a picture costs", "le prix d'un dessin", true, nil},
		{"verify", "check a picture", "vérifier un dessin", false, []Option{{Name: "picture", English: "its number; without, your last one", French: "son numéro ; sans lui, votre dernier"}}},
		{"lang", "English or French", "français ou anglais", true, []Option{{Name: "language", English: "en or fr", French: "en ou fr", Required: true, Choices: []string{english, french}}}},
		{"export", "your account's key", "la clé de votre compte", true, nil},
		{"link", "connect an account of your own", "relier un compte à vous", true, []Option{{Name: "proof", English: "what you got by signing the code", French: "ce que la signature du code a donné"}}},
		{"help", "what I can do", "ce que je sais faire", true, nil},
	}
}

// Typed is a command as it would be typed, of what was filled in. It is the bare command, whose
// answer says how, if both a person was chosen and a text was given that stands for one.
func (c Command) Typed(values map[string]string, person bool) string {
	words := []string{"/" + c.Name}
	for i, o := range c.Options {
		v := values[o.Name]
		switch {
		case v == "" || o.Person:
			continue
		case person && !o.Required:
			return words[0]
		case i < len(c.Options)-1:
			v = strings.Join(strings.Fields(v), "") // one word, so that what follows stays apart
		}
		words = append(words, v)
	}
	return strings.Join(words, " ")
}

// CommandOf finds a command; ok is false if there is none.
func CommandOf(name string) (c Command, ok bool) {
	all := Commands()
	if i := slices.IndexFunc(all, func(c Command) bool { return c.Name == name }); i >= 0 {
		return all[i], true
	}
	return c, false
}
