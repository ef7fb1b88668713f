package cli

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"minidocker/mydocker/engine"
	"minidocker/mydocker/image"
)

type pullOptions struct {
	all, quiet bool
	platform   string
}

func pullCommand(s *session) *command {
	o := &pullOptions{}
	return &command{
		Usage: "Download an image from a registry", ArgsUsage: "[OPTIONS] NAME[:TAG|@DIGEST]",
		Description: "mydocker pull busybox:latest",
		Flags: flags("",
			boolean(&o.all, "a,all-tags", "Download all tagged images in the repository"),
			unverified(),
			text(&o.platform, "platform", "Set platform if server is multi-platform capable"),
			boolean(&o.quiet, "q,quiet", "Suppress verbose output"),
		),
		Action: s.action(func(e *engine.Engine, args []string) error {
			n, err := tagged(args[0], o.all, o.quiet)
			if err == nil {
				err = o.pull(e, n, os.Stdout)
			}
			if err == nil {
				fmt.Println(n.Full)
			}
			return err
		}),
	}
}

// tagged reads the name of what to pull or push: one image, or all of a repository, of
// which the full name then is the repository's.
func tagged(text string, all, quiet bool) (image.Name, error) {
	n, err := image.ParseName(text)
	switch {
	case err != nil:
		return n, exit(1, "%w", err)
	case all && n.Explicit:
		return n, exit(1, "tag can't be used with --all-tags/-a")
	case all:
		n.Full = n.FullRepository
	case !n.Explicit && !quiet:
		fmt.Println("Using default tag: latest")
	}
	return n, nil
}

// pull fetches an image and tells of it in a file.
func (o *pullOptions) pull(e *engine.Engine, n image.Name, file *os.File) error {
	return e.Pull(context.Background(), n.Short, image.PullOptions{All: o.all, Platform: o.platform, Progress: showProgress(file, o.quiet)})
}

// unverified is --disable-content-trust: no signature is ever looked at.
func unverified() *option {
	return parsed("", "disable-content-trust", "Skip image verification", func(v string) error {
		on, err := strconv.ParseBool(v)
		if err == nil && !on {
			err = exit(125, "--disable-content-trust=false: signatures of images cannot be verified")
		}
		return err
	}).or("true")
}
