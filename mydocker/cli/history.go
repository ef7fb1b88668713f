package cli

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"

	"minidocker/mydocker/engine"
)

// historyRow is a step in the making of an image: the fields of history --format.
type historyRow struct{ Comment, CreatedAt, CreatedBy, CreatedSince, ID, Size string }

func historyCommand(s *session) *command {
	var l listing
	var platform string
	human := true
	return &command{
		Usage: "Show the history of an image", ArgsUsage: "[OPTIONS] IMAGE",
		Description: "mydocker history --no-trunc busybox",
		Flags: flags("",
			l.formatFlag(),
			boolean(&human, "H,human", "Print sizes and dates in human readable format").or("true"),
			boolean(&l.noTrunc, "no-trunc", "Don't truncate output"),
			text(&platform, "platform", `Show history for the given platform, such as "linux/amd64"`),
			boolean(&l.quiet, "q,quiet", "Only show image IDs"),
		),
		Action: s.action(func(e *engine.Engine, args []string) error {
			steps, err := e.History(args[0], platform)
			if err != nil {
				return err
			}
			var rows []historyRow
			for _, step := range steps {
				row := historyRow{
					ID: step.ID, Comment: step.Comment, CreatedBy: strings.ReplaceAll(step.CreatedBy, "\t", " "),
					CreatedAt: time.Unix(step.Created, 0).Format(time.RFC3339), Size: strconv.FormatInt(step.Size, 10),
				}
				row.CreatedSince = row.CreatedAt
				if human {
					row.CreatedSince, row.Size = ago(step.Created), units.HumanSizeWithPrecision(float64(step.Size), 3)
				}
				if !l.noTrunc {
					row.ID, row.CreatedBy = shortID(row.ID), truncate(row.CreatedBy, 45)
				}
				rows = append(rows, row)
			}
			since := "CreatedSince"
			if !human {
				since = "CreatedAt"
			}
			return writeList(os.Stdout, &l, `{{.ID}}\t{{.`+since+`}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}`, titles{
				"ID": "IMAGE", "CreatedSince": "CREATED", "CreatedAt": "CREATED AT", "CreatedBy": "CREATED BY", "Size": "SIZE", "Comment": "COMMENT",
			}, rows)
		}),
	}
}
