package planner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/pgdump"
)

// tryOnShadow makes the whole structure in the shadow's database and takes it
// back: what a newer server refuses of an older one's structure (functions and
// views of the catalogs that are gone, settings that were removed), what we may
// not do there and what its server lacks shows now, not in the middle of a run.
// One transaction, rolled back; nobody waits for it, since nothing that it locks
// is anybody else's.
func (m *site) tryOnShadow(ctx context.Context) error {
	if !m.plan.Remote || m.side.live || m.found(plans.Blocker) {
		return nil // what follows from a blocker would only hide it
	}
	tx, err := m.side.db.Begin(ctx)
	if err != nil {
		return fmt.Errorf("try the structure on the shadow: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, `SELECT set_config('search_path', '', true), set_config('lock_timeout', '10s', true)`); err != nil {
		return fmt.Errorf("try the structure on the shadow: %w", err)
	}
	var failed []*entryError
	for _, stage := range []plans.Stage{plans.StageBuild, plans.StageKey, plans.StageIndex, plans.StageLate, plans.StageSwap} {
		more, err := tryEntries(ctx, tx, m.inStage(stage))
		if err != nil {
			return fmt.Errorf("try the structure on the shadow: %w", err)
		}
		failed = append(failed, more...)
		if slices.ContainsFunc(failed, outOfLocks) {
			break
		}
	}
	m.classifyTrial(ctx, failed)
	if m.found(plans.Blocker) || slices.ContainsFunc(failed, outOfLocks) {
		return nil
	}
	return m.classifyEffect(ctx, tx)
}

// classifyEffect looks at what the trial came to, in its transaction. GRANT and
// REVOKE of what is not ours to give warn and do nothing. And we must be able to
// bring the names in, and to connect afterwards.
func (m *site) classifyEffect(ctx context.Context, tx pgx.Tx) error {
	left, err := m.corrections(ctx, tx)
	if err != nil {
		return err
	}
	for _, c := range left {
		m.leaveOut(c, "the shadow's server took it and did nothing: it is not ours to give there")
	}
	return m.checkStillMay(ctx, tx)
}

func (m *task) found(level plans.Level) bool {
	return slices.ContainsFunc(m.plan.Findings, func(f plans.Finding) bool { return f.Level == level })
}

func (m *task) inStage(stage plans.Stage) []plans.Entry {
	return slices.DeleteFunc(slices.Clone(m.plan.Entries), func(e plans.Entry) bool { return e.Stage != stage })
}

// tryEntries runs a group at once, and entry by entry where it fails.
func tryEntries(ctx context.Context, tx pgx.Tx, entries []plans.Entry) ([]*entryError, error) {
	var failed []*entryError
	for group := range slices.Chunk(entries, entriesAtOnce) {
		err := try(ctx, tx, group...)
		if err == nil {
			continue
		}
		for _, e := range group {
			err := try(ctx, tx, e)
			if err != nil && pg.State(err) == "" {
				return nil, err
			}
			if err != nil {
				failed = append(failed, &entryError{entry: pgdump.Entry{Name: e.Name.Name, Schema: e.Name.Schema, Tag: e.Tag, Owner: e.Owner, SQL: e.SQL}, cause: err})
			}
		}
	}
	return failed, nil
}

func try(ctx context.Context, tx pgx.Tx, entries ...plans.Entry) error {
	return pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
		for _, e := range entries {
			if err := inner.Conn().PgConn().Exec(ctx, e.SQL).Close(); err != nil {
				return err
			}
		}
		return nil
	})
}

func outOfLocks(e *entryError) bool { return pg.State(e.cause) == pgerrcode.OutOfMemory }

// follows: the object that the server misses is one that failed before.
func follows(e *entryError, before []*entryError) bool {
	return slices.ContainsFunc(before, func(b *entryError) bool {
		name, _, _ := strings.Cut(b.entry.Name, "(")
		return b != e && strings.Contains(e.cause.Error(), name)
	})
}

// classifyTrial names what failed by itself, not what follows from it.
func (m *site) classifyTrial(ctx context.Context, failed []*entryError) {
	for i, e := range failed {
		switch {
		case outOfLocks(e):
			m.warning("shadow-untried", m.side.database, "the shadow's server has too little room for locks to try the whole structure in one transaction: what it may refuse is not known",
				"raise max_locks_per_transaction there")
			return
		case e.entry.Tag == plans.TagDatabase, e.entry.Tag == plans.TagSchema:
			m.leaveOut(correction{tag: e.entry.Tag, name: e.entry.Name, sql: e.entry.SQL}, serverMessage(e.cause))
		case follows(e, failed[:i]):
		default:
			final := m.plan.Final(pg.Name{Schema: e.entry.Schema, Name: e.entry.Name})
			e.entry.Schema = final.Schema
			m.blocker("shadow-restore", objectOf(e.entry), fmt.Sprintf("the shadow's server refuses this: %s (SQLSTATE %s)", serverMessage(e.cause), pg.State(e.cause)),
				m.refusedFix(ctx, e))
		}
	}
}

func (m *site) refusedFix(ctx context.Context, e *entryError) string {
	switch {
	case pg.State(e.cause) != pgerrcode.InsufficientPrivilege:
		return "change it in production, or in a migration, so that both servers take it"
	case e.entry.Tag == "EXTENSION":
		return "install it on the shadow's server as a superuser: " + strings.TrimSpace(e.entry.SQL)
	case e.entry.Owner != "" && e.entry.Owner != m.side.user:
		return "on the shadow's server: " + mayActAs(ctx, m.side.db, e.entry.Owner, m.side.user)
	}
	return "see the server's message; connect as a role that may, by shadow.dsn"
}

// leaveOut leaves to a human what we may not do, or the newer server does not
// know. What was left out already is said once.
func (m *task) leaveOut(c correction, why string) {
	before := len(m.plan.Entries)
	m.plan.Entries = slices.DeleteFunc(m.plan.Entries, func(e plans.Entry) bool { return e.Tag == c.tag && e.SQL == c.sql })
	if len(m.plan.Entries) < before {
		m.warning("database-setting", c.name, "production has this, and it cannot be carried over: "+why,
			"type it on the shadow's server, as far as it still means something there: "+c.sql)
	}
}
