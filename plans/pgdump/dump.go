package pgdump

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// options are the settings of pg_dump's session that defaults of the role or the
// database must not decide: how it quotes, and how long it may take.
const options = "-c standard_conforming_strings=on -c quote_all_identifiers=off -c idle_session_timeout=0 -c statement_timeout=0"

// Dump reads the structure of a database: that of dsn, or another one there. It
// takes ACCESS SHARE on each table that it reads, and gives up where it does not
// get that within 30 s; args are further options of pg_dump. Publications and
// subscriptions are left out. What pg_dump says against it comes as [*Error]; an
// archive of another version as [ErrFormat].
func (p Program) Dump(ctx context.Context, dsn, database string, args ...string) ([]Entry, error) {
	archive, err := p.run(ctx, dsn, database, args...)
	if err != nil {
		return nil, err
	}
	records, err := readArchive(archive)
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, p)
	}
	return entries(records)
}

// run hands the password over by the environment: a command line is everybody's
// to read.
func (p Program) run(ctx context.Context, dsn, database string, args ...string) ([]byte, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the connection string: %w", err)
	}
	if database == "" {
		database = config.Database
	}
	args = append([]string{"--format=custom", "--compress=0", "--schema-only", "--encoding=UTF8", "--no-publications", "--no-subscriptions",
		"--lock-wait-timeout=30s", "--no-password", "-d", conninfo(config, dsn, database)}, args...)
	cmd := exec.CommandContext(ctx, p.Path, args...)
	// A group of its own: it holds ACCESS SHARE on every table, and a terminal's Ctrl-Z
	// would stop it with them. So it comes to its end, whatever stops us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(os.Environ(), "PGOPTIONS="+options, "PGAPPNAME=pgumbra/dump", "LC_ALL=C")
	if config.Password != "" {
		cmd.Env = append(cmd.Env, "PGPASSWORD="+config.Password)
	}
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	file := spool()
	if file != nil {
		defer func() { _ = file.Close() }()
		cmd.Stdout = file
	}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &Error{cause: err, Messages: complaints(messages.String())}
	}
	if file == nil {
		return out.Bytes(), nil
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read what pg_dump wrote: %w", err)
	}
	return io.ReadAll(file)
}

// spool is where an archive goes: a file without a name. A pipe that nobody reads,
// because this process was stopped, would keep pg_dump waiting, and with it the locks
// of all tables. nil: no file can be made, and a pipe has to do.
func spool() *os.File {
	file, err := os.CreateTemp("", "pgumbra-dump-")
	if err != nil {
		return nil
	}
	_ = os.Remove(file.Name()) // where an open file cannot be removed, it stays behind
	return file
}

// Error is what pg_dump said when it gave up.
type Error struct {
	cause    error
	Messages string
}

func (e *Error) Error() string { return "pg_dump: " + e.Messages }
func (e *Error) Unwrap() error { return e.cause }

// complaints leaves only the errors of what pg_dump says.
func complaints(text string) string {
	var kept []string
	for _, line := range strings.Split(text, "\n") {
		if strings.Contains(line, "error:") || strings.Contains(line, "detail:") || strings.Contains(line, "Query was:") || strings.Contains(line, "query was:") {
			kept = append(kept, strings.TrimPrefix(line, "pg_dump: "))
		}
	}
	if len(kept) == 0 {
		return "ended without a message"
	}
	return strings.Join(kept, "; ")
}

// libpqKeys are what a connection string may hold besides host, port, user,
// database and password, and libpq understands.
var libpqKeys = regexp.MustCompile(`^(sslmode|sslcert|sslkey|sslrootcert|sslcrl|sslpassword|sslsni|channel_binding|gssencmode|krbsrvname|passfile|connect_timeout|target_session_attrs|require_auth|sslnegotiation)$`)

func conninfo(config *pgx.ConnConfig, dsn, database string) string {
	var hosts, ports []string
	for _, h := range pg.Hosts(&config.Config) {
		hosts, ports = append(hosts, h.Name), append(ports, strconv.Itoa(int(h.Port)))
	}
	parts := []string{"host=" + quoteConn(strings.Join(hosts, ",")), "port=" + strings.Join(ports, ","),
		"user=" + quoteConn(config.User), "dbname=" + quoteConn(database)}
	if len(hosts) > 1 {
		parts = append(parts, "target_session_attrs=primary") // the connection string's own comes after it
	}
	for _, kv := range dsnKeys(dsn) {
		if libpqKeys.MatchString(kv[0]) {
			parts = append(parts, kv[0]+"="+quoteConn(kv[1]))
		}
	}
	return strings.Join(parts, " ")
}

func quoteConn(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

var keywordPair = regexp.MustCompile(`([a-z_]+)\s*=\s*('(?:[^'\\]|\\.)*'|[^\s']*)`)

// dsnKeys lists the key-value pairs of a connection string of either form.
func dsnKeys(dsn string) [][2]string {
	var all [][2]string
	if u, err := url.Parse(dsn); err == nil && strings.HasPrefix(u.Scheme, "postgres") {
		for k, v := range u.Query() {
			all = append(all, [2]string{k, v[len(v)-1]})
		}
		return all
	}
	for _, found := range keywordPair.FindAllStringSubmatch(dsn, -1) {
		value := found[2]
		if strings.HasPrefix(value, "'") {
			value = strings.NewReplacer(`\\`, `\`, `\'`, `'`).Replace(value[1 : len(value)-1])
		}
		all = append(all, [2]string{found[1], value})
	}
	return all
}
