// Package conditions is the one list of what a swap rests on in the catalogs:
// what must not be there, because the swap would leave it behind with the old
// tables, or because rows would pass capture by. The plan asks it, the run while
// it follows, status, the cutover before its fence and, last of all, right before
// its COMMIT: what was looked at once is looked at again before it is relied on.
//
// It only reads catalogs, takes no locks but those of the catalogs, and knows
// nothing of what its callers do with an answer.
package conditions

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Side is a database that a swap changes.
type Side int

// The sides, to be added up.
const (
	Local  Side = 1 << iota // production, with the shadow in the same database
	Remote                  // production, with the shadow in another database
	Shadow                  // the shadow's own database
	Turned                  // production, that a rollback leads back to another database
)

// Weight of what was found.
type Weight int

// The weights.
const (
	// Against: no swap while it is there; only somebody's hand helps.
	Against Weight = iota
	// Passing: no swap while it is there, but it is gone before long.
	Passing
	// Told: nothing stands against a run that begins with it, and its plan tells of
	// it; what comes later is [Against].
	Told
)

// Condition is one question to the catalogs.
type Condition struct {
	Code    string // of findings and blockers; stable
	Sides   Side
	Moments Moment
	Weight  Weight
	Query   string // answers with rows (object, what it is about), and whose it is where that matters
	Message string // with %[1]s for the object, %[2]s for what it is about and %[3]s for whose it is
	Fix     string
	Loss    bool // what a rollback would leave behind, and may
}

// Moment is when a condition is asked.
type Moment int

// The moments, to be added up.
const (
	// Beginning of a plan: before anything is known of the migrations.
	Beginning Moment = 1 << iota
	// Planning: once it is known what the shadow shares with production.
	Planning
	// Following: every few seconds, by the leader and by status.
	Following
	// Swapping: before the fence, and last of all before COMMIT.
	Swapping
	// Evaluating: about once a second while rows go through transforms.
	Evaluating

	always = Following | Swapping
)

// All is the list.
var All = []Condition{
	{
		Code: "outside-dependency", Sides: Local, Moments: Planning | always, Query: lasting(dependentsSQL),
		Message: "it depends on %[2]s, which moves: after the swap it would go on using the old one",
		Fix:     "drop it before the cutover and make it again after, or let its schema move too (production.schemas)",
	},
	{
		Code: "temporary-object", Sides: Local, Moments: Planning | always, Weight: Passing, Query: temporary(dependentsSQL),
		Message: "a session has made this for itself; it depends on %[2]s, which moves, and would go on using the old one after the swap",
		Fix:     "drop it in its session, or end that session before the cutover",
	},
	{
		Code: "publication-all-tables", Sides: Local | Remote | Turned, Moments: Beginning | always, Query: publicationsSQL,
		Message: "this publication is FOR ALL TABLES: it would publish the shadow and the journals too, and refuses updates of shadow tables without a replica identity",
		Fix:     "replace it by one with a table list, or drop it for the time of the run",
	},
	{
		Code: "subscription", Sides: Local | Remote | Turned | Shadow, Moments: Beginning | always, Query: subscriptionsSQL,
		Message: "a subscription writes this table; its apply worker fires no statement triggers, and knows the table by its oid",
		Fix:     "drop the subscription, or take the table out of its publication and refresh it; a table that it wrote to during a run is copied again",
	},
	{
		Code: "event-trigger", Sides: Local | Remote | Turned, Moments: Beginning | always, Weight: Told, Query: eventTriggersSQL,
		Message: "this event trigger fires for the statements that build the shadow and swap it in",
		Fix:     "see that it does not alter them; one that came in mid-run: drop it until the cutover, or disable it where the shadow is in the same database, or plan again",
	},
	{
		Code: "name-taken", Sides: Local, Moments: always, Query: namesTakenSQL,
		Message: "somebody has made a schema of this name, which the old tables have after the swap",
		Fix:     "drop or rename it: ALTER SCHEMA … RENAME TO another_name",
	},
	{
		Code: "large-objects", Sides: Remote | Turned, Moments: always, Query: largeObjectsSQL,
		Message: "the database holds %[1]s large objects now, which cannot be carried to another one: no trigger fires for them",
		Fix:     "keep such data in bytea columns, and remove them (lo_unlink)",
	},
	{
		Code: "database-changed", Sides: Remote, Moments: always, Query: comparedSQL,
		Message: "it %[2]s since the plan was made, and another server would not have it after the swap",
		Fix:     "%[3]s; or pgumbra abort, and run again: a new plan knows it",
	},
	{
		Code: "database-changed", Sides: Turned, Moments: always, Query: comparedBackSQL, Loss: true,
		Message: "it %[2]s since the cutover, and the old server would not have it after the rollback",
		Fix:     "%[3]s; or pgumbra rollback --accept-loss leaves it behind",
	},
	{
		Code: "foreign-code", Sides: Local | Remote | Turned | Shadow, Moments: Beginning | always | Evaluating, Query: foreignCodeSQL,
		Message: "this function of %[3]s would run with a superuser's rights when rows are copied and compared: in %[2]s",
		Fix: "read it, then give it to the schema's owner (ALTER FUNCTION … OWNER TO …); or connect as a role of its own, without SUPERUSER (docs/privileges.md); " +
			"or, where %[3]s may have a superuser's rights, name it in production.trust",
	},
	{
		Code: "structure-under-way", Sides: Local | Remote | Turned, Moments: Swapping, Weight: Passing, Query: underWaySQL,
		Message: "%[1]s has an open transaction that may change the schemas: what it commits later would be left behind in the old ones",
		Fix:     "wait for it, or end it: SELECT pg_terminate_backend(%[2]s)",
	},
}

