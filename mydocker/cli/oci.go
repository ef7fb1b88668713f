package cli

import "github.com/urfave/cli/v2"

// ociCommand is for help: main takes this door before the command line is read, unless
// flags of ours come first, which are not the runtime's.
func ociCommand(*session) *command {
	return &command{
		Usage: "Be the OCI runtime of another engine, with the command line of runc", ArgsUsage: "[OPTIONS] COMMAND [ARG...]",
		Description: "mydocker oci run --bundle DIR first",
		Action: func(*cli.Context) error {
			return exit(1, "mydocker oci: no other flags may stand before oci; its own follow it, as 'mydocker oci --debug run ID'")
		},
	}
}
