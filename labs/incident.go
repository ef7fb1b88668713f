package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"minidocker/labs/incident"

	"github.com/urfave/cli/v2"
)

var _ = register(&cli.Command{
	Name:      "incident",
	Usage:     "a container is broken: find the cause with the host's tools, name it, repair it",
	ArgsUsage: "LAB --seed TEXT [--answer CAUSE | --end] [--here]",
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "seed", Usage: "which of the lab's incidents it is, and its numbers, follow from this `TEXT`"},
		&cli.StringFlag{Name: "answer", Usage: "the `CAUSE`, once the container is repaired"},
		&cli.BoolFlag{Name: "end", Usage: "give up: take the container away and show the solution"},
		&cli.BoolFlag{Name: "here", Usage: "break a container on this machine although it is not marked as disposable"},
	},
	Action: runIncident,
})

func runIncident(c *cli.Context) error {
	if err := arguments(c, 1, 1); err != nil {
		return err
	}
	lab, err := labOf(c.Args().First())
	if err != nil {
		return err
	}
	seed := c.String("seed")
	if seed == "" {
		return fmt.Errorf("--seed is missing: labs incident %d --seed YOUR-NAME", lab.Number)
	}
	if c.IsSet("answer") && c.Bool("end") {
		return errors.New("--answer or --end, not both")
	}
	if err := allowed(c.Bool("here")); err != nil {
		return err
	}
	switch {
	case c.Bool("end"):
		return endIncident(lab.Number, seed)
	case c.IsSet("answer"):
		return answerIncident(lab.Number, seed, c.String("answer"))
	}
	earlier := incident.Waiting(lab.Number)
	chosen, broken, err := incident.Start(lab.Number, seed)
	if err != nil {
		return err
	}
	if earlier != "" {
		fmt.Printf("The incident of lab %d with seed %s was still there: it has been taken away.\n\n", lab.Number, earlier)
	}
	fmt.Println(strings.Join(chosen.Symptom(broken), "\n"))
	fmt.Print("\nFind out why with the tools of the host (ps, /proc/PID, nsenter, findmnt, /sys/fs/cgroup). The causes to choose from:\n\n")
	causes := incident.Causes(lab.Number)
	for _, cause := range slices.Sorted(maps.Keys(causes)) {
		fmt.Printf("  %-20s %s\n", cause, causes[cause])
	}
	fmt.Printf("\nRepair it, then: labs incident %d --seed %s --answer CAUSE\nTo give up:      labs incident %[1]d --seed %[2]s --end\n", lab.Number, seed)
	return nil
}

// answerIncident says whether the cause is the right one, and the container repaired.
func answerIncident(lab int, seed, answer string) error {
	chosen, broken, err := incident.Find(lab, seed)
	if err != nil {
		return fmt.Errorf("incident of lab %d with seed %q: %w", lab, seed, err)
	}
	if _, known := incident.Causes(lab)[answer]; !known {
		return fmt.Errorf("no cause %q; labs incident %d --seed %s lists them, and begins anew", answer, lab, seed)
	}
	if answer != chosen.Cause {
		fmt.Println("No: that is not the cause. What would the kernel show if it were? Look there first.")
		return cli.Exit("", exitNo)
	}
	if err := chosen.Repaired(broken); err != nil {
		fmt.Printf("That is the cause: %s.\nIt is not repaired: %v.\n", chosen.Title, err)
		return cli.Exit("", exitNo)
	}
	fmt.Printf("Solved in %s: %s.\n", time.Since(broken.Started).Round(time.Second), chosen.Title)
	return incident.End(lab, seed)
}

func endIncident(lab int, seed string) error {
	chosen, broken, err := incident.Find(lab, seed)
	if err == nil {
		fmt.Printf("The cause was %s: %s. What shows and mends it:\n\n", chosen.Cause, chosen.Title)
		for _, line := range chosen.Solution(broken) {
			fmt.Println("  " + line)
		}
	} else if errors.Is(err, incident.ErrNone) {
		fmt.Printf("Lab %d, seed %s: %v.\n", lab, seed, err)
	} else {
		return err
	}
	return incident.End(lab, seed)
}
