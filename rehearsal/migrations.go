package rehearsal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	migratedb "github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/rehearsal/generate"
)

const (
	// fewRows are what migrations are tried on before rows are made for the rehearsal.
	fewRows = 100
	// fewValues are different ones of a column in these: a new unique index finds some
	// twice.
	fewValues = 20
	// mostTries bounds how often they are tried.
	mostTries = 12
)

// Databases in which migrations are tried on few rows, and on none.
const (
	tried   = "tried"
	without = "without_rows"
)

// askMigrations runs the migrations in place on a few generated rows. What they fail
// on says what they ask of rows beyond the catalog: a text that is JSON, a value that
// another table has. Rows that keep to it are tried again. An error of the kind
// [failedMigration] is one from which nothing is learned: the upgrade would fail too.
func (r *rehearsal) askMigrations(ctx context.Context, o generate.Options) error {
	defer func() { _ = r.drop(context.WithoutCancel(ctx), tried, without) }()
	for range mostTries {
		o.Asks, o.Few = r.asks, fewValues
		err := r.tryMigrations(ctx, o)
		var failed *failedMigration
		if !errors.As(err, &failed) {
			return err
		}
		more, learnErr := r.learn(ctx, failed)
		if learnErr != nil {
			return learnErr
		}
		if !r.ask(more) {
			return err
		}
	}
	return nil
}

// ask notes what is asked; false: nothing of it is new.
func (r *rehearsal) ask(more []generate.Ask) bool {
	before := len(r.asks)
	for _, a := range more {
		if !slices.ContainsFunc(r.asks, func(known generate.Ask) bool { return reflect.DeepEqual(known, a) }) {
			r.asks = append(r.asks, a)
			r.result.Data.Asked = append(r.result.Data.Asked, a.String())
		}
	}
	return len(r.asks) > before
}

// tryMigrations runs them on a few rows.
func (r *rehearsal) tryMigrations(ctx context.Context, o generate.Options) error {
	if err := r.fresh(ctx, tried); err != nil {
		return err
	}
	dsn := r.servers.production.DSN(tried)
	err := Oracle{}.reading(ctx, dsn, func(conn *pgx.Conn) error {
		m, err := generate.Read(ctx, conn, o)
		if err != nil {
			return err
		}
		_, _, err = m.Fill(ctx, conn, min(fewRows, r.file.Rehearse.Rows))
		return err
	})
	if err != nil {
		return err
	}
	return r.migrate(dsn)
}

// migratedWithoutRows has the migrations run on no rows, once: they come to the same each
// time. False: they fail there too.
func (r *rehearsal) migratedWithoutRows(ctx context.Context) (bool, error) {
	if r.withoutRows == nil {
		if err := r.fresh(ctx, without); err != nil {
			return false, err
		}
		migrated := r.migrate(r.servers.production.DSN(without)) == nil
		r.withoutRows = &migrated
	}
	return *r.withoutRows, nil
}

// fresh makes a database of production's structure anew, beside it.
func (r *rehearsal) fresh(ctx context.Context, name string) error {
	if err := r.drop(ctx, name); err != nil {
		return err
	}
	if err := database(ctx, r.servers.production.DSN("postgres"), name, pristine); err != nil {
		return err
	}
	return Oracle{}.reading(ctx, r.servers.production.DSN(name), func(conn *pgx.Conn) error { return r.twin.settle(ctx, conn) })
}

func (r *rehearsal) drop(ctx context.Context, names ...string) error {
	return Oracle{}.reading(ctx, r.servers.production.DSN("postgres"), func(conn *pgx.Conn) error {
		for _, name := range names {
			if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+pg.Ident(name)+" WITH (FORCE)"); err != nil {
				return err
			}
		}
		return nil
	})
}

// failedMigration says that a migration fails in place.
type failedMigration struct {
	file   string
	line   uint // 0: not known
	sql    string
	server *pgconn.PgError
	rows   origin
	anyRow bool // it fails on whatever row there is
}

func (e *failedMigration) Unwrap() error { return e.server }

func (e *failedMigration) Error() string {
	where := e.file
	if e.line > 0 {
		where = fmt.Sprintf("%s:%d", e.file, e.line)
	}
	message := fmt.Sprintf("%s fails: %s", where, pg.Message(e.server))
	if e.server.Detail != "" {
		message += "; " + strings.TrimSuffix(e.server.Detail, ".")
	}
	return message
}

