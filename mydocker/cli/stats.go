package cli

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/term"

	api "github.com/moby/moby/api/types/container"

	"minidocker/mydocker/engine"
)

type statsOptions struct {
	listing
	all, once bool
}

func statsCommand(s *session) *command {
	o := &statsOptions{}
	return &command{
		Usage: "Display a live stream of container(s) resource usage statistics", ArgsUsage: "[OPTIONS] [CONTAINER...]",
		Description: `mydocker stats --no-stream --format '{{.Name}}: {{.MemUsage}}'`,
		Flags: flags("",
			boolean(&o.all, "a,all", "Show all containers (default shows just running)"),
			o.formatFlag(),
			boolean(&o.once, "no-stream", "Disable streaming stats and only pull the first result"),
			boolean(&o.noTrunc, "no-trunc", "Do not truncate output"),
		),
		Action: s.action(o.run),
	}
}

// run shows two samples' difference, the second half a second after the first, and
// then the next each second, until a signal ends it.
func (o *statsOptions) run(e *engine.Engine, refs []string) error {
	if err := o.write(io.Discard, refs, nil); err != nil {
		return err
	}
	sampler, err := e.Sampler(refs, o.all)
	if err != nil {
		return err
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	samples, err := sampler.Next()
	tick := time.After(500 * time.Millisecond)
	if o.once && len(samples) == 0 {
		return cmp.Or(err, o.write(os.Stdout, refs, nil))
	}
	for err == nil {
		select {
		case s := <-ended:
			return status(128 + int(s.(syscall.Signal)))
		case <-resized:
			err = o.draw(refs, samples)
		case <-tick:
			tick = time.After(time.Second)
			if samples, err = sampler.Next(); err != nil {
				return err
			}
			if o.once {
				return o.write(os.Stdout, refs, samples)
			}
			err = o.draw(refs, samples)
		}
	}
	return err
}

// draw prints one table after the other, or on a terminal each in place of the one
// before, in one write, so that nothing flickers: home, each line cleared to its
// end, then what is below. What does not fit would scroll, so lines do not wrap and
// the last one counts those left out.
func (o *statsOptions) draw(refs []string, samples []api.StatsResponse) error {
	var table strings.Builder
	if err := o.write(&table, refs, samples); err != nil {
		return err
	}
	text := table.String()
	if term.IsTerminal(1) {
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if height := int(windowSize()[0]); height > 2 && len(lines) >= height {
			lines = append(lines[:height-2:height-2], fmt.Sprintf("(%d more)", len(lines)-height+2))
		}
		text = "\x1b[?7l\x1b[H" + strings.Join(lines, "\x1b[K\n") + "\x1b[K\n\x1b[?7h\x1b[J"
	}
	_, err := io.WriteString(os.Stdout, text)
	return err
}

func (o *statsOptions) write(w io.Writer, refs []string, samples []api.StatsResponse) error {
	rows := make([]statsRow, 0, len(samples))
	for _, sample := range samples {
		row := newStatsRow(sample)
		for _, ref := range refs { // as the user calls it
			if strings.HasPrefix(row.ID, ref) || strings.TrimPrefix(ref, "/") == row.Name {
				row.Container = ref
			}
		}
		if !o.noTrunc {
			row.ID = shortID(row.ID)
		}
		rows = append(rows, row)
	}
	return writeList(w, &o.listing, `{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}`, titles{
		"Container": "CONTAINER", "ID": "CONTAINER ID", "Name": "NAME", "CPUPerc": "CPU %", "MemUsage": "MEM USAGE / LIMIT",
		"MemPerc": "MEM %", "NetIO": "NET I/O", "BlockIO": "BLOCK I/O", "PIDs": "PIDS",
	}, rows)
}

// statsRow is a container's sample: the fields of stats --format,
// https://docs.docker.com/reference/cli/docker/container/stats/#format.
type statsRow struct {
	BlockIO, CPUPerc, Container, ID, MemPerc, MemUsage, Name, NetIO, PIDs string
}

func newStatsRow(s api.StatsResponse) statsRow {
	used := s.MemoryStats.Usage
	cache, v1 := s.MemoryStats.Stats["total_inactive_file"]
	if !v1 {
		cache = s.MemoryStats.Stats["inactive_file"]
	}
	if cache < used {
		used -= cache
	}
	// Of all CPUs' time since the sample before: 100% is one CPU.
	cpu := ratio(s.CPUStats.CPUUsage.TotalUsage-s.PreCPUStats.CPUUsage.TotalUsage, s.CPUStats.SystemUsage-s.PreCPUStats.SystemUsage)
	if s.PreRead.IsZero() || s.CPUStats.CPUUsage.TotalUsage < s.PreCPUStats.CPUUsage.TotalUsage { // new, or started anew
		cpu = 0
	}
	var received, sent, read, written uint64
	for _, n := range s.Networks {
		received, sent = received+n.RxBytes, sent+n.TxBytes
	}
	for _, d := range s.BlkioStats.IoServiceBytesRecursive {
		switch d.Op {
		case "read":
			read += d.Value
		case "write":
			written += d.Value
		}
	}
	return statsRow{
		Container: s.ID, ID: s.ID, Name: strings.TrimPrefix(s.Name, "/"), PIDs: strconv.FormatUint(s.PidsStats.Current, 10),
		CPUPerc: percent(cpu * float64(s.CPUStats.OnlineCPUs)), MemPerc: percent(ratio(used, s.MemoryStats.Limit)),
		MemUsage: units.BytesSize(float64(used)) + " / " + units.BytesSize(float64(s.MemoryStats.Limit)),
		NetIO:    decimalSize(received) + " / " + decimalSize(sent), BlockIO: decimalSize(read) + " / " + decimalSize(written),
	}
}

func ratio(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func percent(part float64) string { return strconv.FormatFloat(100*part, 'f', 2, 64) + "%" }

func decimalSize(n uint64) string { return units.HumanSizeWithPrecision(float64(n), 3) }
