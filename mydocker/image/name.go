package image

import "strings"

// Name is an image's name as a user gave it.
type Name struct {
	Short, Repository    string // as Docker shows it: busybox:latest (the tag if none was named), and without tag or digest
	Full, FullRepository string // with the registry: docker.io/library/busybox:latest
	Explicit             bool   // the user named a tag or digest
}

// ParseName reads a name; the error matches ErrInvalid.
func ParseName(text string) (n Name, err error) {
	if n.Short, err = normalize(text); err != nil {
		return n, err
	}
	n.Repository = repositoryOf(n.Short)
	n.Full, n.FullRepository = fullName(n.Short), fullName(n.Repository)
	n.Explicit = strings.ContainsAny(text[strings.LastIndex(text, "/")+1:], ":@")
	return n, nil
}
