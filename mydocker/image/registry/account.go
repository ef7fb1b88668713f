package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
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
	keep, err := searchFilter(filters)
	if err != nil {
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
		host = name.DefaultRegistry
	case host == "docker.io" || host == name.DefaultRegistry:
		host, term = name.DefaultRegistry, rest
	default:
		term = rest
	}
	if host == name.DefaultRegistry {
		term = strings.TrimPrefix(term, "library/")
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
	query := url.Values{"q": {term}, "n": {strconv.Itoa(limit)}}.Encode()
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
	results := []api.SearchResult{}
	for _, result := range found.Results {
		if keep(result) {
			results = append(results, result)
		}
	}
	return results, nil
}

// searchFilter makes one condition of Docker's filters.
func searchFilter(filters map[string][]string) (func(api.SearchResult) bool, error) {
	flags, stars := map[string]bool{}, 0
	for filter, values := range filters {
		for _, value := range values {
			var err error
			switch filter {
			case "is-official", "is-automated":
				flags[filter], err = strconv.ParseBool(value)
			case "stars":
				var n int
				n, err = strconv.Atoi(value)
				stars = max(stars, n)
			default:
				return nil, fmt.Errorf("invalid filter '%s'", filter)
			}
			if err != nil {
				return nil, fmt.Errorf("invalid filter '%s=%s'", filter, value)
			}
		}
	}
	return func(r api.SearchResult) bool {
		official, byOfficial := flags["is-official"]
		automated, byAutomated := flags["is-automated"]
		return (!byOfficial || official == r.IsOfficial) && (!byAutomated || automated == r.IsAutomated) && r.StarCount >= stars
	}, nil
}
