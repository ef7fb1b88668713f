package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"minidocker/mydocker/engine"
)

func importCommand(s *session) *command {
	var o engine.ImportOptions
	return &command{
		Usage: "Import the contents from a tarball to create a filesystem image", ArgsUsage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
		Description: `mydocker import -c 'CMD ["/bin/sh"]' rootfs.tar.gz busybox:latest`,
		Flags: flags("",
			list(&o.Changes, "c,change", "Apply Dockerfile instruction to the created image"),
			text(&o.Message, "m,message", "Set commit message for imported image"),
			text(&o.Platform, "platform", "Set the platform of the image, such as linux/arm64"),
		),
		Action: s.action(func(e *engine.Engine, args []string) error {
			o.Ref = strings.Join(args[1:], "") // "" if there is none
			source, err := openSource(args[0])
			if err != nil {
				return exit(1, "%w", err)
			}
			defer source.Close()
			if _, local := source.(*os.File); !local && o.Message == "" {
				o.Message = "Imported from " + args[0]
			}
			id, err := e.Import(context.Background(), source, o)
			if err == nil {
				fmt.Println(id)
			}
			return err
		}),
	}
}

// openSource opens a file, standard input ("-") or what a URL leads to.
func openSource(source string) (io.ReadCloser, error) {
	if source == "-" {
		return os.Stdin, nil
	}
	if !strings.HasPrefix(source, "http://") && !strings.HasPrefix(source, "https://") {
		return os.Open(source)
	}
	response, err := http.Get(source)
	if err == nil && response.StatusCode != http.StatusOK {
		response.Body.Close()
		err = fmt.Errorf("get %s: %s", source, response.Status)
	}
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}