// Scope is what the conditions are asked about.
type Scope struct {
	Schemas []string    // that move, by their names now
	Shared  []string    // quoted names of shared types and sequences
	Told    []string    // event triggers that the plan has told of
	Own     pg.Backends // sessions whose changes are the run's
	Near    []string    // schemas that unqualified names of transforms lead to, too
	Trusted []string    // roles whose code a superuser's run may call
	Version string      // name of golang-migrate's version table
	Free    []string    // names that no schema may have before the swap
	// Belongings are what [Belongings] read when the plan was made, or of a way back as
	// the swap has left them; nil: it did not.
	Belongings map[string]string
	At         *Version // nil: no migrations are to come
}

func (s Scope) args() []any {
	pids, started := s.Own.Columns()
	labels, hashes := s.remembered()
	return []any{notNull(s.Schemas), notNull(s.Shared), notNull(s.Told), pids, started, notNull(s.Near), notNull(s.Trusted), s.Version, notNull(s.Free), labels, hashes}
}

// Found is something that a condition forbids.
type Found struct {
	Condition *Condition
	Object    string
	About     string // what the condition's query says of it: of a subscription's table its oid
	Message   string
	Fix       string
}

// Ask puts the questions of one side and moment, each with a snapshot of its own
// where the transaction is READ COMMITTED, in one round trip. db should look for
// names in pg_catalog alone, so that names come out with their schemas.
//
// While following it asks for the version, too. Before a swap [AskVersion] is, by the
// session that holds the fence: the last look would wait for a fence that keeps
// readers out.
func Ask(ctx context.Context, db Sender, side Side, moment Moment, scope Scope) ([]Found, error) {
	asked := of(side, moment)
	var batch pgx.Batch
	for _, c := range asked {
		batch.Queue(c.Query, scope.args()...)
	}
	answers := db.SendBatch(ctx, &batch)
	var all []Found
	for _, c := range asked {
		found, err := c.read(answers)
		if err != nil {
			_ = answers.Close()
			return nil, fmt.Errorf("look for %s: %w", c.Code, err)
		}
		all = append(all, found...)
	}
	if err := answers.Close(); err != nil || moment&Following == 0 {
		return all, err
	}
	version, err := AskVersion(ctx, db, scope.At)
	return append(all, version...), err
}

// Sender is a connection, pool or transaction.
type Sender interface {
	pg.Querier
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

func of(side Side, moment Moment) []*Condition {
	var asked []*Condition
	for i := range All {
		if c := &All[i]; c.Sides&side != 0 && c.Moments&moment != 0 {
			asked = append(asked, c)
		}
	}
	return asked
}

func (c *Condition) read(answers pgx.BatchResults) ([]Found, error) {
	rows, err := answers.Query()
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Found, error) {
		var object, about, whose string
		told := []any{&object, &about, &whose}
		err := row.Scan(told[:len(row.FieldDescriptions())]...)
		return c.found(object, about, whose), err
	})
}

func (c *Condition) found(object, about, whose string) Found {
	words := strings.NewReplacer("%[1]s", object, "%[2]s", about, "%[3]s", whose)
	return Found{Condition: c, Object: object, About: about, Message: words.Replace(c.Message), Fix: words.Replace(c.Fix)}
}

func notNull(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}

//go:embed sql/scope.sql
var scopeSQL string

//go:embed sql/home.sql
var homeSQL string

//go:embed sql/dependents.sql
var dependentsText string

//go:embed sql/publications.sql
var publicationsText string

//go:embed sql/subscriptions.sql
var subscriptionsText string

//go:embed sql/eventtriggers.sql
var eventTriggersText string

//go:embed sql/underway.sql
var underWayText string

//go:embed sql/foreigncode.sql
var foreignCodeText string

const namesTakenText = `WITH {{scope}} SELECT n.nspname::text, '' FROM pg_catalog.pg_namespace n, asked WHERE n.nspname = ANY (asked.free) ORDER BY 1`

// largeObjectsText counts them: each is one of many, and has nothing but a number.
const largeObjectsText = `WITH {{scope}} SELECT count(*)::text, '' FROM pg_catalog.pg_largeobject_metadata, asked HAVING count(*) > 0`

var (
	dependentsSQL    = scoped(dependentsText)
	publicationsSQL  = scoped(publicationsText)
	subscriptionsSQL = scoped(subscriptionsText)
	eventTriggersSQL = scoped(eventTriggersText)
	underWaySQL      = scoped(underWayText)
	foreignCodeSQL   = scoped(foreignCodeText)
	namesTakenSQL    = scoped(namesTakenText)
	largeObjectsSQL  = scoped(largeObjectsText)
)

func scoped(query string) string { return WithHome(strings.ReplaceAll(query, "{{scope}}", scopeSQL)) }

// WithHome puts the expression for the schema of an object d (classid, objid)
// where a query has {{home}}.
func WithHome(query string) string { return strings.ReplaceAll(query, "{{home}}", homeSQL) }

func lasting(query string) string {
	return strings.ReplaceAll(query, "{{which}}", temporarySchema+" IS NOT TRUE")
}

func temporary(query string) string { return strings.ReplaceAll(query, "{{which}}", temporarySchema) }

const temporarySchema = "(n.nspname ~ '^pg_temp_')"
