package container

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"minidocker/mydocker/disk"
)

// NotFoundError reports that there is no container of that name or ID.
type NotFoundError struct{ Ref string }

func (e *NotFoundError) Error() string { return "No such container: " + e.Ref }

// Resolve finds the ID of the container a user calls ref, in Docker's order: a
// whole ID, a name (a leading slash is allowed), the beginning of an ID. No
// record is read, except to list the candidates when there are several.
func (s *Store) Resolve(ref string) (string, error) {
	if s.has(ref) {
		return ref, nil
	}
	if name := strings.TrimPrefix(ref, "/"); ValidName(name) == nil {
		id, err := os.ReadFile(s.namePath(name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("look up container %s: %w", ref, err)
		}
		if s.has(string(id)) {
			return string(id), nil
		}
	}
	ids, err := s.IDs()
	if err != nil {
		return "", err
	}
	var found, candidates []string
	for _, id := range ids {
		if ref != "" && strings.HasPrefix(id, ref) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return "", &NotFoundError{ref}
	case 1:
		return found[0], nil
	}
	for _, id := range found {
		candidate := ShortID(id)
		if r, err := s.Record(id); err == nil {
			candidate += " (" + r.Name + ")"
		}
		candidates = append(candidates, candidate)
	}
	return "", fmt.Errorf("multiple IDs found with provided prefix: %s: %s", ref, strings.Join(candidates, ", "))
}

// IDs lists the containers, in no particular order.
func (s *Store) IDs() ([]string, error) {
	entries, err := disk.List(s.containers())
	ids := entries[:0]
	for _, entry := range entries {
		if isID(entry) {
			ids = append(ids, entry)
		}
	}
	return ids, err
}
