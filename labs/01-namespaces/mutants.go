package namespaces

import "minidocker/labs/check"

// mutants are mistakes that readers make.
var mutants = []check.Mutant{}
