package rules

import (
	"errors"
	"time"
)

// Duration is a time span, written as in 90s, 30m or 2h.
type Duration time.Duration

func (d Duration) String() string { return time.Duration(d).String() }

// longest is how long anything may run.
const longest = 7 * 24 * time.Hour

func (d *Duration) parse(text string) error {
	parsed, err := time.ParseDuration(text)
	if err != nil || parsed < time.Second || parsed > longest {
		return errors.New("it is no time span of 1s to 168h, as in 30m")
	}
	*d = Duration(parsed)
	return nil
}

func (Duration) form() schema {
	return schema{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(s|m|h))+$`}
}

// MarshalText writes it as it is read.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads it back, zero too.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}
