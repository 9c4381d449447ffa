// Package human writes numbers and texts as people read them.
package human

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"
)

// Bytes writes a size as PostgreSQL's settings and pg_size_pretty count:
// GB is 1024³ bytes.
func Bytes(n int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB", "PB"}
	value, unit := float64(n), 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	if unit == 0 || value >= 100 || value == float64(int64(value)) {
		return fmt.Sprintf("%.0f %s", value, units[unit])
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}

// Count groups digits by threes.
func Count(n int64) string { return humanize.Comma(n) }

// Seconds rounds to what an estimate is worth.
func Seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case s < 1:
		return "under a second"
	case s < 120:
		return fmt.Sprintf("%.0f s", s)
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}

// Took is a measured time in milliseconds, as short as it can be compared: 932 ms,
// 36.8 s, 12.5 min.
func Took(ms float64) string {
	switch {
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	case ms < 120_000:
		return fmt.Sprintf("%.1f s", ms/1000)
	}
	return fmt.Sprintf("%.1f min", ms/60_000)
}

// Plural counts something: 1 blocker, 2 blockers.
func Plural[N int | int64](n N, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return Count(int64(n)) + " " + word + "s"
}

// OneLine is a text on one line that a terminal can be given.
func OneLine(s string) string { return Plain(strings.Join(strings.Fields(s), " ")) }

// Plain shows control characters instead of sending them to a terminal: names
// and literals in a database may hold any.
func Plain(s string) string {
	if !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t':
			b.WriteString("    ")
		case unicode.IsControl(r):
			fmt.Fprintf(&b, "\\x%02x", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Duration is a limit or a measured time, as it was set: 1 s, 200 ms.
func Duration(d time.Duration) string {
	switch {
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d >= time.Second && d%time.Second == 0:
		return fmt.Sprintf("%d s", d/time.Second)
	case d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

// Together puts lines "name: text" with the same text on one, in the place of the first:
// "name, name: text".
func Together(lines []string) (all []string) {
	at := map[string]int{}
	for _, line := range lines {
		name, text, _ := strings.Cut(line, ": ")
		if i, before := at[text]; before && text != "" {
			names, _, _ := strings.Cut(all[i], ": ")
			all[i] = names + ", " + name + ": " + text
			continue
		}
		at[text] = len(all)
		all = append(all, line)
	}
	return all
}
