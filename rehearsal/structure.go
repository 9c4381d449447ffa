package rehearsal

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/migrations"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/upgrade"
)

// span is the migrations that an upgrade runs: those after from, up to to.
type span struct{ from, to int64 }

// StructureError says that production's structure could not be made on the
// disposable server. The caller shows it and exits 3.
type StructureError struct {
	what  string
	cause error
	setup bool // SQL failed, perhaps on what it takes for granted
}

func (e *StructureError) Error() string {
	text := e.what + ": " + oneCause(e.cause)
	if e.setup {
		text += "\nwhat the migrations take for granted (roles, extensions, settings, schemas and tables of others) goes into a SQL file that rehearse.setup names"
	}
	return text
}

// unfit is what cannot be made here at all.
func unfit(what string, cause error) error { return &StructureError{what: what, cause: cause} }

// sqlFailed is SQL that the disposable server refuses.
func sqlFailed(what string, cause error) error {
	return &StructureError{what: what, cause: cause, setup: true}
}

func (e *StructureError) Unwrap() error { return e.cause }

func oneCause(err error) string { return strings.TrimSpace(pg.Redact(err.Error())) }

// choose reads the folder, and finds which migrations are rehearsed where that needs
// no server.
func (r *rehearsal) choose(file *planfile.File) (err error) {
	r.given = file
	if file.Migrations.Path == "" {
		return &plans.FileError{File: file.Path, Line: file.Line("migrations"), Message: "a rehearsal needs migrations",
			Fix: "name golang-migrate's folder by migrations.path"}
	}
	if r.folder, err = migrations.Read(file.Migrations.Path); err != nil {
		return err
	}
	r.window.to = r.folder.Newest()
	if v := file.Migrations.Version; v != nil {
		r.window.to = *v
	}
	r.here(file)
	r.result.Data.Source = string(r.from())
	if r.from() != fromMigrations {
		return nil
	}
	if r.window.from, err = r.first(file, r.folder); err != nil {
		return err
	}
	return r.chosen()
}

// chosen: the versions are known.
func (r *rehearsal) chosen() error {
	r.result.FromVersion, r.result.ToVersion = r.window.from, r.window.to
	if len(r.folder.Between(&r.window.from, r.window.to)) == 0 {
		return upgrade.ErrNothingToDo
	}
	return nil
}

// first is production's version. Where the plan file says none, the newest
// migration alone is rehearsed: what a change of the folder brings as a rule.
func (r *rehearsal) first(file *planfile.File, folder *migrations.Folder) (int64, error) {
	fail := func(message, fix string) error {
		return &plans.FileError{File: file.Path, Line: file.Line("migrations.from"), Message: message, Fix: fix}
	}
	from := file.Migrations.From
	switch {
	case from != nil && *from == 0:
		return 0, fail("migrations.from is 0: there would be nothing to upgrade", "write the number of the last migration that production has")
	case from != nil && !folder.Has(*from):
		return 0, fail(fmt.Sprintf("migrations.from: the folder holds no migration %d", *from), "write the number of the last migration that production has")
	case from != nil:
		return *from, nil
	}
	before := folder.Between(nil, r.window.to-1)
	if len(before) == 0 {
		return 0, fail("the folder holds one migration only: there would be nothing to upgrade", "a rehearsal begins where production is: migrations.from")
	}
	last := before[len(before)-1]
	r.result.Notes = append(r.result.Notes, fmt.Sprintf("migrations.from is not set: production is taken to be at version %d, and what is newer is rehearsed", last.Version))
	return last.Version, nil
}

// here is the plan file with production on the disposable server, and no way yet to
// another one.
func (r *rehearsal) here(file *planfile.File) {
	f := *file
	f.Scratch.DSN, f.Migrations.From = "", nil
	f.Shadow.DSN, f.Traffic = "", planfile.TrafficFile{}
	r.file = &f
}

