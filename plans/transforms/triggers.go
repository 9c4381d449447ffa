package transforms

import (
	"regexp"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// Bits of pg_trigger.tgtype.
const (
	triggerRow    = 1
	triggerBefore = 2
	triggerInsert = 4
	triggerDelete = 8
	triggerUpdate = 16
)

// fires judges the triggers that a followed statement fires in place, on rows
// of production, and that do not fire when the shadow is filled. rows are those of
// an UPDATE; nil: of another statement.
//
//   - one that only assigns columns of the row is followed, if it is that simple;
//   - another that only notes the time (updated_at) is a warning: the shadow keeps
//     production's times;
//   - one that only inserts rows elsewhere (audit, outbox) is a warning: the
//     shadow has not these rows;
//   - one that computes other columns, suppresses rows, changes other tables, or
//     cannot be read, is a blocker for what it changes.
func (s *step) fires(t *table, rel *syntax.Relation, event int, columns []int16, rows *touched) {
	seenNames := map[string]bool{}
	for _, r := range s.withMembers(rel) {
		for _, g := range r.Triggers {
			if seenNames[g.Name] || g.Type&event == 0 || !enabled(g, s.before.Replica) {
				continue
			}
			seenNames[g.Name] = true
			if event == triggerUpdate && len(g.Columns) > 0 && !slices.ContainsFunc(g.Columns, func(n int16) bool { return slices.Contains(columns, n) }) {
				continue
			}
			if r.OID != rel.OID || !s.followsRow(t, rel, g, rows) {
				s.trigger(t, rel, g)
			}
		}
	}
}

// withMembers is a relation with the members of its partition tree.
func (s *step) withMembers(rel *syntax.Relation) []*syntax.Relation {
	out := []*syntax.Relation{rel}
	for i := range s.before.Relations {
		r := &s.before.Relations[i]
		if r.Partition && slices.ContainsFunc(out, func(p *syntax.Relation) bool { return slices.Contains(r.Parents, p.OID) }) {
			out = append(out, r)
		}
	}
	return out
}

func enabled(g syntax.Trigger, replica bool) bool {
	switch g.Enabled {
	case "A":
		return true
	case "O":
		return !replica
	case "R":
		return replica
	}
	return false
}

// Trigger functions in C that are known.
var (
	harmlessTriggers = map[string]bool{"suppress_redundant_updates_trigger": true}
	timeTriggers     = map[string]bool{"moddatetime": true}
)

func (s *step) trigger(t *table, rel *syntax.Relation, g syntax.Trigger) {
	what := "the statement fires trigger " + g.Name + " of " + rel.Name + " in place, but not in the shadow: "
	switch {
	case harmlessTriggers[g.Function.Name]:
		return
	case timeTriggers[g.Function.Name]:
		s.warn(t, what+"it notes the time; the shadow keeps production's")
		return
	case !g.Function.Own():
		s.taintTrigger(t, what+"what "+g.Function.Name+"() does cannot be read")
		return
	}
	body, r := s.codeOf(g.Function)
	if r != nil || body.Unknown {
		s.taintTrigger(t, what+"its function "+g.Function.Name+"() cannot be read")
		return
	}
	for _, call := range body.Calls {
		name := ast.Last(ast.Strings(call.GetFuncname()))
		for _, f := range s.functions {
			if f.Name != name || !f.Own() {
				continue
			}
			if c, r := s.codeOf(f); r != nil || c.ChangesData() || c.Unknown {
				s.taintTrigger(t, what+"it calls "+name+"(), which changes data")
				return
			}
		}
	}
	s.triggerWrites(t, body, what)
	if g.Type&triggerRow != 0 && g.Type&triggerBefore != 0 {
		s.triggerRow(t, body, what)
	}
}

// triggerWrites judges what a trigger changes in tables.
func (s *step) triggerWrites(t *table, body syntax.Code, what string) {
	if body.Dynamic {
		s.taintTrigger(t, what+"it changes data by statements put together at run time")
		return
	}
	for _, w := range body.Writes {
		if w.Kind == syntax.Insert {
			s.warn(t, what+"it inserts rows into "+w.Table.GetRelname()+", which the shadow will not have")
			continue
		}
		tainted := []int{s.taintAs(taint{code: CodeTrigger, where: where(s.fact), text: what + "it changes " + w.Table.GetRelname()})}
		if !s.taintWrite(w, tainted, true) {
			s.taintTrigger(t, what+"it changes "+w.Table.GetRelname())
		}
	}
}

var (
	newColumn  = regexp.MustCompile(`(?i)^\s*new\s*\.\s*("(?:[^"]|"")+"|[\pL_][\pL\pN_$]*)\s*:?=\s*(.*)$`)
	newWhole   = regexp.MustCompile(`(?i)^\s*new\s*(:?=|\[)`)
	intoNew    = regexp.MustCompile(`(?i)\binto\s+(strict\s+)?new\b`)
	returns    = regexp.MustCompile(`(?i)\breturn\s+([^;\s]+)`)
	timeOfRow  = regexp.MustCompile(`(?is)^\(*\s*(now\(\)|current_timestamp|localtimestamp|current_date|clock_timestamp\(\)|statement_timestamp\(\)|transaction_timestamp\(\)|timezone\()`)
	returnsNew = regexp.MustCompile(`(?i)^new$`)
)

// triggerRow judges what a BEFORE row trigger makes of the row.
func (s *step) triggerRow(t *table, body syntax.Code, what string) {
	if intoNew.MatchString(body.Text) {
		s.taintTrigger(t, what+"it computes the row")
		return
	}
	for _, m := range returns.FindAllStringSubmatch(body.Text, -1) {
		if !returnsNew.MatchString(m[1]) {
			s.taintTrigger(t, what+"it may keep rows out or put others in their place")
			return
		}
	}
	for _, a := range body.Assigns {
		m := newColumn.FindStringSubmatch(a)
		switch {
		case m == nil && newWhole.MatchString(a):
			s.taintTrigger(t, what+"it computes the row")
		case m == nil: // a variable
		case timeOfRow.MatchString(strings.TrimSpace(m[2])):
			s.warn(t, what+"it notes the time in "+m[1]+"; the shadow keeps production's")
		default:
			s.taintColumns(t, []string{foldName(m[1])}, []int{s.taintAs(taint{code: CodeTrigger, where: where(s.fact), text: what + "it computes column " + m[1]})})
		}
	}
}

func foldName(name string) string {
	if unquoted, ok := strings.CutPrefix(name, `"`); ok {
		return strings.ReplaceAll(strings.TrimSuffix(unquoted, `"`), `""`, `"`)
	}
	return strings.ToLower(name)
}

func (s *step) taintTrigger(t *table, text string) {
	t.tainted = join(t.tainted, []int{s.taintAs(taint{code: CodeTrigger, where: where(s.fact), text: text})})
}

// warn notes a difference that is a matter of taste.
func (s *step) warn(t *table, text string) {
	t.warned = join(t.warned, []int{s.taintAs(taint{code: CodeTrigger, where: where(s.fact), text: text})})
}
