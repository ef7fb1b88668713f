package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Error is a registry's refusal, in the words Docker has for it.
type Error struct {
	Status int    // of HTTP
	Code   string // of the distribution spec, such as MANIFEST_UNKNOWN; empty: the registry gave none
	text   string
}

func (e *Error) Error() string { return e.text }

// errDenied: what is asked for is another's.
var errDenied = &Error{http.StatusUnauthorized, string(transport.DeniedErrorCode), "denied: requested access to the resource is denied"}

// words makes an Error of the library's; any other stays.
func words(err error) error {
	if errors.Is(err, errDenied) {
		return errDenied
	}
	var from *transport.Error
	if !errors.As(err, &from) {
		return err
	}
	e := &Error{Status: from.StatusCode, text: from.Error()}
	list := from.Errors
	if len(list) == 0 && e.Status == http.StatusUnauthorized {
		// Token servers explain themselves in another form, which the library has
		// only in its text.
		var other struct{ Details string }
		_, body, _ := strings.Cut(e.text, "Unauthorized: ")
		json.Unmarshal([]byte(body), &other)
		if other.Details == "" {
			other.Details = "authentication required"
		}
		list = []transport.Diagnostic{{Code: transport.UnauthorizedErrorCode, Message: other.Details}}
	}
	var texts []string
	for _, d := range list {
		text := strings.ToLower(strings.ReplaceAll(string(d.Code), "_", " "))
		if d.Message != "" {
			text += ": " + d.Message
		}
		texts = append(texts, text)
	}
	switch {
	case e.Status >= 500:
		e.text = fmt.Sprintf("received unexpected HTTP status: %d %s", e.Status, http.StatusText(e.Status))
	case len(list) == 1:
		e.text = texts[0]
	case len(list) > 1:
		e.text = "errors:\n" + strings.Join(texts, "\n") + "\n"
	}
	if len(list) > 0 {
		e.Code = string(list[0].Code)
	}
	e.text = strings.Map(func(r rune) rune { // it is for a terminal, which a server must not control
		if unicode.IsControl(r) && r != '\n' {
			return -1
		}
		return r
	}, e.text)
	return e
}