// fix says what to write, as far as the server's error tells it.
func (e *failedMigration) fix() string {
	if e.anyRow {
		return "rows that are there break it: give the new column a default, or fill it for every row before SET NOT NULL"
	}
	if e.rows != fromMigrations {
		return "correct the migration, or these rows: run on production as they are, it fails"
	}
	rule := "tables.<table>.generate"
	if names := e.columns(); len(names) > 0 && e.server.TableName != "" {
		rule = fmt.Sprintf("tables: {%s: {generate: {%s: '…'}}}", pg.Name{Schema: e.server.SchemaName, Name: e.server.TableName}, names[len(names)-1])
	}
	return "if production's rows are other than generated ones, say in the plan file how their values are made, n being the row's number: " + rule + "; otherwise correct the migration"
}

// migrate runs the window's migrations in place.
func (r *rehearsal) migrate(dsn string) error {
	err := r.inPlace(dsn).To(r.window.to)
	if err == nil {
		return nil
	}
	failed := &failedMigration{rows: r.from()}
	var one migratedb.Error
	if !errors.As(err, &one) || !errors.As(one.OrigErr, &failed.server) {
		return err
	}
	failed.sql = string(one.Query)
	if failed.server.Position > 0 { // else golang-migrate names the file's first line
		failed.line = one.Line
	}
	failed.file = r.dirty(dsn)
	return failed
}

// dirty is the file of the migration that failed last.
func (r *rehearsal) dirty(dsn string) string {
	ctx := context.Background()
	var version int64
	err := Oracle{}.reading(ctx, dsn, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT version FROM "+r.twin.version.Quoted()+" WHERE dirty").Scan(&version)
	})
	for _, f := range r.folder.Files {
		if err == nil && f.Version == version {
			return f.Name
		}
	}
	return "a migration"
}

// blame asks, of an upgrade that failed before its cutover, whether the migrations
// fail in place too, on the same rows. Then it is theirs, and no fault of the upgrade.
func (r *rehearsal) blame(ctx context.Context, gate *Gate) *Gate {
	if !slices.Contains([]string{"plan", "run", "cutover"}, gate.Name) || r.result.Cutover != nil || r.result.Rollback != nil {
		return gate
	}
	failed, err := r.failsInPlace(ctx)
	if err != nil || failed == nil {
		if err != nil {
			r.o.Log.Warn("whether the migrations fail in place too could not be asked", "error", err)
		}
		return gate
	}
	failed.line = cmp.Or(failed.line, r.lineOf(failed))
	return failed.gate("; the upgrade ended at: " + gate.Message)
}

// lineOf is the statement's, where the plan's blockers know it: those of the file with the
// same SQLSTATE are of one line. 0: not known, as golang-migrate sends the file as a whole.
func (r *rehearsal) lineOf(failed *failedMigration) (line uint) {
	for _, f := range r.result.Found {
		number, ok := strings.CutPrefix(f.Where, failed.file+":")
		if !ok || f.Level != plans.Blocker || !strings.Contains(f.Message, failed.server.Code) {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || line != 0 && line != uint(n) {
			return 0
		}
		line = uint(n)
	}
	return line
}

// gate is the verdict on migrations that fail on the rows that there are.
func (e *failedMigration) gate(also string) *Gate {
	return &Gate{Name: "migrations", Message: fmt.Sprintf("run in place on the same rows (%s), %s: that is no fault of the upgrade%s", e.rows, e.Error(), also), Fix: e.fix()}
}

// failsInPlace runs the migrations in place on production's rows as they are.
func (r *rehearsal) failsInPlace(ctx context.Context) (*failedMigration, error) {
	defer func() { _ = r.drop(context.WithoutCancel(ctx), tried) }()
	if err := r.fresh(ctx, tried); err != nil {
		return nil, err
	}
	t := r.twin
	t.dsn, t.upgraded = r.servers.production.DSN(tried), r.file.Production.DSN
	var err error
	if t.sequences, err = standing(ctx, t.upgraded); err != nil {
		return nil, err
	}
	if err := t.load(ctx, r.file.Production.DSN, asBefore, asStored); err != nil {
		return nil, err
	}
	var failed *failedMigration
	err = r.migrate(t.dsn)
	if errors.As(err, &failed) {
		return failed, nil
	}
	return nil, err
}
