// Package settings is where the values of flags come from when the command line does not give
// them: the environment, then a file of the person's in the home, then the program's defaults. It
// knows no setting by name: every flag of every command is one.
//
//	flag   --gateway URL       essaim imagine --count 3
//	env    ESSAIM_GATEWAY      ESSAIM_IMAGINE_COUNT
//	file   gateway = "URL"     [imagine] count = 3
//
// The file holds no secrets: a passphrase is no flag, and so no setting. What a node does is in
// the node's node.toml, which this package must not read.
package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/essaim/essaim"
)

// FileName is the file's name in the home.
const FileName = "config.toml"

// homeFlag says where the file is, so the file cannot say it.
const homeFlag = "home"

// prefix begins the names of environment variables.
const prefix = "ESSAIM"

// Origin says where a value comes from.
type Origin string

// The origins, the strongest first.
const (
	FromFlag    Origin = "flag"
	FromEnv     Origin = "env"
	FromFile    Origin = "file"
	FromDefault Origin = "default"
)

// Setting is a flag and its value.
type Setting struct {
	Name   string `json:"name"` // with the command's name before it, such as imagine.count
	Env    string `json:"env"`
	Value  string `json:"value"`
	Origin Origin `json:"from"`
}

// Apply gives the flags of cmd that the command line leaves open their values from the
// environment and from the home's file, and says where each value is from.
//
// Errors: CodeBadInput if a variable or the file has a value that the flag does not take, or if
// the file has a key that no command knows.
func Apply(cmd *cobra.Command, getenv func(string) string) ([]Setting, error) {
	home := cmd.Flags().Lookup(homeFlag)
	if v := getenv(Env(cmd.Root(), homeFlag)); v != "" && home != nil && !home.Changed {
		if err := home.Value.Set(v); err != nil {
			return nil, err
		}
	}
	var file table
	if home != nil {
		var err error
		if file, err = read(cmd.Root(), filepath.Join(home.Value.String(), FileName)); err != nil {
			return nil, err
		}
	}
	var out []Setting
	var failed error
	each(cmd, func(owner *cobra.Command, f *pflag.Flag) {
		s, err := apply(owner, f, getenv, file)
		failed = errors.Join(failed, err)
		out = append(out, s)
	})
	return out, failed
}

// each visits the settings of a command: its own flags, and those that all commands share.
func each(cmd *cobra.Command, visit func(owner *cobra.Command, f *pflag.Flag)) {
	shared := cmd.Root().PersistentFlags()
	shared.VisitAll(func(f *pflag.Flag) { visit(cmd.Root(), f) })
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if shared.Lookup(f.Name) == nil && isSetting(f) {
			visit(cmd, f)
		}
	})
}

func isSetting(f *pflag.Flag) bool { return f.Name != "help" && f.Name != "version" && !f.Hidden }

// Names are the settings that a file may have, such as gateway and imagine.count.
func Names(root *cobra.Command) []string {
	var out []string
	walk(root, func(cmd *cobra.Command) {
		each(cmd, func(owner *cobra.Command, f *pflag.Flag) {
			if owner == cmd && f.Name != homeFlag {
				out = append(out, name(owner, f.Name))
			}
		})
	})
	return out
}

func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		walk(sub, visit)
	}
}

// apply gives one flag its value.
func apply(owner *cobra.Command, f *pflag.Flag, getenv func(string) string, file table) (Setting, error) {
	s, values := find(owner, f, getenv, file)
	var err error
	if s.Origin == FromEnv || s.Origin == FromFile {
		where := s.Env
		if s.Origin == FromFile {
			where = s.Name + " in " + FileName
		}
		if err = set(f, values); err != nil {
			err = essaim.Errorf(essaim.CodeBadInput, "--"+f.Name+" is: "+f.Usage, "%s: %w", where, err)
		}
	}
	return s, err
}

// find says what a flag is to be, and changes nothing.
func find(owner *cobra.Command, f *pflag.Flag, getenv func(string) string, file table) (Setting, []string) {
	s := Setting{Name: name(owner, f.Name), Env: Env(owner, f.Name), Value: f.Value.String(), Origin: FromDefault}
	var values []string
	if f.Changed {
		s.Origin = FromFlag
	} else if text := getenv(s.Env); text != "" {
		s.Origin, values = FromEnv, split(f, text)
	} else if v, ok := file[s.Name]; ok {
		s.Origin, values = FromFile, v
	}
	if values != nil {
		s.Value = strings.Join(values, ",")
	}
	return s, values
}

// set gives a flag its value as if the command line had.
func set(f *pflag.Flag, values []string) error {
	f.Changed = true
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.Replace(values)
	}
	if len(values) != 1 {
		return errors.New("it is one value, no list")
	}
	return f.Value.Set(values[0])
}

// split reads a variable: a list is parted by commas.
func split(f *pflag.Flag, text string) []string {
	if _, ok := f.Value.(pflag.SliceValue); ok {
		return strings.Split(text, ",")
	}
	return []string{text}
}

// Env is the variable of a flag: ESSAIM_GATEWAY, or of a command's own, ESSAIM_IMAGINE_COUNT.
func Env(owner *cobra.Command, flag string) string {
	return prefix + "_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(name(owner, flag)))
}

// name is a flag's with its command's before it.
func name(owner *cobra.Command, flag string) string {
	path := strings.Fields(owner.CommandPath())[1:]
	return strings.Join(append(path, flag), ".")
}

// table is what the file says, by the setting's name.
type table map[string][]string

// read reads the file and compares its keys with what commands there are. No file says nothing.
func read(root *cobra.Command, path string) (table, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "make it readable, or remove it", "read the settings: %w", err)
	}
	var raw map[string]any
	if err := toml.Unmarshal(b, &raw); err != nil {
		where := ""
		if at := new(toml.DecodeError); errors.As(err, &at) {
			line, _ := at.Position()
			where = fmt.Sprintf(", line %d", line)
		}
		return nil, essaim.Errorf(essaim.CodeBadInput, `write it like: gateway = "http://…"`, "%s%s is no TOML: %w", path, where, err)
	}
	out := table{}
	if err := flatten(raw, "", out); err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "write text, a number, true, false, or a list of these", "%s: %w", path, err)
	}
	known := Names(root)
	for key := range out {
		if !slices.Contains(known, key) {
			return nil, essaim.Errorf(essaim.CodeBadInput, hint(key, known), "%s: no setting is called %s", path, key)
		}
	}
	return out, nil
}

func flatten(from map[string]any, at string, into table) error {
	for key, v := range from {
		switch v := v.(type) {
		case map[string]any:
			if err := flatten(v, at+key+".", into); err != nil {
				return err
			}
		case []any:
			into[at+key] = []string{}
			for _, x := range v {
				text, err := scalar(at+key, x)
				if err != nil {
					return err
				}
				into[at+key] = append(into[at+key], text)
			}
		default:
			text, err := scalar(at+key, v)
			if err != nil {
				return err
			}
			into[at+key] = []string{text}
		}
	}
	return nil
}

func scalar(key string, v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool, int64, float64:
		return fmt.Sprint(v), nil
	}
	return "", fmt.Errorf("%s is neither text, a number, true, false nor a list of these", key)
}
