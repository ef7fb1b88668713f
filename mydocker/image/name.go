package image

import "strings"

// Name is an image's name as a user gave it.
type Name struct {
	Short      string // as Docker shows it, with its tag or digest, or the tag latest: busybox:latest
	Full       string // with its registry: docker.io/library/busybox:latest
	Repository string // Full without the tag or digest
	Explicit   bool   // the user named a tag or digest
}

// ShortRepository is Short without the tag or digest.
func (n Name) ShortRepository() string { return n.Short[:len(n.Short)-len(n.Full)+len(n.Repository)] }

// ParseName reads a name; the error matches ErrInvalid.
func ParseName(text string) (n Name, err error) {
	if n.Short, err = normalize(text); err != nil {
		return n, err
	}
	n.Full = n.Short
	switch domain, _, isLong := strings.Cut(n.Short, "/"); {
	case !isLong:
		n.Full = "docker.io/library/" + n.Short
	case domain != "localhost" && !strings.ContainsAny(domain, ".:") && strings.ToLower(domain) == domain:
		n.Full = "docker.io/" + n.Short
	}
	n.Explicit = strings.ContainsAny(text[strings.LastIndex(text, "/")+1:], ":@")
	n.Repository, _, _ = strings.Cut(n.Full, "@")
	if colon := strings.LastIndex(n.Repository, ":"); colon > strings.LastIndex(n.Repository, "/") {
		n.Repository = n.Repository[:colon]
	}
	return n, nil
}
