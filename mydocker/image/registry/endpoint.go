package registry

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"minidocker/mydocker/trace"
)

// patience is how long a connection may stand still, and the longest wait a server may ask for.
const patience = 2 * time.Minute

// endpoint is one server that answers for a repository. As an http.RoundTripper it
// adds credentials.
type endpoint struct {
	wire
	repository name.Repository
	schemes    []string // to try in this order; the first that works is left
	auth       authn.Authenticator
	scopes     []string // of tokens: repository:NAME:ACTIONS

	mu            sync.Mutex
	reached       bool
	challenge     *transport.Challenge // nil: everybody may ask
	authorization string               // header; empty: it is to be made
}

// get asks for what is at a path of the server, by the first scheme that works.
func (e *endpoint) get(ctx context.Context, through http.RoundTripper, path string) (response *http.Response, err error) {
	for _, scheme := range e.schemes {
		var request *http.Request
		request, err = http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+e.repository.RegistryStr()+path, nil)
		if err == nil {
			response, err = (&http.Client{Transport: through}).Do(request)
		}
		if err == nil {
			e.schemes = []string{scheme}
			break
		}
	}
	return response, err
}

// reach finds out how the server is to be spoken with, by its root (distribution
// spec, end-1): HTTPS or not, and with what kind of credentials.
func (e *endpoint) reach(ctx context.Context) (err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.reached {
		return nil
	}
	response, err := e.get(ctx, &e.wire, "/v2/")
	if err != nil {
		return err
	}
	defer drain(response)
	if busy(response.StatusCode) {
		return transport.CheckError(response)
	}
	if e.reached = true; response.StatusCode == http.StatusUnauthorized {
		e.challenge = e.challengeOf(response)
	}
	return nil
}

// RoundTrip adds credentials to what goes to the registry itself, and renews them once
// if they have expired. A redirection leads elsewhere, without.
func (e *endpoint) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Host != e.repository.RegistryStr() {
		return e.wire.RoundTrip(request)
	}
	for renewed := false; ; renewed = true {
		authorization, err := e.authorize(request.Context())
		if err != nil {
			return nil, err
		}
		request = request.Clone(request.Context())
		if len(e.schemes) == 1 {
			request.URL.Scheme = e.schemes[0] // the library would choose it by the host's name
		}
		request.Header.Set("User-Agent", "mydocker")
		if authorization != "" {
			request.Header.Set("Authorization", authorization)
		}
		response, err := e.wire.RoundTrip(request)
		if err != nil || response.StatusCode != http.StatusUnauthorized {
			return response, err
		}
		challenge := e.challengeOf(response)
		if challenge == nil || renewed {
			if challenge != nil && challenge.Parameters["error"] == "insufficient_scope" { // RFC 6750, 3.1
				drain(response)
				return nil, errDenied
			}
			return response, nil
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

// authorize gives the Authorization header: credentials as they are, or a token that
// is given for them.
func (e *endpoint) authorize(ctx context.Context) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.challenge == nil || e.authorization != "" {
		return e.authorization, nil
	}
	config, err := authn.Authorization(ctx, e.auth)
	switch {
	case err != nil:
		return "", err
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
		e.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(config.Username+":"+config.Password))
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
	token, err := transport.Exchange(ctx, server, e.auth, &e.wire, e.scopes, e.challenge)
	return token, words(err)
}

// challengeOf reads how a registry wants to be asked (RFC 9110, 11.6.1), nil: it does
// not say. Of several ways bearer is taken, or else basic.
func (e *endpoint) challengeOf(response *http.Response) (found *transport.Challenge) {
	parameters := regexp.MustCompile(`(\w+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))`)
	for _, text := range response.Header.Values("WWW-Authenticate") {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
		c := &transport.Challenge{Scheme: strings.ToLower(scheme), Parameters: map[string]string{}, Insecure: e.schemes[0] == "http"}
		for _, p := range parameters.FindAllStringSubmatch(rest, -1) {
			c.Parameters[strings.ToLower(p[1])] = p[2] + p[3]
		}
		if c.Scheme == "bearer" || c.Scheme == "basic" && found == nil {
			found = c
		}
	}
	return found
}

// wire is the connections to a server, and to those it redirects to.
type wire struct {
	*http.Transport
	later atomic.Pointer[time.Time] // when the server wants to be asked again
}

func (w *wire) RoundTrip(request *http.Request) (*http.Response, error) {
	trace.Step("http", "%s %s://%s%s", request.Method, request.URL.Scheme, request.URL.Host, request.URL.Path) // what follows may be secret
	response, err := w.Transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	text := response.Header.Get("Retry-After") // RFC 9110, 10.2.3
	at, err := http.ParseTime(text)
	if seconds, nerr := strconv.Atoi(text); nerr == nil {
		at, err = time.Now().Add(time.Duration(seconds)*time.Second), nil
	}
	if err == nil && busy(response.StatusCode) {
		w.later.Store(&at)
	}
	return response, nil
}

// lively is a connection that breaks when nothing moves for too long.
type lively struct{ net.Conn }

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: patience / 4}).DialContext(ctx, network, address)
	return lively{c}, err
}

func (l lively) Read(p []byte) (int, error) {
	l.SetDeadline(time.Now().Add(patience))
	return l.Conn.Read(p)
}

func (l lively) Write(p []byte) (int, error) {
	l.SetDeadline(time.Now().Add(patience)) // also of a read under way: an answer comes after the question
	return l.Conn.Write(p)
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
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, &timeout) && timeout.Timeout() && !errors.Is(err, context.DeadlineExceeded)
}

func drain(response *http.Response) {
	io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be used again
	response.Body.Close()
}
