package plans

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// findPgDump takes the first pg_dump that is not older than the server: the
// one on PATH, then Debian's versioned folders, newest first.
func (m *maker) findPgDump(ctx context.Context) error {
	var seen []string
	for _, path := range pgDumps() {
		major := pgDumpMajor(ctx, path)
		if major >= m.session.server/10000 {
			m.pgDump = path
			return nil
		}
		if major > 0 {
			seen = append(seen, fmt.Sprintf("%s is of version %d", path, major))
		}
	}
	server := m.session.server / 10000
	if len(seen) == 0 {
		m.blocker("pg-dump-missing", "pg_dump", "pg_dump was not found on PATH nor in /usr/lib/postgresql",
			fmt.Sprintf("install PostgreSQL's client programs, version %d or newer (Debian: postgresql-client-%d)", server, server))
		return errBlocked
	}
	m.blocker("pg-dump-too-old", "pg_dump", fmt.Sprintf("the server is of version %d, but %s: an older pg_dump refuses a newer server", server, strings.Join(seen, ", ")),
		fmt.Sprintf("install PostgreSQL's client programs, version %d or newer (Debian: postgresql-client-%d)", server, server))
	return errBlocked
}

// clientFolders are where packages put each version's programs.
var clientFolders = []string{"/usr/lib/postgresql/%d/bin", "/usr/pgsql-%d/bin"}

func pgDumps() []string {
	var all []string
	if path, err := exec.LookPath("pg_dump"); err == nil {
		all = append(all, path)
	}
	for v := 30; v >= oldestServer; v-- {
		for _, folder := range clientFolders {
			if path := filepath.Join(fmt.Sprintf(folder, v), "pg_dump"); executable(path) {
				all = append(all, path)
			}
		}
	}
	return all
}

func executable(path string) bool {
	info, err := os.Stat(filepath.Clean(path))
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}

var dumpVersion = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

func pgDumpMajor(ctx context.Context, path string) int {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return 0
	}
	found := dumpVersion.FindSubmatch(out)
	if found == nil {
		return 0
	}
	major, _ := strconv.Atoi(string(found[1])) // digits by the pattern
	return major
}

// runPgDump dumps a database's structure as text with verbose comments, which
// tell each entry's catalog and oid. The password goes by environment: the
// command line is everybody's to read.
func runPgDump(ctx context.Context, path, dsn, database string, args ...string) (string, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return "", fmt.Errorf("read the connection string: %w", err)
	}
	if database == "" {
		database = config.Database
	}
	args = append([]string{"--schema-only", "--verbose", "--encoding=UTF8", "--no-publications", "--no-subscriptions",
		"--lock-wait-timeout=30s", "-d", conninfo(config, dsn, database)}, args...)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+config.Password, "PGOPTIONS=", "PGAPPNAME=pgumbra/dump", "LC_ALL=C")
	if config.Password == "" {
		cmd.Env = append(os.Environ(), "PGOPTIONS=", "PGAPPNAME=pgumbra/dump", "LC_ALL=C")
	}
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", &dumpError{cause: err, messages: dumpErrors(messages.String())}
	}
	return out.String(), nil
}

// dumpError is what pg_dump said.
type dumpError struct {
	cause    error
	messages string
}

func (e *dumpError) Error() string { return "pg_dump: " + e.messages }
func (e *dumpError) Unwrap() error { return e.cause }

