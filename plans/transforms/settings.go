package transforms

import (
	"encoding/json"
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

// What an expression gives depends on the settings of the session in which the
// migration runs: texts of dates, floats and bytea, the time zone between
// timestamp and timestamptz. A value remembers those that were in force when it
// was computed. One value has one set of them: where it would need two at once,
// no expression can say it.

// under is a set of settings in one text; "": they do not matter.
type under string

func underOf(s *syntax.Seen) under {
	if len(s.Settings) == 0 {
		return ""
	}
	text, err := pg.JSON(s.Settings) // keys in order
	if err != nil {
		return ""
	}
	return under(text)
}

// settings of a value; nil where they do not matter.
func (u under) settings() map[string]string {
	var all map[string]string
	if u == "" || json.Unmarshal([]byte(u), &all) != nil {
		return nil
	}
	return all
}

// with is one set for two parts of an expression.
func (u under) with(other under) (under, *reason) {
	switch {
	case other == "" || u == other:
		return u, nil
	case u == "":
		return other, nil
	}
	return u, unsupported("it needs two settings of the session at once: %s changed in between", changedSetting(u.settings(), other.settings()))
}

func changedSetting(a, b map[string]string) string {
	var names []string
	for name := range a {
		if a[name] != b[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "a setting"
	}
	return names[0]
}

// computed are the settings that an expression of this scope needs, with those
// of the values that it reads.
func (s *scope) computed(n *pgq.Node) (under, *reason) {
	out := under("")
	if !neutral(n) {
		out = underOf(s.mark)
	}
	for _, u := range s.unders {
		var r *reason
		if out, r = out.with(u); r != nil {
			return "", r
		}
	}
	return out, nil
}

// neutral: a number, a truth value or NULL means the same in every session.
func neutral(n *pgq.Node) bool {
	c := n.GetAConst()
	return c != nil && c.GetSval() == nil
}

// condition decides which rows a statement is about.
type condition struct {
	node  *pgq.Node
	under under
}

func (s *scope) condition(n *pgq.Node) (condition, *reason) {
	u, r := s.computed(n)
	return condition{fold(n), u}, r
}
