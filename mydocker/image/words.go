package image

import (
	"errors"
	"fmt"
	"strings"
)

// splitWords cuts a Dockerfile line at blanks that are neither quoted nor
// escaped. Quotes stay, for expand.
func splitWords(line string) []string {
	var words []string
	var word strings.Builder
	quote := byte(0)
	for n := 0; n < len(line); n++ {
		b := line[n]
		switch {
		case quote == 0 && (b == ' ' || b == '\t'):
			if word.Len() > 0 {
				words = append(words, word.String())
				word.Reset()
			}
			continue
		case b == '\\' && quote != '\'' && n+1 < len(line):
			word.WriteByte(b)
			n++
			b = line[n]
		case quote == 0 && (b == '"' || b == '\''):
			quote = b
		case b == quote:
			quote = 0
		}
		word.WriteByte(b)
	}
	if word.Len() > 0 {
		words = append(words, word.String())
	}
	return words
}

// expand removes quotes and replaces variables ($A, ${A}, ${A:-B}, ${A:+B}) as
// the Dockerfile reference describes under "environment replacement".
func expand(word string, env []string) (string, error) {
	var out strings.Builder
	quote := byte(0)
	for n := 0; n < len(word); n++ {
		b := word[n]
		switch {
		case b == '\\' && quote != '\'' && n+1 < len(word):
			n++
			if quote == '"' && !strings.ContainsRune("\"$\\", rune(word[n])) {
				out.WriteByte('\\')
			}
			out.WriteByte(word[n])
		case quote == 0 && (b == '"' || b == '\''):
			quote = b
		case quote != 0 && b == quote:
			quote = 0
		case b == '$' && quote != '\'':
			value, length, err := variable(word[n+1:], env)
			if err != nil {
				return "", err
			}
			out.WriteString(value)
			n += length
		default:
			out.WriteByte(b)
		}
	}
	if quote != 0 {
		return "", errors.New("unexpected end of statement while looking for matching quote")
	}
	return out.String(), nil
}

// variable reads what follows a dollar sign and how long it is.
func variable(text string, env []string) (value string, length int, err error) {
	if !strings.HasPrefix(text, "{") {
		name := identifier(text)
		if name == "" {
			return "$", 0, nil
		}
		return lookup(env, name), len(name), nil
	}
	end := closing(text)
	if end < 0 {
		return "", 0, fmt.Errorf("syntax error: missing '}' in $%s", text)
	}
	name := identifier(text[1:])
	set := lookup(env, name)
	switch rest := text[1+len(name) : end]; {
	case name == "":
		return "", 0, fmt.Errorf("syntax error: bad substitution $%s", text[:end+1])
	case rest == "":
		return set, end + 1, nil
	case strings.HasPrefix(rest, ":-"), strings.HasPrefix(rest, ":+"):
		if (set == "") == (rest[1] == '-') {
			set, err = expand(rest[2:], env)
		} else if rest[1] == '+' {
			set = ""
		}
		return set, end + 1, err
	default:
		return "", 0, fmt.Errorf("unsupported modifier (%s) in substitution", rest)
	}
}

// closing finds the brace that ends text, which begins with one.
func closing(text string) int {
	depth := 0
	for n := 0; n < len(text); n++ {
		switch text[n] {
		case '\\':
			n++
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return n
			}
		}
	}
	return -1
}

func identifier(text string) string {
	n := 0
	for n < len(text) && (text[n] == '_' || text[n]|0x20 >= 'a' && text[n]|0x20 <= 'z' || n > 0 && text[n] >= '0' && text[n] <= '9') {
		n++
	}
	return text[:n]
}

func lookup(env []string, name string) string {
	for _, pair := range env {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}
