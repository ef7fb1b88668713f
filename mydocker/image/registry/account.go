package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	api "github.com/moby/moby/api/types/registry"
)

// Login checks credentials with a registry ("": docker.io). token, if not empty, is
// what to keep instead of the password.
func (c *Client) Login(ctx context.Context, server, user, password string) (token string, err error) {
	host, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(server, "https://"), "http://"), "/")
	if host == "" || host == "docker.io" || host == name.DefaultRegistry {
		host = hub
	}
	e, err := c.endpoint(ctx, host, "login", name.Registry{})
	if err != nil {
		return "", err
	}
	e.auth = authn.FromConfig(authn.AuthConfig{Username: user, Password: password})
	if err := e.reach(ctx); err != nil {
		return "", err
	}
	root := e.schemes[0] + "://" + host + "/v2/"
	if e.challenge != nil && e.challenge.Scheme == "bearer" {
		given, err := e.token(ctx)
		if err != nil {
			return "", fmt.Errorf("Get %q: %w", root, err)
		}
		return given.RefreshToken, nil
	}
	response, err := e.get(ctx, e, "/v2/")
	if err != nil {
		return "", err
	}
	drain(response)
	if response.StatusCode != http.StatusOK {
		err = fmt.Errorf("login attempt to %s failed with status: %s", root, response.Status)
	}
	return "", err
}

// Search asks docker.io, or the host that term begins with, for repositories, at most
// limit of them (1 to 100; 0: 25). filters are is-official, is-automated and stars.
func (c *Client) Search(ctx context.Context, term string, limit int, filters map[string][]string) ([]api.SearchResult, error) {
	if _, err := keeps(filters, api.SearchResult{}); err != nil {
		return nil, err
	}
	if limit == 0 {
		limit = 25
	}
	if limit < 0 || limit > 100 {
		return nil, fmt.Errorf("limit %d is outside the range of [1, 100]", limit)
	}
	host, rest, ok := strings.Cut(term, "/")
	switch {
	case !ok || !strings.ContainsAny(host, ".:") && host != "localhost":
		host, rest = name.DefaultRegistry, term
	case host == "docker.io":
		host = name.DefaultRegistry
	}
	if host == name.DefaultRegistry {
		rest = strings.TrimPrefix(rest, "library/")
	}
	registry, err := name.NewRegistry(host)
	if err != nil {
		return nil, err
	}
	e, err := c.endpoint(ctx, host, "search", registry)
	if err != nil {
		return nil, err
	}
	if config, err := authn.Authorization(ctx, e.auth); err == nil && config.Username != "" {
		e.challenge = &transport.Challenge{Scheme: "basic"}
	}
	query := url.Values{"q": {rest}, "n": {strconv.Itoa(limit)}}.Encode()
	response, err := e.get(ctx, e, "/v1/search?"+query)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("Unexpected status code %d", response.StatusCode)
	}
	var found api.SearchResults
	if err := json.NewDecoder(io.LimitReader(response.Body, 16<<20)).Decode(&found); err != nil {
		return nil, fmt.Errorf("read the search results of %s: %w", host, err)
	}
	return slices.DeleteFunc(append([]api.SearchResult{}, found.Results...), func(r api.SearchResult) bool {
		keep, _ := keeps(filters, r)
		return !keep
	}), nil
}

// keeps reports whether Docker's filters let a search result through.
func keeps(filters map[string][]string, r api.SearchResult) (keep bool, err error) {
	keep = true
	for filter, values := range filters {
		for _, value := range values {
			flag, wrong := strconv.ParseBool(value)
			switch filter {
			case "is-official":
				keep = keep && flag == r.IsOfficial
			case "is-automated":
				keep = keep && flag == r.IsAutomated
			case "stars":
				var stars int
				stars, wrong = strconv.Atoi(value)
				keep = keep && r.StarCount >= stars
			default:
				return false, fmt.Errorf("invalid filter '%s'", filter)
			}
			if wrong != nil {
				return false, fmt.Errorf("invalid filter '%s=%s'", filter, value)
			}
		}
	}
	return keep, nil
}
