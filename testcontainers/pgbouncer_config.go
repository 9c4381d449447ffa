package testcontainers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

func (o PgBouncerOptions) users() map[string]string {
	users := map[string]string{superuser: bouncerPassword, bouncerAdmin: bouncerPassword}
	maps.Copy(users, o.Users)
	return users
}

// configure writes the two files that PgBouncer reads.
func (b *PgBouncer) configure(ctx context.Context, o PgBouncerOptions) error {
	pools, err := databaseSection(o.Databases)
	if err != nil {
		return err
	}
	settings, err := b.settings(ctx)
	if err != nil {
		return err
	}
	maps.Copy(settings, o.Settings)
	return errors.Join(
		b.write(b.ConfigPath(), "[databases]\n"+pools+"\n[pgbouncer]\n"+settingLines(settings)),
		b.write(settings["auth_file"], userList(b.users)))
}

// settings are the defaults, with this PgBouncer's own places.
func (b *PgBouncer) settings(ctx context.Context) (map[string]string, error) {
	settings := map[string]string{
		"listen_addr":     "127.0.0.1",
		"listen_port":     strconv.Itoa(b.port),
		"unix_socket_dir": "",
		"pidfile":         filepath.Join(b.dir.path, bouncerPidFile),
		"auth_type":       "trust",
		"auth_file":       filepath.Join(b.dir.path, "userlist.txt"),
		"admin_users":     bouncerAdmin,
		"pool_mode":       "transaction",
		// Drivers other than libpq send it with each login.
		"ignore_startup_parameters": "extra_float_digits",
	}
	version, err := b.version(ctx)
	if err == nil && slices.Compare(version, []int{1, 21}) >= 0 {
		settings["max_prepared_statements"] = "200"
	}
	return settings, err
}

// version is [1 18 0], as the program tells of itself.
func (b *PgBouncer) version(ctx context.Context) ([]int, error) {
	out, err := exec.CommandContext(ctx, b.program, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("ask %s for its version: %w", b.program, err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	var version []int
	for part := range strings.SplitSeq(strings.TrimPrefix(first, "PgBouncer "), ".") {
		version = append(version, leadingNumber(part))
	}
	return version, nil
}

// databaseSection is a line per pool. Names are plain or the fallback *: the
// manual promises quoted ones, but 1.18 calls them a syntax error.
func databaseSection(databases map[string]string) (string, error) {
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(databases)) {
		if !isPlain(name) && name != "*" {
			return "", fmt.Errorf("database %q: PgBouncer takes names of letters, digits, underscores, dots and hyphens", name)
		}
		c, err := pgconn.ParseConfig(databases[name])
		if err != nil {
			return "", fmt.Errorf("database %s: %w", name, err)
		}
		fmt.Fprintf(&lines, "%s = host=%s port=%d dbname=%s\n", name, poolValue(c.Host), c.Port, poolValue(c.Database))
	}
	return lines.String(), nil
}

// poolValue quotes what is not plain, as an SQL string is quoted.
func poolValue(value string) string {
	if isPlain(value) {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", "''") + "'"
}

func isPlain(word string) bool {
	return word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_.-", r)
	})
}

func doubleQuoted(word string) string { return `"` + strings.ReplaceAll(word, `"`, `""`) + `"` }

func settingLines(settings map[string]string) string {
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&lines, "%s = %s\n", name, settings[name])
	}
	return lines.String()
}

// userList is the text of auth_file. Passwords are in the clear, since
// PgBouncer needs them so to log in to a server.
func userList(users map[string]string) string {
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(users)) {
		fmt.Fprintf(&lines, "%s %s\n", doubleQuoted(name), doubleQuoted(users[name]))
	}
	return lines.String()
}

func (b *PgBouncer) write(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return b.dir.owner.own(path)
}
