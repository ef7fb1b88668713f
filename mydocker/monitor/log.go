package monitor

import (
	"fmt"

	"minidocker/mydocker/logfile"
)

// openLog opens the log as the container's log configuration wants it.
func (m *Monitor) openLog(l *life) error {
	record := m.record()
	if record.HostConfig.LogConfig.Type == "none" {
		return nil
	}
	options, err := logfile.ParseOptions(record.HostConfig.LogConfig.Config)
	if err == nil {
		options.Attributes, err = record.LogAttributes()
	}
	if err != nil {
		return fmt.Errorf("initialize logging driver: %w", err)
	}
	l.log = logfile.New(m.store.LogPath(m.id()), options)
	return nil
}
