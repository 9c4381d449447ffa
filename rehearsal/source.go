package rehearsal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/pgdump"
	"github.com/pgumbra/pgumbra/plans/planner"
	"github.com/pgumbra/pgumbra/rehearsal/generate"
)

// structureOf makes the structure of production, which is only read, in the
// disposable database. Nothing of it is written to a file of ours.
func (r *rehearsal) structureOf(ctx context.Context, dsn string) error {
	text, err := r.dumpOf(ctx, dsn)
	if err != nil {
		return err
	}
	if err := r.prepareFor(ctx, "production", bytes.NewReader(text)); err != nil {
		return err
	}
	if _, err := r.program(ctx, "production's structure", bytes.NewReader(text), "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", r.file.Production.DSN, "-f", "-"); err != nil {
		return err
	}
	if err := r.dropOurs(ctx); err != nil {
		return err
	}
	return r.likeSessionOf(ctx, dsn)
}

// dumpOf is production's structure, by a pg_dump that is not older than its server.
// ACCESS SHARE on its tables for some seconds.
func (r *rehearsal) dumpOf(ctx context.Context, dsn string) ([]byte, error) {
	var number int
	err := Oracle{}.reading(ctx, dsn, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&number)
	})
	if err != nil {
		return nil, fmt.Errorf("production: %w", err)
	}
	major := number / 10000
	if own := leading(r.result.Server); major > own {
		return nil, unfit(fmt.Sprintf("production is PostgreSQL %d, the disposable server is %d", major, own), fmt.Errorf("--server-version %d takes another one", major))
	}
	for _, program := range pgdump.Installed(ctx) {
		if program.Major < major {
			continue
		}
		cmd := exec.CommandContext(ctx, program.Path, "--schema-only", "--exclude-schema=pgumbra*", "-d", dsn)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		text, err := cmd.Output()
		if err != nil {
			return nil, unfit("pg_dump of production fails", fmt.Errorf("%w: %s", err, stderr.String()))
		}
		return text, nil
	}
	return nil, unfit("no pg_dump is installed that can read production", fmt.Errorf("install that of PostgreSQL %d", major))
}

func leading(version string) int {
	n, _ := strconv.Atoi(regexp.MustCompile(`^\d+`).FindString(version))
	return n
}

// likeSessionOf gives the database what a session of production's has that decides
// what names and values mean.
func (r *rehearsal) likeSessionOf(ctx context.Context, dsn string) error {
	conn, err := pg.ConnectAsClient(ctx, dsn, "rehearse")
	if err != nil {
		return fmt.Errorf("production: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return r.execute(ctx, func(here *pgx.Conn) error {
		for _, name := range []string{"search_path", "TimeZone", "DateStyle", "IntervalStyle"} {
			var value string
			if err := conn.QueryRow(ctx, "SHOW "+name).Scan(&value); err != nil {
				return err
			}
			if _, err := here.Exec(ctx, setting{name, value}.sql(production)); err != nil {
				return err
			}
		}
		return nil
	})
}

// execute works on the disposable production as superuser.
func (r *rehearsal) execute(ctx context.Context, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, r.file.Production.DSN)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return do(conn)
}

// restore reads a dump into the disposable database, plain or in pg_dump's custom
// format. Roles that it names are made first, without a login.
func (r *rehearsal) restore(ctx context.Context, path string) error {
	archive, err := isArchive(path)
	if err != nil {
		return &plans.FileError{File: path, Message: "read the dump: " + err.Error()}
	}
	name := filepath.Base(path)
	if archive {
		text, err := r.program(ctx, name, nil, "pg_restore", "--schema-only", "-f", "-", path)
		if err != nil {
			return err
		}
		if err := r.prepareFor(ctx, name, bytes.NewReader(text)); err != nil {
			return err
		}
		return r.restored(ctx, name, restoreArchive(ctx, r.bin, path, r.file.Production.DSN))
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if err := r.prepareFor(ctx, name, file); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return r.restored(ctx, name, restoreText(ctx, r.bin, file, r.file.Production.DSN))
}

// restored ends what brought a dump in, err.
func (r *rehearsal) restored(ctx context.Context, dump string, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return sqlFailed(dump+" cannot be restored", err)
	}
	return r.dropOurs(ctx)
}

func isArchive(path string) (bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }()
	if about, err := file.Stat(); err == nil && about.IsDir() {
		return false, errors.New("it is a folder; pg_dump -Fp and -Fc write files that can be read")
	}
	head := make([]byte, 5)
	if _, err := io.ReadFull(file, head); err != nil {
		return false, errors.New("it is empty")
	}
	return string(head) == "PGDMP", nil
}

