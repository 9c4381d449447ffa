package capture

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Sentinels.
var (
	// ErrChanged: a table is not what the plan was made for, or what capture
	// was installed on. The caller stops the run and says so; a new plan is needed.
	ErrChanged = errors.New("the structure has changed")
	// ErrNotInstalled: the table is not captured.
	ErrNotInstalled = errors.New("capture is not installed")
)

// ChangeKind says how bad a change is.
type ChangeKind string

// The kinds of change.
const (
	// Structure: columns, constraints, partitions, rules, policies or the user's
	// triggers differ, or the key's index is gone. The shadow was built for
	// another table: stop. Other indexes may come and go.
	Structure ChangeKind = "structure"
	// Members: partitions came or went, and whoever saw it could not journal
	// their rows. [Repair], once the plan knows the partitions, then copy again.
	Members ChangeKind = "members"
	// States: the user's triggers are enabled otherwise than they were. No change
	// is lost; but a cutover now would put tables in place whose triggers are as
	// they were.
	States ChangeKind = "states"
	// Triggers: ours were disabled, dropped or made anew, so changes may be
	// missing from the journal. [Repair], then copy the table again.
	Triggers ChangeKind = "triggers"
	// Filenode: VACUUM FULL, CLUSTER, TRUNCATE or a rewrite gave the table a new
	// file. Row addresses changed, the journal is complete: harmless once the
	// copy is done. [Accept] records the new file.
	Filenode ChangeKind = "filenode"
)

// Change is a difference between a captured table and the record of it.
type Change struct {
	Kind   ChangeKind
	Detail string // lines of the fingerprint, - what was and + what is
}

//go:embed fingerprint.sql
var fingerprintSQL string

func fingerprintFunction(run int64) pg.Name { return own(fmt.Sprintf("fingerprint_%d", run)) }

func fingerprintScript(run int64) string {
	return strings.NewReplacer("{function}", fingerprintFunction(run).Quoted(),
		"{prefix}", pg.Literal(triggerPrefix(run))).Replace(fingerprintSQL)
}

// fingerprint is what fingerprint.sql answers.
type fingerprint struct {
	Key     string   `json:"key"` // as in Keys; empty: there is none, or an older pgumbra recorded it
	Keys    []string `json:"keys"`
	Members []uint32 `json:"members"`
	// Parts is the structure of each member by its oid, text being what a JSON
	// object's keys are.
	Parts     map[string][]string `json:"parts"`
	States    []string            `json:"states"`
	Triggers  []string            `json:"triggers"`
	Filenodes []string            `json:"filenodes"`
}

// Check compares a captured table with the record of it. Reads catalogs only,
// at the current catalog state rather than at the caller's snapshot's where the
// two differ for deparsed definitions; no lock on the table. No change: nil.
func Check(ctx context.Context, db pg.Querier, run *control.Run, src *plans.Source) ([]Change, error) {
	return check(ctx, db, JournalOf(run, src), src.OID)
}

// check asks for both sides at once: it is called for each table again and again.
func check(ctx context.Context, db pg.Querier, j Journal, oid uint32) ([]Change, error) {
	var was, is []byte
	var closed *string
	err := db.QueryRow(ctx, `SELECT fingerprint::text, `+fingerprintFunction(j.Run).Quoted()+`($4)::text,
			'the journals were closed at ' || pg_catalog.to_timestamp(pg_catalog.pg_sequence_last_value(pg_catalog.to_regclass($5)))`+control.CapturedRow,
		j.Run, j.Direction, j.N, oid, fullName(j.Run, j.Direction).Quoted()).Scan(&was, &is, &closed)
	if errors.Is(err, pgx.ErrNoRows) || pg.State(err) == pgerrcode.UndefinedFunction { // capture was never installed, or is removed
		return nil, fmt.Errorf("%w on %s", ErrNotInstalled, j.Table)
	}
	var before, now fingerprint
	if err == nil {
		err = errors.Join(json.Unmarshal(was, &before), json.Unmarshal(is, &now))
	}
	if err != nil {
		return nil, fmt.Errorf("compare the fingerprint of %s: %w", j.Table, err)
	}
	if closed != nil {
		now.Triggers = append(now.Triggers, *closed)
	}
	return differences(&before, &now), nil
}

