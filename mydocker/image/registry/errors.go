package registry

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Error is a registry's refusal, in the words Docker has for it.
type Error struct {
	Status int    // of HTTP
	Code   string // of the distribution spec, such as MANIFEST_UNKNOWN; empty: the registry gave none
	Text   string
}

func (e *Error) Error() string { return e.Text }

// errorOf makes an error of a response, and closes it. That a token does not suffice
// is said in a header (RFC 6750, 3.1), which counts before the body.
func errorOf(response *http.Response) error {
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if response.StatusCode >= 500 {
		return &Error{Status: response.StatusCode, Text: "received unexpected HTTP status: " + response.Status}
	}
	if c := challengeOf(response); c != nil {
		switch c.Parameters["error"] {
		case "insufficient_scope":
			return diagnosed(response.StatusCode, transport.Diagnostic{Code: transport.DeniedErrorCode, Message: c.Parameters["error_description"]})
		case "invalid_token":
			return diagnosed(response.StatusCode, transport.Diagnostic{Code: transport.UnauthorizedErrorCode, Message: c.Parameters["error_description"]})
		}
	}
	return parsed(response.StatusCode, body)
}

// parsed makes an error of a body as the distribution spec has it, or of another.
func parsed(status int, body []byte) error {
	var reply struct {
		Errors  []transport.Diagnostic
		Details string // token servers
		Message string
	}
	err := json.Unmarshal(body, &reply)
	if err == nil && len(reply.Errors) > 0 {
		return diagnosed(status, reply.Errors...)
	}
	if err == nil && reply.Details != "" {
		code := map[int]transport.ErrorCode{401: transport.UnauthorizedErrorCode, 429: transport.TooManyRequestsErrorCode}[status]
		return diagnosed(status, transport.Diagnostic{Code: code, Message: reply.Details})
	}
	if status == http.StatusUnauthorized {
		return diagnosed(status, transport.Diagnostic{Code: transport.UnauthorizedErrorCode})
	}
	if err == nil {
		err = fmt.Errorf("no error details found in HTTP response body")
	}
	return &Error{Status: status, Text: fmt.Sprintf("error parsing HTTP %d response body: %v: %q", status, err, body)}
}

// diagnosed is an error of one or more codes.
func diagnosed(status int, list ...transport.Diagnostic) error {
	texts := make([]string, len(list))
	for n, d := range list {
		message := d.Message
		if message == "" {
			switch d.Code {
			case transport.UnauthorizedErrorCode:
				message = "authentication required"
			case transport.DeniedErrorCode:
				message = "requested access to the resource is denied"
			case "":
				message = "unknown error"
			default:
				message = strings.ToLower(strings.ReplaceAll(string(d.Code), "_", " "))
			}
		}
		code := string(d.Code)
		if code == "" {
			code = "UNKNOWN"
		}
		texts[n] = strings.ToLower(strings.ReplaceAll(code, "_", " ")) + ": " + message
	}
	text := texts[0]
	if len(texts) > 1 {
		text = "errors:\n" + strings.Join(texts, "\n") + "\n"
	}
	return &Error{Status: status, Code: string(list[0].Code), Text: text}
}

// translate puts the library's error, of a token server, in Docker's words.
func translate(err *transport.Error) error {
	switch {
	case err.StatusCode >= 500:
		return &Error{Status: err.StatusCode, Text: fmt.Sprintf("received unexpected HTTP status: %d %s", err.StatusCode, http.StatusText(err.StatusCode))}
	case len(err.Errors) > 0:
		return diagnosed(err.StatusCode, err.Errors...)
	}
	// The library keeps the body to itself, at the end of its text.
	_, body, _ := strings.Cut(err.Error(), http.StatusText(err.StatusCode)+": ")
	return parsed(err.StatusCode, []byte(body))
}

// challengeOf reads how a registry wants to be asked (RFC 9110, 11.6.1), nil: it does
// not say. Of several ways bearer is taken, or else basic.
func challengeOf(response *http.Response) (found *transport.Challenge) {
	for _, text := range response.Header.Values("WWW-Authenticate") {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
		c := &transport.Challenge{Scheme: strings.ToLower(scheme), Parameters: map[string]string{}, Insecure: response.Request.URL.Scheme == "http"}
		for rest != "" {
			var key, value string
			key, rest, _ = strings.Cut(rest, "=")
			if quoted, ok := strings.CutPrefix(rest, `"`); ok {
				value, rest, _ = strings.Cut(quoted, `"`)
				_, rest, _ = strings.Cut(rest, ",")
			} else {
				value, rest, _ = strings.Cut(rest, ",")
			}
			c.Parameters[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
		if c.Scheme == "bearer" || c.Scheme == "basic" && found == nil {
			found = c
		}
	}
	return found
}
