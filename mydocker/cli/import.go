package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

func importCommand(s *session) *cli.Command {
	var o engine.ImportOptions
	return &cli.Command{
		Name: "import", Usage: "Import the contents from a tarball to create a filesystem image",
		ArgsUsage:   "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
		UsageText:   "mydocker image import, mydocker import",
		Description: `mydocker import -c 'CMD ["/bin/sh"]' rootfs.tar.gz busybox:latest`,
		Flags: []cli.Flag{
			list(&o.Changes, "c", "change", "Apply Dockerfile instruction to the created image"),
			text(&o.Message, "m", "message", "Set commit message for imported image"),
			unsupported("", "platform"),
		},
		Before: takes(1, 2),
		Action: s.action(func(c *cli.Context, e *engine.Engine) error {
			o.Ref = c.Args().Get(1)
			source, err := openSource(c.Context, c.Args().First())
			if err != nil {
				return err
			}
			defer source.Close()
			if _, local := source.(*os.File); !local && o.Message == "" {
				o.Message = "Imported from " + c.Args().First()
			}
			id, err := e.Import(c.Context, source, o)
			if err != nil {
				return err
			}
			fmt.Println(id)
			return nil
		}),
	}
}

// openSource opens a file, standard input ("-") or what a URL leads to.
func openSource(ctx context.Context, source string) (io.ReadCloser, error) {
	if source == "-" {
		return os.Stdin, nil
	}
	if !strings.HasPrefix(source, "http://") && !strings.HasPrefix(source, "https://") {
		file, err := os.Open(source)
		if err != nil {
			return nil, exit(1, "%w", err)
		}
		return file, nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, fmt.Errorf("get %s: %s", source, response.Status)
	}
	return response.Body, nil
}
