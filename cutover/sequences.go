package cutover

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// counter is where a sequence stands and how it goes on.
type counter struct {
	OID                        uint32
	Last                       int64
	Called                     bool
	Increment, Min, Max, Start int64
	Cache                      int64
	Cycle                      bool
}

// counters reads some sequences. The caller holds locks that keep nextval and
// setval away, or nobody else uses them.
func counters(ctx context.Context, db pg.Querier, names []pg.Name) (map[pg.Name]counter, error) {
	var selects []string
	for i, n := range names {
		selects = append(selects, fmt.Sprintf(`SELECT %d, d.seqrelid, s.last_value, s.is_called, d.seqincrement, d.seqmin, d.seqmax, d.seqstart, d.seqcache, d.seqcycle
			FROM %s s JOIN pg_catalog.pg_sequence d ON d.seqrelid = %s::pg_catalog.regclass`, i, n.Quoted(), pg.Literal(n.Quoted())))
	}
	all := map[pg.Name]counter{}
	if len(selects) == 0 {
		return all, nil
	}
	rows, err := db.Query(ctx, strings.Join(selects, "\nUNION ALL "))
	if err != nil {
		return nil, fmt.Errorf("read the sequences: %w", err)
	}
	var i int
	var s counter
	_, err = pgx.ForEachRow(rows, []any{&i, &s.OID, &s.Last, &s.Called, &s.Increment, &s.Min, &s.Max, &s.Start, &s.Cache, &s.Cycle}, func() error {
		all[names[i]] = s
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the sequences: %w", err)
	}
	return all, nil
}

// countersOf are [counters] by oid, of those that there are.
func countersOf(ctx context.Context, db pg.Querier, oids []uint32) (map[uint32]counter, error) {
	if len(oids) == 0 {
		return nil, nil
	}
	rows, err := db.Query(ctx, `SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1)`, oids)
	if err != nil {
		return nil, fmt.Errorf("name the sequences: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowToStructByPos[pg.Name])
	if err != nil {
		return nil, fmt.Errorf("name the sequences: %w", err)
	}
	named, err := counters(ctx, db, names)
	all := map[uint32]counter{}
	for _, s := range named {
		all[s.OID] = s
	}
	return all, err
}

// waiting is SQL for how many wait for a lock on the relation with oid $1.
const waiting = `(SELECT count(*) FROM pg_catalog.pg_locks WHERE relation = $1 AND NOT granted
	AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))`

// succession is a sequence of the shadow's own that goes on where production's
// stands.
type succession struct {
	plan    plans.Sequence
	old     counter    // production's
	target  counter    // the shadow's
	reopens bool       // target is as it was before a swap closed it
	opened  *counter   // target as it is where somebody opened it since, or it handed out what was reserved; nil: closed
	placed  *placement // where that swap put old; nil: it is not known
	waiting int64      // nextval calls that wait for the old one
}

// successions reads both sides of all of them, in whatever databases these are.
func successions(ctx context.Context, plan *plans.Plan, production, shadow pg.Querier) ([]succession, error) {
	var all []succession
	var old, targets []pg.Name
	for _, s := range plan.Sequences {
		if !s.Production.IsZero() {
			all = append(all, succession{plan: s})
			old, targets = append(old, s.Production), append(targets, s.Shadow)
		}
	}
	before, err := counters(ctx, production, old)
	if err != nil {
		return nil, err
	}
	after, err := counters(ctx, shadow, targets)
	for i := range all {
		all[i].old, all[i].target = before[old[i]], after[targets[i]]
	}
	return all, err
}

// openedSince is a sequence that a swap closed, where it does not stand any more as closing it has
// left it: somebody has let it go on for rows that are replayed, or calls that waited for the
// swap got what was reserved for them. nil: closed, or one whose numbers come again anyway.
func (s counter) openedSince(was counter) *counter {
	if _, end := was.ends(); was.Cycle || s.Last == end && s.Called {
		return nil
	}
	return &s
}

// beyond: a comes after b in the direction of a sequence.
func (s counter) beyond(a, b int64) bool {
	if s.Increment < 0 {
		return a < b
	}
	return a > b
}

// ends are the bounds in the sequence's direction.
func (s counter) ends() (first, last int64) {
	if s.Increment < 0 {
		return s.Max, s.Min
	}
	return s.Min, s.Max
}

// after n further numbers; false: there are not that many.
func (s counter) after(n int64) (int64, bool) {
	if n == 0 {
		return s.Last, s.Called
	}
	if !s.Called {
		n--
	}
	_, end := s.ends()
	room := uint64(end) - uint64(s.Last) // of two's complement: right for any distance
	step := uint64(s.Increment)
	if s.Increment < 0 {
		room, step = -room, -step
	}
	if n > 0 && uint64(n) > room/step {
		return s.Last, false
	}
	return s.Last + n*s.Increment, true
}

// reserved is how many numbers stay with the old sequence: calls of nextval
// that wait for our lock go on with it whatever its name is by then, a cacheful
// each, and a few more may come before the commit.
func (s succession) reserved() int64 {
	if s.waiting == 0 {
		return 0
	}
	n := (2*s.waiting + 8) * s.old.Cache
	limit, ok := s.old.after(n)
	// MAXVALUE must leave room for MINVALUE and START.
	if first, _ := s.old.ends(); !ok || !s.old.beyond(limit, first) || s.old.beyond(s.old.Start, limit) {
		return 0
	}
	return n
}

// place is where the twin goes on: where production's sequence stands, or, at the first
// cutover, where the migrations set it; further where the copy itself has drawn from the twin, or
// clients before a swap closed it; within its own bounds. Where nobody has moved
// production's since that swap the twin stands where it stood then, and where clients
// set it back, or it began anew, it does so here too.
func (s succession) place() (last int64, called bool) {
	last, called = s.old.Last, s.old.Called
	if n := s.reserved(); n > 0 {
		last, called = s.old.after(n)
	}
	moved := s.movedSince(last, called)
	if o := s.opened; o != nil && moved >= 0 { // its numbers are in rows of the side that it is on
		s.target = s.target.raised(o.Last, o.Called)
	}
	if moved == 0 {
		return s.target.Last, s.target.Called
	}
	if s.plan.Set && s.placed == nil && !s.passed(last, called) {
		last, called = s.plan.LastValue, s.plan.IsCalled
	}
	if t := s.target; moved > 0 && t.Called && (t.beyond(t.Last, last) || t.Last == last) {
		last, called = t.Last, true
	}
	first, end := s.target.ends()
	switch {
	case s.target.beyond(first, last):
		return first, false
	case s.target.beyond(last, end):
		return end, true
	}
	return last, called
}

// stand are the statements that put a sequence, called name now, where s stands.
// RESTART gives it a file of its own within the transaction, so that setval is
// undone with it, too.
func (s counter) stand(name, bounds string) []string {
	return []string{"ALTER SEQUENCE " + name + bounds + " RESTART",
		fmt.Sprintf("SELECT pg_catalog.setval(%s::pg_catalog.regclass, %d, %t)", pg.Literal(name), s.Last, s.Called)}
}

// proceed are the statements that put the twin, called name now, in its place.
func (s succession) proceed(name string) []string {
	last, called := s.place()
	bounds := ""
	if s.reopens {
		bounds = " " + s.target.bounds()
	}
	s.target.Last, s.target.Called = last, called
	return s.target.stand(name, bounds)
}

// bounds that closing a sequence changes.
func (s counter) bounds() string {
	cycle := "CYCLE"
	if !s.Cycle {
		cycle = "NO CYCLE"
	}
	return fmt.Sprintf("MINVALUE %d MAXVALUE %d %s", s.Min, s.Max, cycle)
}

// close are the statements after which the old sequence, called name now, hands
// out what is reserved and then refuses: the numbers that follow are the twin's.
func (s succession) close(name string) []string {
	if n := s.reserved(); n > 0 {
		limit, _ := s.old.after(n)
		bound := "MAXVALUE"
		if s.old.Increment < 0 {
			bound = "MINVALUE"
		}
		return []string{fmt.Sprintf("ALTER SEQUENCE %s %s %d NO CYCLE", name, bound, limit)}
	}
	_, end := s.old.ends()
	return []string{"ALTER SEQUENCE " + name + " NO CYCLE",
		fmt.Sprintf("SELECT pg_catalog.setval(%s::pg_catalog.regclass, %d, true)", pg.Literal(name), end)}
}

// reopen undoes close, unless it is undone already: a closed sequence stands at
// its end, and one that does so of its own accord is left at it.
func (s succession) reopen(name string) string {
	_, end := s.old.ends()
	cycle := "CYCLE"
	if !s.old.Cycle {
		cycle = "NO CYCLE"
	}
	return "DO " + pg.Literal(fmt.Sprintf(`BEGIN
	ALTER SEQUENCE %[1]s %[2]s;
	IF EXISTS (SELECT FROM %[1]s WHERE last_value OPERATOR(pg_catalog.=) %[3]d AND is_called) THEN
		PERFORM pg_catalog.setval(%[4]s::pg_catalog.regclass, %[5]d, %[6]t);
	END IF;
END`, name, cycle, end, pg.Literal(name), s.old.Last, s.old.Called))
}

// succeed is the swap's last change in one database: sequences of the shadow's
// own take over, whatever both are called by now.
func (l local) succeed(ctx context.Context) error {
	var script []string
	for i := range l.sequences {
		s := &l.sequences[i]
		var old, target string
		err := l.locker.QueryRow(ctx, `SELECT $1::oid::regclass::text, $2::oid::regclass::text, `+waiting,
			s.old.OID, s.target.OID).Scan(&old, &target, &s.waiting)
		if err != nil {
			return fmt.Errorf("look who waits for sequence %s: %w", s.plan.Production, err)
		}
		script = append(append(script, s.close(old)...), s.proceed(target)...)
	}
	alone, err := l.reopenAlone(ctx, l.locker)
	if err != nil {
		return err
	}
	if err := l.play(ctx, l.pair, []stage{{"sequences go on", append(script, alone...)}}); err != nil {
		return err
	}
	return l.catchUp(ctx, l.pair)
}

// reopenAlone are the statements of a rollback that open the sequences which the
// cutover closed and which no sequence of the new side goes on for: migrations
// behind the fence dropped it. Each stands again where it stood. db is on the old side.
func (a *attempt) reopenAlone(ctx context.Context, db pg.Querier) ([]string, error) {
	if !a.plan.Backwards() {
		return nil, nil
	}
	var script []string
	for _, was := range a.closed.Sequences {
		if slices.ContainsFunc(a.sequences, func(s succession) bool { return s.target.OID == was.OID }) {
			continue
		}
		var name *string
		err := db.QueryRow(ctx, `SELECT (SELECT oid::regclass::text FROM pg_catalog.pg_class WHERE oid = $1)`, was.OID).Scan(&name)
		if err != nil {
			return nil, fmt.Errorf("look for a sequence that the cutover closed: %w", err)
		}
		if name == nil {
			continue
		}
		now, err := countersOf(ctx, db, []uint32{was.OID})
		if err != nil {
			return nil, err
		}
		s := reopened(was)
		s.opened = now[was.OID].openedSince(was)
		script = append(script, s.proceed(*name)...)
	}
	return script, nil
}

// ownSequences set those that only the shadow has. setval is not undone by a
// rollback, which does no harm: each attempt computes them again. But migrations behind the
// fence draw from them in this transaction: RESTART gives a sequence a file of its own then, so
// that a rollback takes back what they drew, and the next attempt begins where this one
// did. A shadow that was production meanwhile has them where clients left them.
func (c *Cutover) ownSequences() []string {
	if c.Upgrade.Again {
		return nil
	}
	plan := c.Upgrade.Plan
	var all []string
	for _, s := range plan.Sequences {
		if !s.Production.IsZero() {
			continue
		}
		if plan.Behind != nil {
			all = append(all, "DO "+pg.Literal(fmt.Sprintf(`DECLARE last bigint; called boolean; BEGIN
	SELECT last_value, is_called INTO last, called FROM %[1]s;
	ALTER SEQUENCE %[1]s RESTART;
	PERFORM pg_catalog.setval(%[2]s::pg_catalog.regclass, last, called);
END`, s.Shadow.Quoted(), pg.Literal(s.Shadow.Quoted()))))
		}
		all = append(all, ownSequence(s))
	}
	return all
}

// ownSequence stands at the furthest of: where the migrations left it, where
// the copy's own defaults drove it, and its column's values.
func ownSequence(s plans.Sequence) string {
	column := "SELECT NULL::numeric, NULL::numeric"
	if !s.Table.IsZero() && s.Column != "" {
		column = fmt.Sprintf("SELECT (SELECT max(%[1]s)::numeric FROM %[2]s), (SELECT min(%[1]s)::numeric FROM %[2]s)",
			pg.Ident(s.Column), s.Table.Quoted())
	}
	return strings.NewReplacer("'{shadow}'", pg.Literal(s.Shadow.Quoted()), "{shadow}", s.Shadow.Quoted(), "{column}", column, "{left}", bigint(s.LastValue), "{called}", fmt.Sprint(s.IsCalled)).Replace(
		`SELECT CASE WHEN target IS NULL OR pg_catalog.sign(seqincrement::numeric) * ({left} - target) >= CASE WHEN {called} THEN 0 ELSE 1 END
             THEN pg_catalog.setval(seqrelid::regclass, {left}, {called})
             ELSE pg_catalog.setval(seqrelid::regclass, least(greatest(target, seqmin), seqmax)::bigint, true) END FROM (
    SELECT d.seqrelid, d.seqincrement, d.seqmin, d.seqmax,
           CASE WHEN d.seqincrement > 0 THEN greatest(CASE WHEN s.is_called THEN s.last_value END, v.high)
                ELSE least(CASE WHEN s.is_called THEN s.last_value END, v.low) END AS target
    FROM {shadow} s
    CROSS JOIN (SELECT seqrelid, seqincrement, seqmin, seqmax FROM pg_catalog.pg_sequence WHERE seqrelid = '{shadow}'::regclass) d
    CROSS JOIN ({column}) v (high, low)
) t`)
}

// bigint is a number as SQL text; the least one has no literal of its own.
func bigint(n int64) string { return fmt.Sprintf("'%d'::bigint", n) }
