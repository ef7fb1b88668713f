package main

import (
	"fmt"
	"os"

	"minidocker/labs/check"

	"github.com/urfave/cli/v2"
)

var _ = register(&cli.Command{
	Name:      "list",
	Usage:     "list the labs, or the checks of one",
	ArgsUsage: "[LAB]",
	Action: func(c *cli.Context) error {
		if err := arguments(c, 0, 1); err != nil {
			return err
		}
		if c.NArg() == 0 {
			for _, lab := range labs {
				fmt.Printf("%d  %-14s %2d checks   labs/%s/README.md\n", lab.Number, lab.Title, len(lab.Checks), lab.Name)
			}
			return nil
		}
		lab, err := labOf(c.Args().First())
		if err != nil {
			return err
		}
		fmt.Printf("lab %d, %s. The engine's command line:\n", lab.Number, lab.Title)
		for _, line := range lab.Grammar {
			fmt.Println("  ENGINE", line)
		}
		fmt.Println()
		for _, one := range lab.Checks {
			fmt.Printf("%-16s %s\n", one.Name, one.Title)
		}
		return nil
	},
})

var _ = register(&cli.Command{
	Name:  "probe",
	Usage: "print the script that runs in the containers",
	Action: func(c *cli.Context) error {
		_, err := os.Stdout.WriteString(check.Probe)
		return err
	},
})