// program runs one of PostgreSQL's on a dump, and returns what it prints.
func (r *rehearsal) program(ctx context.Context, dump string, in io.Reader, name string, args ...string) ([]byte, error) {
	path, err := r.bin(name)
	if err != nil {
		return nil, unfit(dump+" needs "+name, err)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = in, &stderr
	out, err := cmd.Output()
	if err != nil && ctx.Err() == nil {
		return nil, sqlFailed(dump+" cannot be restored", errors.New(lastLines(stderr.String())))
	}
	return out, ctx.Err()
}

func lastLines(s string) string { return s[max(0, len(s)-1000):] }

var (
	dumpedFrom = regexp.MustCompile(`^-- Dumped from database version (\d+)`)
	dumpedRole = regexp.MustCompile(`(?:OWNER TO|\bTO|\bFROM|FOR ROLE|AUTHORIZATION) ("(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)(?:,|;| WITH| IN SCHEMA|$)`)
	speaksRole = regexp.MustCompile(`^(?:ALTER|GRANT|REVOKE|CREATE (?:SCHEMA|POLICY))\b`)
)

// prepareFor makes the roles that a dump names and what a run's triggers in it call, and
// refuses one of a newer server.
func (r *rehearsal) prepareFor(ctx context.Context, dump string, text io.Reader) error {
	roles := map[string]bool{}
	r.ours = ownParts{made: map[string]bool{}, functions: map[string]string{}}
	lines := bufio.NewReaderSize(text, 1<<16)
	for {
		line, err := lines.ReadString('\n')
		if m := dumpedFrom.FindStringSubmatch(line); m != nil {
			if from, own := leading(m[1]), leading(r.result.Server); from > own {
				return unfit(fmt.Sprintf("%s is of PostgreSQL %d, the disposable server is %d", dump, from, own), fmt.Errorf("--server-version %d takes another one", from))
			}
		}
		r.ours.note(line)
		if speaksRole.MatchString(line) {
			for _, m := range dumpedRole.FindAllStringSubmatch(line, -1) {
				roles[m[1]] = true
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	return r.execute(ctx, func(conn *pgx.Conn) error {
		for role := range roles {
			_, err := conn.Exec(ctx, "CREATE ROLE "+role) // there already, or PUBLIC: as good
			if err != nil && pg.State(err) == "" {
				return err
			}
		}
		return pg.ExecScript(ctx, conn, strings.Join(r.ours.standIns(), ";\n"))
	})
}

// versionFound is production's version: what the plan file says, else what the
// version table holds at the place it was taken from.
func (r *rehearsal) versionFound(ctx context.Context, dsn string) error {
	if from := r.given.Migrations.From; from != nil {
		r.window.from = *from
		return nil
	}
	var dirty bool
	fail := func(message string) error {
		return &plans.FileError{File: r.given.Path, Line: r.given.Line("migrations.from"), Message: message, Fix: "write the number of the last migration that production has: migrations.from"}
	}
	name, err := r.versionTable(ctx, dsn)
	if err != nil {
		return fail("no version table was found")
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = conn.QueryRow(ctx, "SELECT version, dirty FROM "+name.Quoted()).Scan(&r.window.from, &dirty)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fail("the version table is empty")
	case err != nil:
		return fmt.Errorf("read the version: %w", err)
	case dirty:
		return fail(fmt.Sprintf("version %d is dirty: the last migration failed", r.window.from))
	}
	return nil
}

// sample takes rows of production's into the disposable database.
func (r *rehearsal) sample(ctx context.Context) error {
	masks := map[pg.Name]map[string]string{}
	for _, t := range r.given.Tables {
		for column, e := range t.Mask {
			if masks[t.Name] == nil {
				masks[t.Name] = map[string]string{}
			}
			masks[t.Name][column] = e.SQL
		}
	}
	tables, err := planner.SampleRows(ctx, planner.Sample{DSN: r.given.Production.DSN, Schemas: r.given.Production.Schemas, Leave: r.twin.version,
		Rows: int(r.given.Rehearse.Rows), Masks: masks})
	if err != nil {
		return err
	}
	to, err := pg.Connect(ctx, r.file.Production.DSN, pg.Options{Component: "sample", Settings: map[string]string{"session_replication_role": "replica"}})
	if err != nil {
		return err
	}
	defer func() { _ = to.Close(context.WithoutCancel(ctx)) }()
	for _, t := range tables {
		if err := r.put(ctx, to, t); err != nil {
			return err
		}
	}
	look, err := catalog.Read(ctx, to)
	if err != nil {
		return err
	}
	at, err := standing(ctx, r.given.Production.DSN)
	if err != nil {
		return fmt.Errorf("production: %w", err)
	}
	if err := (twin{sequences: at}).setSequences(ctx, to, look); err != nil {
		return err
	}
	_, err = to.Exec(ctx, "ANALYZE")
	return err
}

func (r *rehearsal) put(ctx context.Context, to *pgx.Conn, t planner.Sampled) error {
	r.result.Data.Tables = append(r.result.Data.Tables, generate.Filled{Table: t.Name, Rows: t.Count})
	if t.Cut != "" {
		r.result.Notes = append(r.result.Notes, fmt.Sprintf("of %s rows may be missing that others refer to: %s", t.Name, t.Cut))
	}
	if len(t.Rows) == 0 {
		return nil
	}
	_, err := to.PgConn().CopyFrom(ctx, bytes.NewReader(t.Rows), pg.CopyFrom(t.Name.Quoted(), t.Columns, pg.Text))
	if pg.State(err) == pgerrcode.UniqueViolation || pg.State(err) == pgerrcode.CheckViolation {
		return unfit("the masked rows of "+t.Name.String()+" break a constraint: correct its mask", err)
	}
	if err != nil {
		return fmt.Errorf("put the rows of %s: %w", t.Name, err)
	}
	return nil
}

// from is where the structure comes from.
func (r *rehearsal) from() origin {
	switch {
	case r.o.Dump != "":
		return fromDump
	case r.given.Production.DSN != "":
		return fromProduction
	}
	return fromMigrations
}

// origin is where structure and rows come from, as reports say it.
type origin string

const (
	fromMigrations origin = "generated"
	fromProduction origin = "a sample of production's"
	fromDump       origin = "of the dump"
)
