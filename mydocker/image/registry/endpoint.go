package registry

import (
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
	patience = time.Minute            // the longest Retry-After that is obeyed
)

// endpoint is one server that answers for a repository.
type endpoint struct {
	host    string
	schemes []string // to try in this order; the one that works is left
	client  *http.Client
	auth    authn.Authenticator
	scopes  []string // of tokens: repository:NAME:ACTIONS

	mu            sync.Mutex
	reached       bool
	challenge     *transport.Challenge // nil: everybody may ask
	authorization string               // header; empty: it is to be made
}

// url is an address at the server, which was reached.
func (e *endpoint) url(format string, args ...any) string {
	return e.schemes[0] + "://" + e.host + "/v2/" + fmt.Sprintf(format, args...)
}

// reach finds out how the server is to be spoken with, by its root (distribution
// spec, end-1): HTTPS or not, and with what kind of credentials.
func (e *endpoint) reach(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.reached {
		return nil
	}
	var err error
	for _, scheme := range e.schemes {
		var response *http.Response
		if response, err = e.send(ctx, http.MethodGet, scheme+"://"+e.host+"/v2/", nil, nil); err != nil {
			continue
		}
		drain(response)
		e.schemes, e.reached = []string{scheme}, true
		if response.StatusCode == http.StatusUnauthorized {
			e.challenge = challengeOf(response)
		}
		return nil
	}
	return err
}

// send asks once more when the connection breaks or the server is busy. body (nil:
// none) is opened for each attempt.
func (e *endpoint) send(ctx context.Context, method, address string, header http.Header, body *Body) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		trace.Step("http", "%s %s", method, address)
		response, err := e.sendOnce(ctx, method, address, header, body)
		var wait time.Duration
		if err == nil && !busy(response.StatusCode) {
			return response, nil
		} else if err == nil {
			wait = retryAfter(response)
			err = errorOf(response)
		}
		if attempt == attempts || !Temporary(err) || wait > patience || method == http.MethodPatch { // of an upload all of it is repeated
			return nil, err
		}
		if err := pause(ctx, max(wait, backoff<<(attempt-1))); err != nil {
			return nil, err
		}
	}
}

func (e *endpoint) sendOnce(ctx context.Context, method, address string, header http.Header, body *Body) (*http.Response, error) {
	var content io.ReadCloser
	if body != nil {
		var err error
		if content, err = body.Open(); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, address, content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.ContentLength, request.GetBody = body.Size, body.Open
		if body.Size == 0 {
			request.Body = http.NoBody
		}
	}
	for key, values := range header {
		request.Header[key] = values
	}
	request.Header.Set("User-Agent", "mydocker")
	return e.client.Do(request)
}

// Body is what a request sends. It may be opened more than once.
type Body struct {
	Open func() (io.ReadCloser, error)
	Size int64
}

// do is send with credentials, which are renewed when they have expired. Any
// status but those in ok is an error in Docker's words.
func (e *endpoint) do(ctx context.Context, method, address string, header http.Header, body *Body, ok ...int) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		authorization, err := e.authorize(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", method[:1]+strings.ToLower(method[1:]), address, err)
		}
		if header = header.Clone(); header == nil {
			header = http.Header{}
		}
		if u, err := url.Parse(address); err == nil && u.Host == e.host && authorization != "" {
			header.Set("Authorization", authorization)
		}
		response, err := e.send(ctx, method, address, header, body)
		if err != nil {
			return nil, err
		}
		for _, status := range ok {
			if response.StatusCode == status {
				return response, nil
			}
		}
		challenge := challengeOf(response)
		if response.StatusCode != http.StatusUnauthorized || attempt == 2 || challenge == nil {
			return nil, errorOf(response)
		}
		drain(response)
		e.mu.Lock()
		if e.challenge, e.authorization = challenge, ""; challenge.Parameters["scope"] != "" && len(e.scopes) == 0 {
			e.scopes = []string{challenge.Parameters["scope"]}
		}
		e.mu.Unlock()
	}
}

// authorize gives the Authorization header: credentials as they are, or a token that
// is given for them.
func (e *endpoint) authorize(ctx context.Context) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.challenge == nil || e.authorization != "" {
		return e.authorization, nil
	}
	if !strings.EqualFold(e.challenge.Scheme, "bearer") {
		config, err := authn.Authorization(ctx, e.auth)
		if err != nil {
			return "", err
		}
		if config.Username == "" {
			return "", errors.New("no basic auth credentials")
		}
		request := http.Request{Header: http.Header{}}
		request.SetBasicAuth(config.Username, config.Password)
		e.authorization = request.Header.Get("Authorization")
		return e.authorization, nil
	}
	token, err := e.token(ctx)
	if err != nil {
		return "", err
	}
	e.authorization = "Bearer " + cmp.Or(token.AccessToken, token.Token)
	return e.authorization, nil
}

// token asks the server that the challenge names. The library would refuse a
// private address, unless it is that of the registry it is told of.
func (e *endpoint) token(ctx context.Context) (*transport.Token, error) {
	config, err := authn.Authorization(ctx, e.auth)
	if err != nil {
		return nil, err
	}
	if config.RegistryToken != "" {
		return &transport.Token{Token: config.RegistryToken}, nil
	}
	realm, err := url.Parse(e.challenge.Parameters["realm"])
	if err != nil || realm.Host == "" {
		return nil, fmt.Errorf("no realm in the registry's challenge: %v", e.challenge.Parameters)
	}
	server, err := name.NewRegistry(realm.Host)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		token, err := transport.Exchange(ctx, server, e.auth, e.client.Transport, e.scopes, e.challenge)
		var status *transport.Error
		if errors.As(err, &status) {
			err = translate(status)
		}
		if err == nil || attempt == attempts || !Temporary(err) {
			return token, err
		}
		if err := pause(ctx, backoff<<(attempt-1)); err != nil {
			return nil, err
		}
	}
}

func busy(status int) bool { return status == http.StatusTooManyRequests || status >= 500 }

// retryAfter is how long the server asks to be left alone (RFC 9110, 10.2.3).
func retryAfter(response *http.Response) time.Duration {
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

// Temporary reports whether an error is of a kind that goes away: the server was
// busy, or the connection broke. That there is no server, or the wrong one, is not.
func Temporary(err error) bool {
	var status *Error
	if errors.As(err, &status) {
		return busy(status.Status)
	}
	var dial *net.OpError
	if errors.Is(err, context.Canceled) || errors.As(err, &dial) && (dial.Op == "dial" || dial.Op == "remote error") { // that is a TLS alert
		return false
	}
	for _, broken := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, errStalled} {
		if errors.Is(err, broken) {
			return true
		}
	}
	var timeout net.Error
	return errors.As(err, &dial) || errors.As(err, &timeout) && timeout.Timeout()
}

func drain(response *http.Response) {
	io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be used again
	response.Body.Close()
}
