// Package b comes later.
package b

import "minidocker/mydocker/a"

// B is one more than Limit.
const B = a.Limit + 1
