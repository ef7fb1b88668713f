package logfile

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/docker/go-units"
)

// ParseOptions reads the options of Docker's json-file driver that bound a log:
// max-size, with a unit, and max-file. Those that say what else is in an entry are
// known to it, and the caller's business. Others are errors.
// Source: Docker, "JSON File logging driver".
func ParseOptions(config map[string]string) (o Options, err error) {
	for name, value := range config {
		switch name {
		case "max-size":
			if o.MaxSize, err = units.FromHumanSize(value); err == nil && o.MaxSize <= 0 {
				err = errors.New("max-size must be a positive number")
			}
		case "max-file":
			if o.MaxFiles, err = strconv.Atoi(value); err == nil && o.MaxFiles < 1 {
				err = errors.New("max-file cannot be less than 1")
			}
		case "labels", "labels-regex", "env", "env-regex", "tag":
		case "mode":
			if value != "blocking" && value != "non-blocking" {
				err = fmt.Errorf("logger: logging mode not supported: %s", value)
			} else if value == "non-blocking" {
				err = errors.New("log opt mode=non-blocking is not supported: an entry waits for its place in the log")
			}
		case "max-buffer-size":
			if config["mode"] != "non-blocking" {
				err = errors.New("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
			}
		case "compress":
			if on, bad := strconv.ParseBool(value); on || bad != nil {
				err = cmp.Or(bad, errors.New("log opt compress=true is not supported: rotated logs are kept as they are"))
			}
		default:
			err = fmt.Errorf("unknown log opt '%s' for json-file log driver", name)
		}
		if err != nil {
			return Options{}, err
		}
	}
	return o, nil
}

// attributes is how an entry names them, after the stream; none: "".
func attributes(a map[string]string) string {
	if len(a) == 0 {
		return ""
	}
	text, _ := json.Marshal(a)
	return `,"attrs":` + string(text)
}
