package capture

import (
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Triggers of one kind fire in the order of their names. Ours come first, for
// TRUNCATE's sake: a user's AFTER TRUNCATE trigger may insert rows, and these
// must be journalled after it.
func triggerPrefix(run int64) string { return fmt.Sprintf("!pgumbra_%d_", run) }

func (j Journal) trigger(what string) string {
	return triggerPrefix(j.Run) + what
}

// trigger is one CREATE TRIGGER without its table.
type trigger struct {
	name string // what it records: the end of its name
	on   string // BEFORE UPDATE, AFTER INSERT …
	how  string // REFERENCING, FOR EACH, WHEN
	call string // the end of the function's name
}

// Of a partition tree each member has the statement triggers, since a statement
// fires those of the table it names only; leaves have the row triggers.

// triggersScript makes all triggers of some members. It takes SHARE ROW
// EXCLUSIVE on each, which waits for all writers: the caller has locked them.
func (t *target) triggersScript(members []plans.Member) string {
	var b strings.Builder
	for _, m := range members {
		b.WriteString(t.memberTriggers(m))
	}
	return b.String()
}

func (t *target) memberTriggers(m plans.Member) string {
	var b strings.Builder
	var always []string
	for _, g := range t.triggers(m) {
		g = t.gated(g)
		name := pg.Ident(t.trigger(g.name))
		fmt.Fprintf(&b, "CREATE TRIGGER %s %s ON %s %s EXECUTE FUNCTION %s();\n",
			name, g.on, m.Name.Quoted(), g.how, t.function(g.call).Quoted())
		always = append(always, "ENABLE ALWAYS TRIGGER "+name)
	}
	// ONLY: on a partitioned table it would descend to partitions.
	fmt.Fprintf(&b, "ALTER TABLE ONLY %s %s;\n", m.Name.Quoted(), strings.Join(always, ", "))
	return b.String()
}

// gated leaves out what sessions of ours do: triggers of a direction that begins
// with a swap are there before it, while replay still writes the tables, because
// making them inside the swap took ten milliseconds a table. The condition costs
// clients no more than a look at a setting.
func (t *target) gated(g trigger) trigger {
	if t.Direction != ToOld && !t.ahead {
		return g
	}
	if head, condition, found := strings.Cut(g.how, " WHEN ("); found {
		// The condition of the trigger's own first: it is cheap, and false for most rows.
		g.how = head + " WHEN ((" + condition + " AND " + t.notOurs + ")"
	} else {
		g.how += " WHEN (" + t.notOurs + ")"
	}
	return g
}

func (t *target) triggers(m plans.Member) []trigger {
	switch {
	case t.frozen:
		return t.freezeTriggers(m)
	case t.byRow():
		return t.rowTriggers(m)
	}
	all := t.statementTriggers()
	if t.isTree() {
		all = append(all, t.moveTriggers(m)...)
	}
	if len(t.Keys) > 0 && m.Leaf {
		all = append(all, trigger{"key", "AFTER UPDATE", "FOR EACH ROW WHEN (" + t.keyChanged() + ")", fnGone})
	}
	return all
}

// keyChanged is a condition over OLD and NEW, in parentheses. A key that is
// spelt differently is another key to the journal, even where its collation or
// its type calls both equal: such are compared as images. That costs thrice what
// an operator does, for each row of an UPDATE.
// (Operators would compare two ROWs field by field.)
func (t *target) keyChanged() string {
	var exact, spelt []string
	for _, k := range t.Keys {
		if t.isExact(k) {
			k = pg.Ident(t.builtName(k))
			exact = append(exact, "(OLD."+k+" OPERATOR(pg_catalog.=) NEW."+k+") IS NOT TRUE")
		} else {
			spelt = append(spelt, t.builtName(k))
		}
	}
	if len(spelt) > 0 {
		exact = append(exact, "pg_catalog.record_image_ne(ROW("+rowOf("OLD", spelt)+"), ROW("+rowOf("NEW", spelt)+"))")
	}
	return "(" + strings.Join(exact, " OR ") + ")"
}

func (t *target) statementTriggers() []trigger {
	const (
		newTable = "REFERENCING NEW TABLE AS pgumbra_new FOR EACH STATEMENT"
		oldTable = "REFERENCING OLD TABLE AS pgumbra_old FOR EACH STATEMENT"
		both     = "REFERENCING OLD TABLE AS pgumbra_old NEW TABLE AS pgumbra_new FOR EACH STATEMENT"
	)
	onUpdate := newTable
	if t.Record == plans.RecordImage || len(t.Tracked) > 0 {
		onUpdate = both
	}
	return []trigger{
		{fnInsert, "AFTER INSERT", newTable, fnInsert},
		{fnUpdate, "AFTER UPDATE", onUpdate, fnUpdate},
		{fnDelete, "AFTER DELETE", oldTable, fnDelete},
		{fnTruncate, "AFTER TRUNCATE", "FOR EACH STATEMENT", fnTruncate},
	}
}

// moveTriggers see rows that change their partition: no row-level UPDATE
// trigger fires for these, only DELETE's and INSERT's, and a MERGE that moves a
// row shows it in no transition table of UPDATE. They are switched on by the
// first UPDATE or MERGE of a transaction; what they then record twice is read
// again from production by replay.
func (t *target) moveTriggers(m plans.Member) []trigger {
	setting := "pg_catalog.current_setting(" + pg.Literal(t.movesSetting()) + ", true)"
	if !m.Leaf {
		how := "FOR EACH STATEMENT WHEN (" + setting + " IS DISTINCT FROM '1')"
		return []trigger{{fnMoves, "BEFORE UPDATE", how, fnMoves}}
	}
	how := "FOR EACH ROW WHEN (" + setting + " OPERATOR(pg_catalog.=) '1')"
	return []trigger{{"left", "AFTER DELETE", how, fnGone}, {fnCame, "AFTER INSERT", how, fnCame}}
}

func (t *target) rowTriggers(m plans.Member) []trigger {
	all := []trigger{{fnTruncate, "AFTER TRUNCATE", "FOR EACH STATEMENT", fnTruncate}}
	if !m.Leaf {
		return all
	}
	return append(all,
		trigger{fnCame, "AFTER INSERT", "FOR EACH ROW", fnCame},
		trigger{fnGone, "AFTER DELETE", "FOR EACH ROW", fnGone},
		trigger{fnChanged, "AFTER UPDATE", "FOR EACH ROW", fnChanged})
}

// freezeTriggers refuse before anything happens. A statement that names a
// parent fires none of a child's statement triggers, so a table with parents
// has one on rows too.
func (t *target) freezeTriggers(plans.Member) []trigger {
	all := []trigger{{fnFreeze, "BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE", "FOR EACH STATEMENT", fnFreeze}}
	if t.Kind == plans.Inherited {
		all = append(all, trigger{fnFreeze + "_row", "BEFORE INSERT OR UPDATE OR DELETE", "FOR EACH ROW", fnFreeze})
	}
	return all
}

func rowOf(row string, columns []string) string {
	fields := make([]string, len(columns))
	for i, c := range columns {
		fields[i] = row + "." + pg.Ident(c)
	}
	return strings.Join(fields, ", ")
}
