package engine

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("", 3600)
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, zone)
	for s, want := range map[string]time.Time{
		"10m":                       now.Add(-10 * time.Minute),
		"1h30m":                     now.Add(-90 * time.Minute),
		"0s":                        now,
		"-5m":                       now.Add(5 * time.Minute),
		"2026-01-02":                time.Date(2026, 1, 2, 0, 0, 0, 0, zone),
		"2026-01-02Z":               time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
		"2026-01-02T03":             time.Date(2026, 1, 2, 3, 0, 0, 0, zone),
		"2026-01-02T03:04":          time.Date(2026, 1, 2, 3, 4, 0, 0, zone),
		"2026-01-02T03:04:05":       time.Date(2026, 1, 2, 3, 4, 5, 0, zone),
		"2026-01-02T03:04:05.5":     time.Date(2026, 1, 2, 3, 4, 5, 5e8, zone),
		"2026-01-02T03:04:05Z":      time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		"2026-01-02T03:04:05+02:00": time.Date(2026, 1, 2, 1, 4, 5, 0, time.UTC),
		"2026-01-02T03:04Z":         time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC),
		"1136073600":                time.Unix(1136073600, 0),
		"1136073600.000000001":      time.Unix(1136073600, 1),
		"0":                         time.Unix(0, 0),
	} {
		got, err := ParseTime(s, now)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v, want %v", s, got, err, want)
		}
	}
	if got, err := ParseTime("", now); err != nil || !got.IsZero() {
		t.Errorf("empty: %v, %v", got, err)
	}
	for _, s := range []string{"abc", "2026-13-01", "12:00"} {
		if got, err := ParseTime(s, now); err == nil {
			t.Errorf("%s: %v, want an error", s, got)
		}
	}
}