// dumpErrors leaves only errors of --verbose's chatter.
func dumpErrors(text string) string {
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
	parts := []string{"host=" + quoteConn(config.Host), "port=" + strconv.Itoa(int(config.Port)),
		"user=" + quoteConn(config.User), "dbname=" + quoteConn(database)}
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

// dumpEntry is one entry of a dump's table of contents, with its text.
type dumpEntry struct {
	toc    int
	class  uint32
	oid    uint32
	deps   []int
	name   string
	tag    string
	schema string
	owner  string
	sql    string
}

var (
	tocLine  = regexp.MustCompile(`^-- TOC entry (\d+) \(class (\d+) OID (\d+)\)$`)
	depsLine = regexp.MustCompile(`^-- Dependencies:((?: \d+)*)$`)
	nameLine = regexp.MustCompile(`^-- Name: (.*); Type: ([A-Z ]+); Schema: (.*); Owner: (.*?)(?:; Tablespace: (.*))?$`)
	setLine  = regexp.MustCompile(`^SET default_(tablespace|table_access_method) = (.*);$`)
)

var errDumpFormat = errors.New("pg_dump wrote no table of contents that pgumbra understands")

// parseDump splits a verbose plain dump into its entries, in their order. What
// pg_dump sets between entries (tablespace, table access method) is written
// into the entries that need it, so that each can be run by itself.
func parseDump(text string) ([]dumpEntry, error) {
	lines := strings.Split(text, "\n")
	var all []dumpEntry
	var body []string
	settings := map[string]string{}
	flush := func() {
		if len(all) == 0 {
			takeSettings(body, settings)
		} else {
			all[len(all)-1].sql += strings.TrimSpace(strings.Join(takeSettings(body, settings), "\n"))
		}
		body = nil
	}
	for i := 0; i < len(lines); i++ {
		entry, size := header(lines[i:])
		switch {
		case size > 0:
			flush()
			entry.sql = prefixed(entry.tag, settings)
			all = append(all, entry)
			i += size - 1
		case lines[i] == "--" && i+1 < len(lines) && lines[i+1] == "-- PostgreSQL database dump complete",
			strings.HasPrefix(lines[i], "-- Completed on ") && len(lines)-i < 12:
			i = len(lines)
		default:
			body = append(body, lines[i])
		}
	}
	flush()
	if len(all) == 0 && strings.Contains(text, "CREATE ") {
		return nil, errDumpFormat
	}
	return withReset(all), nil
}

// header recognises the comment before an entry; size 0: there is none.
func header(lines []string) (e dumpEntry, size int) {
	if len(lines) < 4 || lines[0] != "--" {
		return e, 0
	}
	toc := tocLine.FindStringSubmatch(lines[1])
	if toc == nil {
		return e, 0
	}
	at := 2
	if deps := depsLine.FindStringSubmatch(lines[at]); deps != nil {
		for _, d := range strings.Fields(deps[1]) {
			n, _ := strconv.Atoi(d) // digits by the pattern
			e.deps = append(e.deps, n)
		}
		at++
	}
	if at+1 >= len(lines) {
		return e, 0
	}
	name := nameLine.FindStringSubmatch(lines[at])
	if name == nil || lines[at+1] != "--" {
		return e, 0
	}
	e.toc, _ = strconv.Atoi(toc[1])
	class, _ := strconv.ParseUint(toc[2], 10, 32)
	oid, _ := strconv.ParseUint(toc[3], 10, 32)
	e.class, e.oid = uint32(class), uint32(oid)
	e.name, e.tag, e.schema, e.owner = name[1], name[2], name[3], name[4]
	return e, at + 2
}

// takeSettings cuts SET lines off the end of an entry's text: pg_dump writes
// them for the next one.
func takeSettings(body []string, settings map[string]string) []string {
	end := len(body)
	for ; end > 0; end-- {
		line := strings.TrimSpace(body[end-1])
		if line != "" && setLine.FindStringSubmatch(line) == nil {
			break
		}
	}
	for _, line := range body[end:] {
		if found := setLine.FindStringSubmatch(strings.TrimSpace(line)); found != nil {
			settings["default_"+found[1]] = found[2]
		}
	}
	return body[:end]
}

func stored(tag string) bool {
	return tag == "TABLE" || tag == "INDEX" || tag == "CONSTRAINT" || tag == "MATERIALIZED VIEW"
}

func prefixed(tag string, settings map[string]string) string {
	if !stored(tag) {
		return ""
	}
	var b strings.Builder
	if v := settings["default_tablespace"]; v != "" && v != "''" {
		b.WriteString("SET default_tablespace = " + v + ";\n")
	}
	if v := settings["default_table_access_method"]; v != "" && v != "heap" && (tag == "TABLE" || tag == "MATERIALIZED VIEW") {
		b.WriteString("SET default_table_access_method = " + v + ";\n")
	}
	return b.String()
}

func withReset(all []dumpEntry) []dumpEntry {
	for i, e := range all {
		if strings.HasPrefix(e.sql, "SET default_tablespace") {
			all[i].sql += "\nSET default_tablespace = '';"
		}
		if strings.Contains(e.sql, "SET default_table_access_method") && stored(e.tag) {
			all[i].sql += "\nSET default_table_access_method = heap;"
		}
	}
	return all
}
