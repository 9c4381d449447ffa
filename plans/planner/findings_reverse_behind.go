package planner

import (
	"slices"

	"github.com/pgumbra/pgumbra/plans"
)

// tellAfterFence says what a table that migrations behind the fence change, or may, loses
// on the way back.
func (m *losses) tellAfterFence(d *tableDraft, t *plans.Table) {
	a := m.plan.AfterFence(t)
	if a.Why != "" {
		m.find(plans.Finding{Level: m.lossLevel(), Code: "not-reversible", Object: t.Final.String(), Where: m.namedBehind(t.Final.Name, a.Final.Name),
			Message: a.Why + ": what is written to it after the cutover is lost in a rollback",
			Fix:     "nothing, if there is no need to go back to it; otherwise let this migration run before the fence, see what plan says of it"})
		return
	}
	now := m.plan.FinalTable(t)
	for _, c := range a.Reverse {
		m.tellColumn(d, t, c)
	}
	m.tellLooser(d, t)
	m.unfit(d, &now)
	t.Unfit, t.Refuses = now.Unfit, now.Refuses
	if a.Writes != "" && len(d.rules.Reverse) == 0 {
		m.find(plans.Finding{Level: m.lossLevel(), Code: "reverse-written-behind", Object: t.Final.String(), Where: a.Writes,
			Message: "a migration behind the fence may write rows of this table in columns that go back. The old rows keep what they had until a client changes the new ones; the proof of the old side finds such rows after the cutover, and a rollback asks for --accept-loss then",
			Fix:     "nothing, if old rows may keep the values of before, and rollback --accept-loss leaves out those that were made; otherwise touch these rows after the cutover (UPDATE ... SET a column = itself), which takes them back. reverse: under tables: " + t.Production.String() + " silences this, and changes nothing else"})
	}
}

// tellMadeBehind names tables that only migrations behind the fence make.
func (m *losses) tellMadeBehind() {
	if m.behind == nil || m.behind.catalog == nil {
		return
	}
	for _, t := range m.behind.catalog.Tables {
		if m.moving(t.Name.Schema) && m.after.ByOID(t.OID) == nil && t.PartitionOf == 0 && slices.Contains([]string{"r", "p"}, t.Kind) && !t.Extension {
			m.find(plans.Finding{Level: plans.Warning, Code: "reverse-new-table", Object: t.Name.String(), Where: m.namedBehind(t.Name.Name),
				Message: "migrations behind the fence make this table: what is written to it after the cutover has nowhere to go back to. A rollback leaves these rows in it",
				Fix:     "nothing, if they may be left behind"})
		}
	}
}