func differences(was, is *fingerprint) []Change {
	var all []Change
	add := func(kind ChangeKind, was, is []string) {
		if d := diff(was, is); d != "" {
			all = append(all, Change{kind, d})
		}
	}
	before, now := shared(was.Parts, is.Parts), shared(is.Parts, was.Parts)
	if was.Key != "" && slices.Contains(was.Keys, was.Key) && !slices.Contains(is.Keys, was.Key) {
		now = append(now, "no unique index on ("+was.Key+") any more")
	}
	add(Structure, before, now)
	if d := diff(tables(was.Parts), tables(is.Parts)); d != "" && len(was.Members)+len(is.Members) > 0 && !slices.Equal(was.Members, is.Members) {
		// Triggers and files of what came or went differ, of course.
		return append(all, Change{Members, d})
	}
	add(States, was.States, is.States)
	add(Triggers, was.Triggers, is.Triggers)
	add(Filenode, was.Filenodes, is.Filenodes)
	return all
}

// shared are the lines of members that the other side has, too.
func shared(parts, other map[string][]string) []string {
	var all []string
	for member, lines := range parts {
		if _, there := other[member]; there {
			all = append(all, lines...)
		}
	}
	slices.Sort(all)
	return all
}

// tables are the lines that name the members.
func tables(parts map[string][]string) []string {
	var all []string
	for _, lines := range parts {
		for _, l := range lines {
			if strings.HasPrefix(l, "table ") {
				all = append(all, l)
			}
		}
	}
	slices.Sort(all)
	return all
}

// diff lists what only one side has, in order; "" if both are equal.
func diff(was, is []string) string {
	var lines []string
	for _, l := range was {
		if !slices.Contains(is, l) {
			lines = append(lines, "- "+l)
		}
	}
	for _, l := range is {
		if !slices.Contains(was, l) {
			lines = append(lines, "+ "+l)
		}
	}
	return strings.Join(lines, "\n")
}

// record stores the table's fingerprint as it is now, in the transaction that
// made the triggers. A trigger's xmin is that transaction's own. The state of
// the user's triggers stays recorded as it was first: the shadow was built then.
func record(ctx context.Context, tx pg.Querier, j Journal, oid uint32) error {
	return control.NoteCaptured(ctx, tx, j.Run, j.Direction, j.N, j.Table.String(),
		`(`+fingerprintFunction(j.Run).Quoted()+`($5) || jsonb_build_object('key', $6::text))::json`,
		`(EXCLUDED.fingerprint::jsonb || jsonb_build_object('states', captured.fingerprint->'states'))::json`, oid, j.keyText())
}

// keyText is the key as fingerprint.sql spells columns.
func (j Journal) keyText() string {
	names := slices.Clone(j.Keys)
	slices.Sort(names)
	return pg.Idents(names)
}

// Accept records a source's new files after the caller has dealt with them. A
// change of structure or of our triggers is refused with [ErrChanged].
func Accept(ctx context.Context, db pg.Beginner, run *control.Run, src *plans.Source) error {
	return pg.ReadCommitted(ctx, db, func(tx pgx.Tx) error {
		if err := control.CheckEpoch(ctx, tx, run); err != nil {
			return err
		}
		changes, err := Check(ctx, tx, run, src)
		if err != nil {
			return err
		}
		for _, c := range changes {
			if c.Kind != Filenode && c.Kind != States {
				return fmt.Errorf("%w: %s\n%s", ErrChanged, src.Name, c.Detail)
			}
		}
		return record(ctx, tx, JournalOf(run, src), src.OID)
	})
}
