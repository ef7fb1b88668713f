package registry

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"minidocker/mydocker/trace"
)

const (
	attempts = 6                      // of one request: the first and five more
	backoff  = 100 * time.Millisecond // before the second attempt; doubled for each further one
	patience = time.Minute            // the longest Retry-After that is obeyed, and wait for a byte

	maxManifest = 4 << 20 // bytes; the distribution spec's advice
)

// endpoint is one server that answers for a repository, and as an http.RoundTripper
// what requests to it go through: with credentials, and once more when the server is
// busy or the connection breaks.
type endpoint struct {
	repository name.Repository
	schemes    []string // to try in this order; the one that works is left
	transport  *http.Transport
	auth       authn.Authenticator
	scopes     []string // of tokens: repository:NAME:ACTIONS

	mu            sync.Mutex
	reached       bool
	challenge     *transport.Challenge // nil: everybody may ask
	authorization string               // header; empty: it is to be made
}

// url is an address at the server, which was reached.
func (e *endpoint) url(path string) string {
	return e.schemes[0] + "://" + e.repository.RegistryStr() + "/v2/" + path
}

// reach finds out how the server is to be spoken with, by its root (distribution
// spec, end-1): HTTPS or not, and with what kind of credentials.
func (e *endpoint) reach(ctx context.Context) (err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, scheme := range e.schemes {
		if e.reached {
			return nil
		}
		var request *http.Request
		var response *http.Response
		if request, err = http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+e.repository.RegistryStr()+"/v2/", nil); err != nil {
			return err
		}
		if response, err = (&http.Client{Transport: persistent{e.transport}}).Do(request); err != nil {
			continue
		}
		if busy(response.StatusCode) {
			err = transport.CheckError(response)
		}
		drain(response)
		if err != nil {
			return err
		}
		e.schemes, e.reached = []string{scheme}, true
		if response.StatusCode == http.StatusUnauthorized {
			e.challenge = challengeOf(response)
		}
	}
	return err
}

// persistent asks once more when the server is busy or the connection breaks.
type persistent struct{ http.RoundTripper }

func (p persistent) RoundTrip(request *http.Request) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		trace.Step("http", "%s %s", request.Method, request.URL.Redacted())
		response, err := p.RoundTripper.RoundTrip(request)
		wait := retryAfter(response)
		again := err != nil && Temporary(err) || err == nil && busy(response.StatusCode) && wait <= patience
		// An upload is repeated from its beginning, by who began it.
		if !again || attempt == attempts || request.Method == http.MethodPatch {
			return response, err
		}
		if err == nil {
			drain(response)
		}
		if err := pause(request.Context(), max(wait, backoff<<(attempt-1))); err != nil {
			return nil, err
		}
		if request.GetBody != nil {
			request = request.Clone(request.Context())
			if request.Body, err = request.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

// RoundTrip adds credentials to what goes to the registry itself, and renews them once
// if they have expired. A redirection leads elsewhere, without.
func (e *endpoint) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Host != e.repository.RegistryStr() {
		return persistent{e.transport}.RoundTrip(request)
	}
	for attempt := 1; ; attempt++ {
		authorization, err := e.authorize(request.Context())
		if err != nil {
			return nil, err
		}
		request = request.Clone(request.Context())
		request.URL.Scheme = e.schemes[0] // the library would choose it by the host's name
		request.Header.Set("User-Agent", "mydocker")
		if authorization != "" {
			request.Header.Set("Authorization", authorization)
		}
		response, err := persistent{e.transport}.RoundTrip(request)
		if err != nil || response.StatusCode != http.StatusUnauthorized {
			return response, err
		}
		challenge := challengeOf(response)
		if challenge == nil || attempt == 2 || request.Body != nil && request.GetBody == nil {
			return denied(response, challenge), nil
		}
		drain(response)
		if request.GetBody != nil {
			if request.Body, err = request.GetBody(); err != nil {
				return nil, err
			}
		}
		e.mu.Lock()
		if e.authorization == authorization { // nobody else has renewed it
			e.challenge, e.authorization = challenge, ""
		}
		e.mu.Unlock()
	}
}

// denied puts in the body, where the library reads, what RFC 6750 (3.1) has in a
// header: that a token does not suffice.
func denied(response *http.Response, challenge *transport.Challenge) *http.Response {
	if challenge != nil && challenge.Parameters["error"] == "insufficient_scope" {
		drain(response)
		body := []byte(`{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}`)
		response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	return response
}

// authorize gives the Authorization header: credentials as they are, or a token that
// is given for them.
func (e *endpoint) authorize(ctx context.Context) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.challenge == nil || e.authorization != "" {
		return e.authorization, nil
	}
	config, err := authn.Authorization(ctx, e.auth)
	if err != nil {
		return "", err
	}
	switch {
	case config.RegistryToken != "":
		e.authorization = "Bearer " + config.RegistryToken
	case e.challenge.Scheme == "bearer":
		token, err := e.token(ctx)
		if err != nil {
			return "", err
		}
		e.authorization = "Bearer " + cmp.Or(token.AccessToken, token.Token)
	case config.Username == "":
		return "", errors.New("no basic auth credentials")
	default:
		request := http.Request{Header: http.Header{}}
		request.SetBasicAuth(config.Username, config.Password)
		e.authorization = request.Header.Get("Authorization")
	}
	return e.authorization, nil
}

// token asks the server that the challenge names. The library refuses one at a private
// address unless it is the registry's, so it is told that it is.
func (e *endpoint) token(ctx context.Context) (*transport.Token, error) {
	realm, err := url.Parse(e.challenge.Parameters["realm"])
	if err != nil || realm.Host == "" {
		return nil, fmt.Errorf("no realm in the registry's challenge: %v", e.challenge.Parameters)
	}
	server, err := name.NewRegistry(realm.Host)
	if err != nil {
		return nil, err
	}
	token, err := transport.Exchange(ctx, server, e.auth, persistent{e.transport}, e.scopes, e.challenge)
	return token, words(err)
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

// retryAfter is how long the server asks to be left alone (RFC 9110, 10.2.3).
func retryAfter(response *http.Response) time.Duration {
	if response == nil {
		return 0
	}
	text := response.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return time.Until(at)
	}
	return 0
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func busy(status int) bool { return status == http.StatusTooManyRequests || status >= 500 }

// Temporary reports whether an error is of a kind that goes away: the server was
// busy, or the connection broke. That there is no server, or the wrong one, is not.
func Temporary(err error) bool {
	var status *Error
	if errors.As(words(err), &status) {
		return busy(status.Status)
	}
	var network *net.OpError
	if errors.As(err, &network) { // a TLS alert is a "remote error"
		return network.Op != "dial" && network.Op != "remote error"
	}
	var timeout net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errStalled) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, &timeout) && timeout.Timeout() && !errors.Is(err, context.DeadlineExceeded)
}

func drain(response *http.Response) {
	io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be used again
	response.Body.Close()
}
