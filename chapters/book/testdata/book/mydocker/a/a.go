// Package a is the first.
package a

// Limit is a constant in a group.
const (
	Limit = 7
	Other = 8
)

// T is a type.
type T struct{}

// Do does
// it.
func (t *T) Do() int {
	// #inner
	if Limit > Other {
		return 1
	}
	// /inner
	return 0
}

// Do is a function of the same name.
func Do() {}

func init() {}

func init() {}
