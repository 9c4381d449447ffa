package capture

import (
	"context"
	_ "embed" // limit.sql
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// The journals' limit holds in the triggers themselves: no process of ours has
// to be there, neither while production is followed nor while the old side is
// kept current. All journals of a run and direction count together.
//
// Every byte of a journal is written to WAL too, so none can grow faster than
// WAL does: a trigger looks at the journals' size only once WAL has grown by a
// part of what is left to the limit. That costs a statement two reads of shared
// memory, a microsecond.
//
// Two sequences remember across sessions, since their values outlive a rollback
// and no client waits for another: the WAL position of the next look, and, once
// the limit is reached, when that was. The latter is set and never taken back:
// it is the record of a gap, and a run that has one cannot be cut over.

// fullName is the sequence that has a value once a direction's journals are
// closed, in seconds since 1970, and the function that a trigger asks.
func fullName(run int64, d Direction) pg.Name { return own(fmt.Sprintf("full_%s_%d", d, run)) }

// lookName is the sequence that holds the WAL position of the next look.
func lookName(run int64, d Direction) pg.Name { return own(fmt.Sprintf("look_%s_%d", d, run)) }

//go:embed limit.sql
var limitSQL string

// limitScript makes what the triggers of a direction ask. It may be run again,
// for another limit: what was recorded stays.
func limitScript(run *control.Run, d Direction) string {
	full := fullName(run.ID, d)
	return fmt.Sprintf("CREATE SEQUENCE IF NOT EXISTS %s CACHE 1; CREATE SEQUENCE IF NOT EXISTS %s CACHE 1;\n"+
		"CREATE OR REPLACE FUNCTION %[1]s(more bigint) RETURNS boolean LANGUAGE plpgsql AS %[3]s;\nREVOKE ALL ON FUNCTION %[1]s(bigint) FROM PUBLIC;\n"+
		"SELECT pg_catalog.setval(%[4]s, 1) WHERE pg_catalog.pg_sequence_last_value(%[5]s) IS NULL",
		full.Quoted(), lookName(run.ID, d).Quoted(), pg.Literal(limitBody(run, d)), regclass(lookName(run.ID, d)), regclass(full))
}

func limitBody(run *control.Run, d Direction) string {
	prefix := Journal{Run: run.ID, Direction: d}.viewPrefix()
	return strings.NewReplacer(
		"{full}", regclass(fullName(run.ID, d)),
		"{look}", regclass(lookName(run.ID, d)),
		"{limit}", fmt.Sprint(limitOf(run)),
		"{from}", pg.Literal(prefix),
		"{to}", pg.Literal(strings.TrimSuffix(prefix, "_")+"`"), // what follows _ in the order of bytes
		"{pattern}", pg.Literal("^"+prefix+"[0-9]+_[ab]$"),
	).Replace(limitSQL)
}

// limitOf is capture.max_journal in bytes; not above 0: there is none.
func limitOf(run *control.Run) int64 {
	if limit := run.Plan.Settings.Capture.MaxJournal; limit > 0 {
		return limit
	}
	return math.MaxInt64 / 2
}

func regclass(n pg.Name) string { return pg.Literal(n.Quoted()) + "::pg_catalog.regclass" }

const walPosition = "(pg_catalog.pg_current_wal_insert_lsn() OPERATOR(pg_catalog.-) '0/0'::pg_catalog.pg_lsn)::bigint"

// limit ends the recording once all journals of the direction together reach
// their limit. It never fails the client.
func (t *target) limit() string {
	return fmt.Sprintf("IF %s >= coalesce(pg_catalog.pg_sequence_last_value(%s), 0) AND %s(0) THEN RETURN NULL; END IF; ",
		walPosition, regclass(lookName(t.Run, t.Direction)), fullName(t.Run, t.Direction).Quoted())
}

// Guard makes the triggers hold the limit that the plan file says now, if they
// hold another one. The bodies of functions that an older pgumbra wrote hold
// none until they are replaced.
func Guard(ctx context.Context, db pg.Querier, run *control.Run, d Direction) error {
	var body string
	err := db.QueryRow(ctx, `SELECT coalesce((SELECT prosrc FROM pg_catalog.pg_proc WHERE oid = pg_catalog.to_regprocedure($1)), '')`,
		fullName(run.ID, d).Quoted()+"(bigint)").Scan(&body)
	if err == nil && body != limitBody(run, d) {
		_, err = db.Exec(ctx, limitScript(run, d))
	}
	if err != nil {
		return fmt.Errorf("set the journals' limit: %w", err)
	}
	return nil
}

// Guarded reports whether the triggers of a direction hold the limit.
func Guarded(ctx context.Context, db pg.Querier, run *control.Run, d Direction) (guarded bool, err error) {
	err = db.QueryRow(ctx, `SELECT pg_catalog.to_regprocedure($1) IS NOT NULL`, fullName(run.ID, d).Quoted()+"(bigint)").Scan(&guarded)
	if err != nil {
		return false, fmt.Errorf("look for the journals' guard: %w", err)
	}
	return guarded, nil
}

// Closing says that the triggers of a direction stopped recording. What was
// written since is in no journal.
type Closing struct {
	At  time.Time
	Why string // for people
}

// What the look's sequence says once the journals are closed.
const (
	closedByLimit = 1 // as in limit.sql
	closedByRow   = 2
	closedByHand  = 3
)

// Closed reports whether the triggers of a direction stopped recording; nil: they
// record. The answer is true at once, whatever the caller's snapshot, and whether
// or not the transaction that met the limit committed.
func Closed(ctx context.Context, db pg.Querier, run *control.Run, d Direction) (*Closing, error) {
	var at *time.Time
	var why *int64
	err := db.QueryRow(ctx, `SELECT pg_catalog.to_timestamp(pg_catalog.pg_sequence_last_value(pg_catalog.to_regclass($1))),
		pg_catalog.pg_sequence_last_value(pg_catalog.to_regclass($2))`,
		fullName(run.ID, d).Quoted(), lookName(run.ID, d).Quoted()).Scan(&at, &why)
	if err != nil {
		return nil, fmt.Errorf("ask whether the journals are closed: %w", err)
	}
	if at == nil {
		return nil, nil
	}
	c := &Closing{At: *at, Why: fmt.Sprintf("the journals reached capture.max_journal (%d bytes)", run.Plan.Settings.Capture.MaxJournal)}
	switch {
	case why != nil && *why == closedByRow:
		c.Why = "a row of a table without a key was too large to be recorded"
	case why != nil && *why == closedByHand:
		c.Why = "pgumbra ended the recording"
	}
	return c, nil
}

func (c *Closing) String() string {
	return fmt.Sprintf("capture ended at %s: %s; what was written since is in no journal", c.At.UTC().Format(time.RFC3339), c.Why)
}

const (
	closeFull = `SELECT pg_catalog.setval(s, pg_catalog.extract('epoch', pg_catalog.clock_timestamp())::bigint)
		FROM pg_catalog.to_regclass($1) s WHERE s IS NOT NULL AND pg_catalog.pg_sequence_last_value(s) IS NULL`
	closeLook = `SELECT pg_catalog.setval(s, $2) FROM pg_catalog.to_regclass($1) s
			WHERE s IS NOT NULL AND coalesce(pg_catalog.pg_sequence_last_value(s), 0) NOT BETWEEN 1 AND 2`
)

// closingTold is what [closeJournals] sends.
func closingTold(run int64, d Direction) []string {
	of := func(text string, name pg.Name) string {
		return told(strings.NewReplacer("$1", pg.Literal(name.Quoted()), "$2", fmt.Sprint(closedByHand)).Replace(text))
	}
	return []string{of(closeFull, fullName(run, d)), of(closeLook, lookName(run, d))}
}

// closeJournals stops the recording from the next statement of every client on:
// by a sequence's value, which is written in place, so that it needs no lock and
// no room on a full disk.
func closeJournals(ctx context.Context, db pg.Querier, run *control.Run, d Direction) error {
	_, err := db.Exec(ctx, closeFull, fullName(run.ID, d).Quoted())
	if err == nil {
		_, err = db.Exec(ctx, closeLook, lookName(run.ID, d).Quoted(), closedByHand)
	}
	if err != nil {
		return fmt.Errorf("close the journals: %w", err)
	}
	return nil
}
