package container

import (
	"regexp"
	"strings"
	"testing"
)

func TestNewID(t *testing.T) {
	seen := map[string]bool{}
	for range 2000 {
		id := NewID()
		if !isID(id) || seen[id] || strings.Trim(ShortID(id), "0123456789") == "" {
			t.Fatalf("bad ID %s", id)
		}
		seen[id] = true
	}
}

func TestNewName(t *testing.T) {
	seen := map[string]bool{}
	for attempt := range 500 {
		name := NewName(attempt % 2)
		if !regexp.MustCompile(`^[a-z]+_[a-z]+[0-9]?$`).MatchString(name) || ValidName(name) != nil {
			t.Errorf("bad name %q", name)
		}
		if attempt%2 == 1 != strings.ContainsAny(name, "0123456789") {
			t.Errorf("attempt %d gave %s", attempt%2, name)
		}
		seen[name] = true
	}
	if len(seen) < 400 {
		t.Errorf("only %d different names of 500", len(seen))
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"web": true, "a1": true, "0.b_c-D": true, strings.Repeat("x", 255): true,
		"": false, "a": false, "-web": false, ".web": false, "_w": false, "we b": false, "a/b": false, "wéb": false,
		"/web": false, "..": false, strings.Repeat("x", 256): false,
	} {
		if err := ValidName(name); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	want := "Invalid container name (we b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
	if got := ValidName("we b").Error(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
