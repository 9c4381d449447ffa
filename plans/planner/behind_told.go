package planner

import (
	"context"
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/plans"
)

// Bytes a second that an UPDATE or a rewrite of a table gets through, the slow
// end of what small machines reach.
const behindRate = 50_000_000

// estimateBehind guesses: a millisecond for each statement, and one pass over
// each table that a statement names.
func (m *task) estimateBehind() {
	var ms int64
	for _, f := range m.plan.Behind.All() {
		ms += int64(len(f.Statements))
	}
	for i := range m.plan.Sources {
		if s := &m.plan.Sources[i]; m.mentioned(s.Name.Name) {
			ms += s.Bytes * 1000 / behindRate
		}
	}
	m.plan.Behind.EstimateMS = ms
}

// behindTold says what the cut costs.
func (m *trial) behindTold(ctx context.Context) error {
	if m.plan.Behind == nil {
		return nil
	}
	m.estimateBehind()
	if len(m.plan.Behind.Files) > 0 {
		m.tellBehind(m.plan.Behind)
	}
	m.deferredTold()
	return m.rememberSession(ctx)
}

func (m *task) tellBehind(b *plans.Behind) {
	where := ""
	if len(b.Why) > 0 {
		where = b.Why[0].Where
	}
	m.find(plans.Finding{Level: plans.Warning, Code: "behind-fence", Object: b.Files[0].Name, Where: where,
		Message: fmt.Sprintf("%s from %s on run for real behind the fence, about %d ms by the sizes of the tables that they name while %s: %s",
			human.Plural(len(b.Files), "migration"), b.Files[0].Name, b.EstimateMS, m.whoWaits(), reasons(b)),
		Fix: "nothing, if they can wait that long; a trial on the followed shadow measures it before the cutover. Otherwise describe the rows in the plan file under tables, or use build: direct to see what is not understood"})
	if m.plan.Settings.Watch.Enabled && !b.Back {
		level := plans.Warning
		if m.plan.Settings.Watch.RequireReverse {
			level = plans.Blocker
		}
		m.find(plans.Finding{Level: level, Code: "behind-fence-one-way", Object: b.Files[0].Name, Where: where,
			Message: "what is written after the cutover is not recorded for the way back: no table goes back through the migrations that run behind the fence",
			Fix:     "nothing, if there is no need to go back; otherwise describe the rows in the plan file under tables"})
	}
}

// whoWaits for the migrations: a pool holds readers, too.
func (m *task) whoWaits() string {
	if m.plan.Remote && len(m.file.Traffic.PgBouncer) > 0 {
		return "clients, readers too, wait in the pool"
	}
	return "writers wait and readers do not"
}

func reasons(b *plans.Behind) string {
	var all []string
	for _, r := range b.Why {
		text := strings.TrimSpace(r.Object + ": " + r.Message)
		if r.Where != "" {
			text = r.Where + ": " + strings.TrimPrefix(text, ": ")
		}
		all = append(all, strings.TrimPrefix(text, ": "))
	}
	const shown = 3
	if len(all) > shown {
		all = append(all[:shown], fmt.Sprintf("and %d more", len(all)-shown))
	}
	return strings.Join(all, "; ")
}
