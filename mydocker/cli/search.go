package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/registry"

	"minidocker/mydocker/engine"
)

type searchOptions struct {
	listing
	filters engine.Filters
	limit   int
}

func searchCommand(s *session) *command {
	o := &searchOptions{}
	return &command{
		Usage: "Search Docker Hub for images", ArgsUsage: "[OPTIONS] TERM",
		Description: "mydocker search --filter is-official=true busybox",
		Flags: flags("",
			filters(&o.filters), o.formatFlag(),
			integer(&o.limit, "limit", "Max number of search results"),
			boolean(&o.noTrunc, "no-trunc", "Don't truncate output"),
		),
		Action: s.action(func(e *engine.Engine, args []string) error {
			if o.filters["is-automated"] != nil {
				fmt.Fprintln(os.Stderr, `WARNING: the "is-automated" filter is deprecated, and searching for "is-automated=true" will not yield any results in future.`)
			}
			found, err := e.Search(context.Background(), args[0], o.limit, o.filters)
			if err != nil {
				return err
			}
			return o.write(os.Stdout, found)
		}),
	}
}

func (o *searchOptions) write(w io.Writer, found []registry.SearchResult) error {
	var rows []searchRow
	for _, one := range found {
		row := searchRow{Name: one.Name, StarCount: strconv.Itoa(one.StarCount)}
		row.Description = strings.NewReplacer("\n", " ", "\r", " ").Replace(one.Description)
		if !o.noTrunc {
			row.Description = truncate(row.Description, 45)
		}
		if one.IsOfficial {
			row.IsOfficial = "[OK]"
		}
		rows = append(rows, row)
	}
	return writeList(w, &o.listing, `{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}`, titles{
		"Name": "NAME", "Description": "DESCRIPTION", "StarCount": "STARS", "IsOfficial": "OFFICIAL",
	}, rows)
}

// searchRow is a line of search, with the fields of its --format.
type searchRow struct{ Description, IsOfficial, Name, StarCount string }

// MarshalJSON has true and false in place of the table's mark.
func (r searchRow) MarshalJSON() ([]byte, error) {
	type plain searchRow
	r.IsOfficial = strconv.FormatBool(r.IsOfficial != "")
	return json.Marshal(plain(r))
}
