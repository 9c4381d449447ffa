package planfile

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/human"
)

// key is a scalar key outside tables: its name, its default as one would write
// it, and what its text means.
type key struct {
	path     string
	standard string
	secret   bool // its value is never shown
	set      func(f *File, text string) error
}

const bouncerPrefix = "traffic.pgbouncer."

// keys are all scalar keys outside tables. Each can be set by a flag, by
// PGUMBRA_<KEY WITH _ FOR .>, or in the file.
var keys = []key{
	{path: "name", set: setName},
	{path: "production.dsn", secret: true, set: text(func(f *File) *string { return &f.Production.DSN }, validDSN)},
	{path: "shadow.dsn", secret: true, set: text(func(f *File) *string { return &f.Shadow.DSN }, validDSN)},
	{path: "scratch.dsn", secret: true, set: text(func(f *File) *string { return &f.Scratch.DSN }, validDSN)},
	{path: "scratch.rows", standard: "1000", set: whole(func(f *File) *int { return &f.Scratch.Rows }, 0, 100_000)},
	{path: "migrations.path", set: text(func(f *File) *string { return &f.Migrations.Path })},
	{path: "migrations.table", set: text(func(f *File) *string { return &f.Migrations.Table })},
	{path: "migrations.version", set: version(func(f *File) **int64 { return &f.Migrations.Version })},
	{path: "migrations.from", set: version(func(f *File) **int64 { return &f.Migrations.From })},
	{path: "migrations.multi_statement", standard: "false", set: boolean(func(f *File) *bool { return &f.Migrations.MultiStatement })},
	{path: "migrations.behind_fence_from", set: version(func(f *File) **int64 { return &f.Migrations.BehindFenceFrom })},
	{path: "build", standard: "auto", set: text(func(f *File) *string { return (*string)(&f.Build) }, oneOf("auto", "direct", "behind_fence"))},
	{path: "copy.workers", standard: "2", set: whole(func(f *File) *int { return &f.Copy.Workers }, 1, 256)},
	{path: "copy.chunk_rows", standard: "50000", set: whole(func(f *File) *int64 { return &f.Copy.ChunkRows }, 1, 1_000_000_000)},
	{path: "copy.max_replica_lag", standard: "10s", set: duration(func(f *File) *time.Duration { return &f.Copy.MaxReplicaLag }, 0)},
	{path: "copy.max_retained_wal", standard: "10GB", set: size(func(f *File) *int64 { return &f.Copy.MaxRetainedWAL }, 0)},
	{path: "copy.min_free_disk", standard: "1GB", set: size(func(f *File) *int64 { return &f.Copy.MinFreeDisk }, 0)},
	{path: "capture.max_journal", standard: "20GB", set: size(func(f *File) *int64 { return &f.Capture.MaxJournal }, 1<<20)},
	{path: "cutover.max_stall", standard: "1s", set: duration(func(f *File) *time.Duration { return &f.Cutover.MaxStall }, time.Millisecond)},
	{path: "cutover.lock_timeout", standard: "200ms", set: duration(func(f *File) *time.Duration { return &f.Cutover.LockTimeout }, time.Millisecond)},
	{path: "cutover.attempts", standard: "20", set: whole(func(f *File) *int { return &f.Cutover.Attempts }, 1, 1_000_000)},
	{path: "cutover.max_total_stall", standard: "0s", set: duration(func(f *File) *time.Duration { return &f.Cutover.MaxTotalStall }, 0)},
	{path: "cutover.verify_within", standard: "15m", set: duration(func(f *File) *time.Duration { return &f.Cutover.VerifyWithin }, time.Second)},
	{path: "cutover.recycle_sessions", standard: "none", set: text(func(f *File) *string { return &f.Cutover.RecycleSessions }, oneOf("none", "idle"))},
	{path: "watch.enabled", standard: "true", set: boolean(func(f *File) *bool { return &f.Watch.Enabled })},
	{path: "watch.require_reverse", standard: "false", set: boolean(func(f *File) *bool { return &f.Watch.RequireReverse })},
	{path: "rehearse.rows", standard: "1000", set: whole(func(f *File) *int64 { return &f.Rehearse.Rows }, 1, 100_000_000)},
	{path: "rehearse.clients", standard: "4", set: whole(func(f *File) *int { return &f.Rehearse.Clients }, 1, 100)},
	{path: "rehearse.setup", set: text(func(f *File) *string { return &f.Rehearse.Setup })},
	{path: bouncerPrefix + "admin_dsn", secret: true, set: text(func(f *File) *string { return &f.bouncer().AdminDSN }, validDSN)},
	{path: bouncerPrefix + "database", set: text(func(f *File) *string { return &f.bouncer().Database })},
	{path: bouncerPrefix + "config", set: text(func(f *File) *string { return &f.bouncer().Config })},
	{path: bouncerPrefix + "target", secret: true, set: text(func(f *File) *string { return &f.bouncer().Target })},
}

// listKeys hold several values and are set in the file or by a flag.
var listKeys = append([]string{"production.schemas", "production.trust", "traffic.command"}, hookKeys()...)

// HookEvents are what a command of the user's can be run at.
var HookEvents = []string{"ready", "before_cutover", "after_cutover", "stopped"}

func hookKeys() (keys []string) {
	for _, event := range HookEvents {
		keys = append(keys, "hooks."+event)
	}
	return keys
}

