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
			switch {
			case err != nil:
				return err
			case o.all:
				err = o.pullAll(e, n)
				n.Full = n.FullRepository
			default:
				err = o.pull(e, n, os.Stdout)
			}
			if err == nil {
				fmt.Println(n.Full)
			}
			return err
		}),
	}
}

// tagged reads the name of what to pull or push: one image, or all of a repository.
func tagged(text string, all, quiet bool) (image.Name, error) {
	n, err := image.ParseName(text)
	switch {
	case err != nil:
		return n, exit(1, "%w", err)
	case all && n.Explicit:
		return n, exit(1, "tag can't be used with --all-tags/-a")
	case !all && !n.Explicit && !quiet:
		fmt.Println("Using default tag: latest")
	}
	return n, nil
}

// pull fetches an image and tells of it in a file.
func (o *pullOptions) pull(e *engine.Engine, n image.Name, file *os.File) error {
	show := showProgress(file, o.quiet)
	pulled, err := e.Pull(context.Background(), n.Short, image.PullOptions{Platform: o.platform, Progress: show})
	if err == nil {
		show(image.Progress{Status: "Digest: " + pulled.Digest.String()})
		show(pullStatus(pulled.New, n.Short))
	}
	return err
}

func (o *pullOptions) pullAll(e *engine.Engine, n image.Name) error {
	show, isNew := showProgress(os.Stdout, o.quiet), false
	err := e.PullAll(context.Background(), n.Repository, image.PullOptions{Platform: o.platform, Progress: show}, func(pulled image.Pulled) {
		isNew = isNew || pulled.New
		show(image.Progress{Status: "Digest: " + pulled.Digest.String()})
	})
	if err == nil {
		show(pullStatus(isNew, n.Repository))
	}
	return err
}

func pullStatus(isNew bool, called string) image.Progress {
	if isNew {
		return image.Progress{Status: "Status: Downloaded newer image for " + called}
	}
	return image.Progress{Status: "Status: Image is up to date for " + called}
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
