package planner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

// A transform is worth what proves it. What was inferred comes from a scratch
// database without rows, and the copy, replay and verification all evaluate the
// same expression: an error in it none of them can see. So a sample of production's
// rows goes into a second scratch database before the migrations run there, and
// what the plan makes of these rows must be what the migrations made of them:
// rows, structure and sequences.

// proof compares what the plan says of a sample with what the migrations did.
type proof struct {
	*draft
	sample      *drawing
	rowsScratch *scratch
	there       *trial
	open        map[string]bool // foreign keys that the sample may break without production doing so
	after       *catalog.Catalog
	absent      map[uint32]bool // tables of production's, by oid there, that the comparison lacks
	proved      int             // tables whose rows were compared
}

// damage is for tests: it falsifies a plan before it is proved.
var damage func(*draft)

// proveOnRows proves the plan on rows of production's, where it has any.
func (m *draft) proveOnRows(ctx context.Context) (err error) {
	if damage != nil {
		damage(m)
	}
	if !m.provable() {
		return nil
	}
	p := &proof{draft: m}
	made, open := m.keysMade()
	p.open = open
	if p.sample, err = m.drawRows(ctx, made); err != nil {
		return err
	}
	if !slices.ContainsFunc(p.sample.ordered(), func(t *drawn) bool { return t.count > 0 }) {
		p.tellMissing()
		return nil
	}
	defer func() {
		if p.rowsScratch != nil {
			p.rowsScratch.drop(ctx, m.log)
		}
	}()
	if err := p.makeRowsScratch(ctx); err != nil {
		return p.unproved(err)
	}
	p.tellMissing()
	switch err := p.onRows().runMigrations(ctx, m.trace.texts); {
	case errors.Is(err, errBlocked):
		return p.failed()
	case err != nil:
		return err
	}
	p.tellSample()
	return p.compare(ctx)
}

// provable: there are rows to take, migrations before the fence, and nothing that
// is known not to be understood, for which the window is cut earlier anyway.
func (m *draft) provable() bool {
	if m.file.Scratch.Rows == 0 || m.migrations == nil || m.plan.ToVersion == nil || len(m.understood()) == 0 {
		return false
	}
	if _, more := m.earlier(); more {
		return false
	}
	return slices.ContainsFunc(m.production.Tables, func(t *catalog.Table) bool {
		return m.moving(t.Name.Schema) && t.Bytes > 0 && t.Name != m.version.table
	})
}

// unproved: what the server refuses while the sample is laid out says nothing of
// the plan.
func (p *proof) unproved(err error) error {
	var failed *pgconn.PgError
	if !errors.As(err, &failed) && !errors.Is(err, errBlocked) || pg.Unreachable(err) {
		return err
	}
	p.warning("not-proved", p.session.Database, "the plan could not be proved on rows of production's: the migrations cannot be run on them: "+serverMessage(withoutRow(err)),
		"nothing; the trial and verification still compare rows. scratch.rows: 0 leaves the sample away")
	return nil
}

// tellSample says how much of production was taken.
func (p *proof) tellSample() {
	var rows int64
	tables := map[uint32]bool{} // as people count them: a partition tree is one
	for _, t := range p.sample.ordered() {
		if t.count > 0 {
			rows += t.count
			tables[cmp.Or(t.table.PartitionOf, t.table.OID)] = true
		}
	}
	p.info("sampled", p.session.Database, fmt.Sprintf("the migrations ran on %s of %s, too, and what they made of them was compared with what this plan makes", human.Plural(int(rows), "row"), human.Plural(len(tables), "table")), "")
}

// tellMissing says what was not taken, and why.
func (p *proof) tellMissing() {
	var without []string
	for _, t := range p.sample.ordered() {
		if t.cut != "" && t.count == 0 {
			without = append(without, t.table.Name.String()+" ("+t.cut+")")
		}
	}
	if len(without) > 0 {
		p.warning("not-proved", p.session.Database, "of these tables no rows could be taken, so what the plan makes of them is not proved: "+strings.Join(without, ", "),
			"see the reason; scratch.rows: 0 leaves the sample away")
	}
}

// valueInMessage is the value that a server's message on a bad one ends with.
var valueInMessage = regexp.MustCompile(`(?s): ".*"$`)

// failsOnRows says that a migration fails on rows that production holds, without
// telling more of them than a key.
func (m *trial) failsOnRows(f *plans.Finding, statement syntax.Statement, cause error) {
	f.Opaque = false // in place it fails likewise, wherever it runs
	f.Message = m.scratch.unmask(fmt.Sprintf("the migration fails on rows that production holds: %s (SQLSTATE %s)%s", serverMessage(withoutRow(cause)), pg.State(cause), quoteStatement(statement.SQL)))
	f.Fix = "correct the migration, or the rows in production that stand against it"
	m.failedBy = cause
}

// failed takes over why the migrations fail on the sample, unless it may be for
// a row that the sample lacks and production has, or for the guest.
func (p *proof) failed() error {
	var server *pgconn.PgError
	if errors.As(p.there.failedBy, &server) && (server.Code == pgerrcode.InsufficientPrivilege || server.Code == pgerrcode.ForeignKeyViolation && p.open[server.ConstraintName]) {
		return p.unproved(server)
	}
	for _, f := range p.there.plan.Findings {
		p.find(f)
	}
	return nil
}