func (f *File) bouncer() *PgBouncerFile {
	if len(f.Traffic.PgBouncer) == 0 {
		f.Traffic.PgBouncer = make([]PgBouncerFile, 1)
	}
	return &f.Traffic.PgBouncer[0]
}

// Env is the variable of the environment that overrides a key of the plan file:
// production.dsn by PGUMBRA_PRODUCTION_DSN.
func Env(path string) string {
	return "PGUMBRA_" + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

func allPaths() []string {
	paths := slices.Clone(listKeys)
	for _, k := range keys {
		paths = append(paths, k.path)
	}
	return paths
}

func known(path string) bool { return slices.Contains(allPaths(), path) }

// valueError is a value that its key does not take; key and place are added by
// the caller.
type valueError struct{ message, fix string }

func (e *valueError) Error() string { return e.message }

var runName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)

func setName(f *File, value string) error {
	f.Name = value
	switch {
	case value == "":
		return &valueError{"a run needs a name", "write for instance: name: shop-v2"}
	case !runName.MatchString(value):
		return &valueError{"is not a run's name", "use up to 63 letters, digits, - and _, a letter or digit first"}
	}
	return nil
}

func text(field func(*File) *string, checks ...func(string) error) func(*File, string) error {
	return func(f *File, value string) error {
		*field(f) = value
		for _, check := range checks {
			if err := check(value); err != nil {
				return err
			}
		}
		return nil
	}
}

func oneOf(values ...string) func(string) error {
	return func(value string) error {
		if slices.Contains(values, value) {
			return nil
		}
		return &valueError{"is none of " + strings.Join(values, ", "), Nearest(value, values)}
	}
}

func whole[T int | int64](field func(*File) *T, low, high T) func(*File, string) error {
	return func(f *File, value string) error {
		n, err := parseWhole(value)
		if err != nil {
			return err
		}
		if n < int64(low) || n > int64(high) {
			return &valueError{"is out of range", fmt.Sprintf("from %d to %d", low, high)}
		}
		*field(f) = T(n)
		return nil
	}
}

// parseWhole reads decimal digits as they stand: 000042 is a migration's
// number, not YAML's octal 34.
func parseWhole(value string) (int64, error) {
	n, err := strconv.ParseInt(strings.ReplaceAll(value, "_", ""), 10, 64)
	if err != nil {
		return 0, &valueError{"is not a whole number", ""}
	}
	return n, nil
}

func version(field func(*File) **int64) func(*File, string) error {
	return func(f *File, value string) error {
		if value == "" || value == "null" {
			return nil
		}
		n, err := parseWhole(value)
		if err != nil || n < 0 {
			return &valueError{"is not a migration's number", "write the digits its file name begins with, or null"}
		}
		*field(f) = &n
		return nil
	}
}

func boolean(field func(*File) *bool) func(*File, string) error {
	return func(f *File, value string) error {
		b, err := parseBool(value)
		*field(f) = b
		return err
	}
}

func parseBool(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, &valueError{"is neither true nor false", ""}
}

func duration(field func(*File) *time.Duration, low time.Duration) func(*File, string) error {
	return func(f *File, value string) error {
		d, err := time.ParseDuration(strings.ReplaceAll(value, " ", ""))
		switch {
		case err != nil:
			return &valueError{"is not a duration", "write a number with its unit: 200ms, 10s, 15m, 2h"}
		case d < low:
			return &valueError{"is too short", fmt.Sprintf("at least %s", low)}
		}
		*field(f) = d
		return nil
	}
}

func size(field func(*File) *int64, low int64) func(*File, string) error {
	return func(f *File, value string) error {
		n, err := parseSize(value)
		switch {
		case err != nil:
			return err
		case n < low:
			return &valueError{"is too small", "at least " + human.Bytes(low)}
		}
		*field(f) = n
		return nil
	}
}

var sizePattern = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) *([kKMGTPmgtp]?)(?:i?[bB])?$`)

// parseSize reads sizes as PostgreSQL's settings do: GB is 1024³ bytes, with
// or without the i.
func parseSize(value string) (int64, error) {
	m := sizePattern.FindStringSubmatch(strings.ReplaceAll(strings.TrimSpace(value), "_", ""))
	if m == nil {
		return 0, &valueError{"is not a size", "write for instance 512MB or 10GB"}
	}
	number, err := strconv.ParseFloat(m[1], 64)
	bytes := number * float64(int64(1)<<(10*strings.Index("kmgtp", strings.ToLower(m[2]))+10))
	if m[2] == "" {
		bytes = number
	}
	if err != nil || bytes >= 1<<62 {
		return 0, &valueError{"is too large", ""}
	}
	return int64(bytes), nil
}

// Nearest names the candidate that was probably meant.
func Nearest(word string, candidates []string) string {
	best, distance := "", len(word)/2+3
	for _, c := range candidates {
		if d := levenshtein.ComputeDistance(strings.ToLower(word), c); d < distance {
			best, distance = c, d
		}
	}
	if best == "" {
		return "known here: " + strings.Join(candidates, ", ")
	}
	return "did you mean " + best + "?"
}

// validDSN checks the form alone; what is wrong is not repeated, since it may
// be a piece of the password.
func validDSN(dsn string) error {
	if dsn == "" {
		return nil
	}
	if _, err := pgconn.ParseConfig(dsn); err != nil {
		return &valueError{"is not a connection string that libpq would take",
			"write postgres://user@host:5432/database or host=… dbname=…; percent-encode special signs in a URL's password"}
	}
	return nil
}
