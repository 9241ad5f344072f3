package trail

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Canonical writes a JSON value in its one form: no white space, the names of an object
// in the order of their bytes, strings with the fewest escapes, whole numbers as they are.
// ok is false for anything else: text that is no JSON, and numbers with a fraction or
// an exponent.
//
// The form is our own code because encoding/json has changed how it escapes between
// versions of Go, and validators must agree on each byte.
func Canonical(text string) (out string, ok bool) {
	if plain(text) {
		return text, true
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", false
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return "", false
	}
	bz, ok := appendJSON(nil, v)
	return string(bz), ok
}

// plain reports whether a text is a string of printable ASCII without escapes, which is its
// own canonical form. Most values are.
func plain(text string) bool {
	n := len(text) - 1
	if n < 1 || text[0] != '"' || text[n] != '"' {
		return false
	}
	for i := 1; i < n; i++ {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func appendJSON(out []byte, v any) (_ []byte, ok bool) {
	switch v := v.(type) {
	case nil:
		return append(out, "null"...), true
	case bool:
		return strconv.AppendBool(out, v), true
	case string:
		return appendString(out, v), true
	case json.Number:
		return append(out, v...), !strings.ContainsAny(string(v), ".eE") && v != "-0"
	case []any:
		return appendList(out, v)
	case map[string]any:
		return appendObject(out, v)
	}
	return out, false
}

func appendList(out []byte, list []any) (_ []byte, ok bool) {
	out = append(out, '[')
	for i, v := range list {
		if i > 0 {
			out = append(out, ',')
		}
		if out, ok = appendJSON(out, v); !ok {
			return out, false
		}
	}
	return append(out, ']'), true
}

func appendObject(out []byte, object map[string]any) (_ []byte, ok bool) {
	out = append(out, '{')
	for i, name := range sortedKeys(object) {
		if i > 0 {
			out = append(out, ',')
		}
		if out, ok = appendJSON(append(appendString(out, name), ':'), object[name]); !ok {
			return out, false
		}
	}
	return append(out, '}'), true
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// appendString quotes text: what JSON forbids inside a string is escaped, in the short way
// if there is one, everything else stays as it is, and bytes that are no UTF-8
// become U+FFFD.
func appendString(out []byte, s string) []byte {
	const short, hex = "\b\f\n\r\t\"\\", "0123456789abcdef"
	out = append(out, '"')
	for _, r := range s {
		switch i := strings.IndexRune(short, r); {
		case i >= 0 && r < utf8.RuneSelf:
			out = append(out, '\\', `bfnrt"\`[i])
		case r < ' ':
			out = append(out, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return append(out, '"')
}
