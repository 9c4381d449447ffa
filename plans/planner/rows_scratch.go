package planner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/pgdump"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

// rowsSuffix ends the name of the second scratch database, which holds rows.
const rowsSuffix = "_rows"

// makeRowsScratch makes a second scratch database, with production's structure
// and the sample in it: the rows come before the constraints and triggers, as
// pg_restore brings them. So no trigger of the user's fires, foreign keys may go
// round in circles, and no right beyond an owner's is needed. From the first row on
// whatever calls the user's code is done by the guest, where there is one.
func (p *proof) makeRowsScratch(ctx context.Context) (err error) {
	s := &scratch{dsn: p.scratch.dsn, name: fitName(p.scratch.name + rowsSuffix), guest: p.scratch.guest}
	p.rowsScratch = s
	if s.admin, err = pg.Connect(ctx, s.dsn, pg.Options{Component: "scratch"}); err != nil {
		return err
	}
	if err := p.createScratch(ctx, s); err != nil {
		return err
	}
	if s.db, err = s.connect(ctx, "scratch"); err != nil {
		return err
	}
	if err := p.dropPublic(ctx, s); err != nil {
		return err
	}
	structure := slices.DeleteFunc(slices.Clone(p.dump), isGuard)
	at := slices.IndexFunc(structure, func(e pgdump.Entry) bool { return e.PostData })
	if at < 0 {
		at = len(structure)
	}
	if err := s.quietly(ctx, func() error { return runEntries(ctx, s.db, structure[:at]) }); err != nil {
		return err
	}
	if err := p.admit(ctx, s); err != nil {
		return err
	}
	if err := p.fill(ctx, s, structure[at:]); err != nil {
		return err
	}
	if err := p.populate(ctx, s); err != nil {
		return err
	}
	if err := p.onRows().alignSequences(ctx, s); err != nil {
		return err
	}
	return p.onRows().setGuards(ctx)
}

// fill brings the rows, then what comes after rows.
func (p *proof) fill(ctx context.Context, s *scratch, after []pgdump.Entry) error {
	conn, err := p.connectRows(ctx, s)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := p.loadAll(ctx, conn); err != nil {
		return err
	}
	if s.guest == nil {
		return runEntries(ctx, s.db, after)
	}
	for _, e := range after {
		asGuest := e
		asGuest.SQL = s.guest.masked(e.SQL)
		err := runEntry(ctx, conn, asGuest)
		if pg.State(err) == pgerrcode.InsufficientPrivilege && !slices.Contains(lookAtRows, e.Tag) {
			err = runEntry(ctx, s.db, e)
		}
		if err != nil && (pg.State(err) == "" || !tolerable(e)) {
			return &entryError{entry: e, cause: err}
		}
	}
	return s.handAllOver(ctx)
}

// lookAtRows are entries that evaluate code of the user's over rows.
var lookAtRows = []string{"INDEX", "CONSTRAINT", "FK CONSTRAINT", "CHECK CONSTRAINT", "STATISTICS", "MATERIALIZED VIEW DATA"}

// connectRows is a session in a scratch database in which rows go in and out as
// they do in production's sample.
func (p *proof) connectRows(ctx context.Context, s *scratch) (*pgx.Conn, error) {
	config, err := s.config("scratch", "")
	if err != nil {
		return nil, err
	}
	s.asGuest(config)
	if p.session.Encoding == sqlASCII {
		config.RuntimeParams["client_encoding"] = sqlASCII
	}
	return pgx.ConnectConfig(ctx, config)
}

// loadAll loads the sample. A table that refuses its rows stays empty: what
// refers to them goes, too.
func (p *proof) loadAll(ctx context.Context, conn *pgx.Conn) error {
	for _, t := range p.sample.ordered() {
		err := t.load(ctx, conn)
		if pg.State(err) == "" && err != nil {
			return err
		}
		if err != nil {
			t.leaveOut(serverMessage(withoutRow(err)))
		}
	}
	if !slices.ContainsFunc(p.sample.ordered(), func(t *drawn) bool { return t.cut != "" }) {
		return nil
	}
	return p.dropOrphans(ctx, conn)
}

func (t *drawn) load(ctx context.Context, conn *pgx.Conn) error {
	if t.count == 0 {
		return nil
	}
	_, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(t.rows), "COPY "+t.table.Name.Quoted()+" ("+pg.Idents(t.columns())+") FROM STDIN")
	return err
}

// dropOrphans takes rows away whose reference was not taken along, in the order of
// the references, and keeps what is left as the sample.
func (p *proof) dropOrphans(ctx context.Context, conn *pgx.Conn) error {
	for more := true; more; {
		more = false
		for i := range p.sample.keys {
			k := &p.sample.keys[i]
			if k.made {
				if slices.ContainsFunc(p.sample.leaves(k.parent), func(l *catalog.Table) bool { t := p.sample.tables[l.OID]; return t != nil && t.cut != "" }) {
					p.open[k.name] = true
				}
				continue
			}
			if !k.valid {
				continue
			}
			tag, err := conn.Exec(ctx, k.orphansSQL())
			if err != nil {
				return fmt.Errorf("take rows without their references out of the sample: %w", err)
			}
			more = more || tag.RowsAffected() > 0
		}
	}
	for _, t := range p.sample.ordered() {
		if t.count == 0 {
			continue
		}
		var rows bytes.Buffer
		tag, err := conn.PgConn().CopyTo(ctx, &rows, "COPY (SELECT "+pg.Idents(t.columns())+" FROM ONLY "+t.table.Name.Quoted()+") TO STDOUT")
		if err != nil {
			return fmt.Errorf("read the sample of %s: %w", t.table.Name, err)
		}
		t.rows, t.count = rows.Bytes(), tag.RowsAffected()
	}
	return nil
}

// admit makes what traces the migrations, and lets the guest in as into the first
// database: with the stand-ins as owners, and what was lifted for it there.
func (p *proof) admit(ctx context.Context, s *scratch) error {
	if err := pg.ExecScript(ctx, s.db, syntax.TraceSetup()); err != nil {
		return fmt.Errorf("prepare the trace: %w", err)
	}
	if err := s.prepareGuest(ctx); err != nil || s.guest == nil {
		return err
	}
	if err := s.admitGuest(ctx); err != nil {
		return err
	}
	for n, l := range s.guest.lifted {
		if err := s.keepLifted(ctx, n+1, l); err != nil {
			return err
		}
	}
	return s.handAllOver(ctx)
}

// onRows is the same trial in the second database. Its findings are its own.
func (p *proof) onRows() *trial {
	if p.there == nil {
		task, catalogs, survey, site, there, plan := *p.task, *p.catalogs, *p.survey, *p.site, *p.trial, *p.plan
		plan.Findings = nil
		task.plan = &plan
		survey.task, survey.catalogs = &task, &catalogs
		site.survey = &survey
		there.site, there.scratch, there.sampled = &site, p.rowsScratch, true
		p.there = &there
	}
	return p.there
}

// withoutRow leaves out of a server's message what it tells of a row beyond a key.
func withoutRow(err error) error {
	var failed *pgconn.PgError
	if !errors.As(err, &failed) {
		return err
	}
	told := *failed
	if told.Code != pgerrcode.UniqueViolation && told.Code != pgerrcode.ForeignKeyViolation {
		told.Detail = ""
	}
	if told.Code[:2] == "22" {
		told.Message = valueInMessage.ReplaceAllString(told.Message, `: "…"`)
	}
	return &told
}