// structure makes production's database: from production, a dump, or as the
// migrations up to its version make it.
func (r *rehearsal) structure(ctx context.Context) error {
	if err := database(ctx, r.servers.production.DSN("postgres"), production, "template0"); err != nil {
		return err
	}
	r.file.Production.DSN = r.servers.production.DSN(production)
	if err := r.setUp(ctx); err != nil {
		return err
	}
	switch r.from() {
	case fromMigrations:
		return r.structureByMigrations(ctx)
	case fromProduction:
		if err := r.structureOf(ctx, r.given.Production.DSN); err != nil {
			return err
		}
		return r.atVersion(ctx, r.given.Production.DSN)
	}
	if err := r.restore(ctx, r.o.Dump); err != nil {
		return err
	}
	return r.atVersion(ctx, r.file.Production.DSN)
}

func (r *rehearsal) structureByMigrations(ctx context.Context) error {
	if err := r.schemaOf(ctx, r.file.Migrations.Table); err != nil {
		return err
	}
	if err := r.inPlace(r.file.Production.DSN).To(r.window.from); err != nil {
		return sqlFailed(fmt.Sprintf("the migrations up to version %d fail on an empty database", r.window.from), err)
	}
	return r.findVersionTable(ctx)
}

// atVersion notes production's version in the disposable database, as its version
// table says.
func (r *rehearsal) atVersion(ctx context.Context, dsn string) error {
	if err := r.versionFound(ctx, dsn); err != nil {
		return err
	}
	if err := r.chosen(); err != nil {
		return err
	}
	if err := r.schemaOf(ctx, r.file.Migrations.Table); err != nil {
		return err
	}
	if err := r.inPlace(r.file.Production.DSN).Force(r.window.from); err != nil {
		return fmt.Errorf("note the version: %w", err)
	}
	return r.findVersionTable(ctx)
}

func (r *rehearsal) inPlace(dsn string) InPlace {
	m := r.file.Migrations
	return InPlace{DSN: dsn, Folder: m.Path, Table: m.Table, MultiStatement: m.MultiStatement}
}

// setUp runs the user's own script.
func (r *rehearsal) setUp(ctx context.Context) error {
	path := r.file.Rehearse.Setup
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return &plans.FileError{File: path, Message: "read what rehearse.setup names: " + err.Error()}
	}
	conn, err := pgx.Connect(ctx, r.file.Production.DSN)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := pg.ExecScript(ctx, conn, string(text)); err != nil {
		return unfit(path+" fails", err)
	}
	return nil
}

// schemaOf makes the version table's schema, which golang-migrate does not.
func (r *rehearsal) schemaOf(ctx context.Context, table string) error {
	schema, _, qualified := strings.Cut(table, ".")
	if !qualified {
		return nil
	}
	conn, err := pgx.Connect(ctx, r.file.Production.DSN)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+pg.Ident(schema))
	return err
}

// findVersionTable looks where golang-migrate put it.
func (r *rehearsal) findVersionTable(ctx context.Context) (err error) {
	r.twin.version, err = r.versionTable(ctx, r.file.Production.DSN)
	return err
}

// versionTable is golang-migrate's in a database.
func (r *rehearsal) versionTable(ctx context.Context, dsn string) (name pg.Name, err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return name, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	parts := strings.Split(cmp.Or(r.file.Migrations.Table, "schema_migrations"), ".")
	for i := range parts {
		parts[i] = pg.Ident(parts[i])
	}
	err = conn.QueryRow(ctx, `SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)`,
		strings.Join(parts, ".")).Scan(&name.Schema, &name.Name)
	return name, err
}

// decodeCutover reads the record that status shows.
func decodeCutover(record json.RawMessage, into *Cutover) error {
	if len(record) == 0 || string(record) == "null" {
		return nil
	}
	longest := into.LongestMS
	err := json.Unmarshal(record, into)
	into.LongestMS = longest
	return err
}
