package planner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// Rows that the migrations divided among several tables, or put into one with others,
// come back by a query that the plan file writes over the upgraded tables.

// queriedBack are the rules that write such a query of a production table; nil: none.
func (m *wayBack) queriedBack(s *sourceDraft) *planfile.TableRules {
	i := slices.IndexFunc(m.file.Tables, func(r planfile.TableRules) bool { return r.ReverseFrom.SQL != "" && r.Name == s.production.Name })
	if i < 0 || !m.plan.Settings.Watch.Enabled {
		return nil
	}
	return &m.file.Tables[i]
}

// backQueries writes them down, with the tables that they read by their numbers.
func (m *wayBack) backQueries() error {
	for i := range m.file.Tables {
		r := &m.file.Tables[i]
		if r.ReverseFrom.SQL == "" || !m.plan.Settings.Watch.Enabled {
			continue
		}
		n := slices.IndexFunc(m.plan.Sources, func(s plans.Source) bool { return s.Name == r.Name })
		if n < 0 {
			m.find(plans.Finding{Level: plans.Blocker, Code: "table-unknown", Object: r.Name.String(), Where: m.file.WhereLine(r.Line),
				Message: "production has no table of this name whose rows come over, so that none go back to it", Fix: "correct the name under tables:"})
			continue
		}
		s := &m.plan.Sources[n]
		s.Back = &plans.BackQuery{From: m.plan.DuringBuild(strings.TrimRight(strings.TrimSpace(r.ReverseFrom.SQL), ";"), ""), Columns: []plans.Column{}}
		for _, k := range r.ReverseKey {
			m.watchBack(s, k)
		}
		for _, c := range m.production.ByName(s.Name).Columns {
			s.Back.Columns = append(s.Back.Columns, plans.Column{Shadow: c.Name, Type: c.Type, Expression: pg.Ident(c.Name), Origin: plans.FromPlan,
				Generated: c.Generated != "", Identity: c.Identity != ""})
		}
		if len(s.Key) == 0 {
			m.find(plans.Finding{Level: plans.Blocker, Code: "transform-invalid", Object: s.Name.String(), Where: m.file.WhereLine(r.Line),
				Message: "rows of a table without a key cannot come back by a query: none is found again", Fix: "leave reverse: out, or add a primary key in production"})
		}
	}
	return nil
}

func (m *wayBack) watchBack(s *plans.Source, k planfile.KeyRule) {
	i := slices.IndexFunc(m.plan.Tables, func(t plans.Table) bool { return t.Final == k.Source })
	if i < 0 || !m.plan.Tables[i].Captured() {
		m.find(plans.Finding{Level: plans.Blocker, Code: "table-unknown", Object: k.Source.String(), Where: m.file.WhereLine(k.Line),
			Message: "the upgraded structure has no table of this name whose rows come from production", Fix: "correct the name under reverse: key:"})
		return
	}
	t := &m.plan.Tables[i]
	for _, p := range k.Pairs {
		if !slices.ContainsFunc(t.Columns, func(c plans.Column) bool { return c.Shadow == p.Column }) ||
			!slices.ContainsFunc(m.production.ByName(s.Name).Columns, func(c catalog.Column) bool { return c.Name == p.Shadow }) {
			m.find(plans.Finding{Level: plans.Blocker, Code: "transform-invalid", Object: t.Final.String() + "." + p.Column, Where: m.file.WhereLine(k.Line),
				Message: "there is no such column, or " + s.Name.String() + " has no " + p.Shadow, Fix: "correct reverse: key: {" + t.Final.String() + ": {its column: the old table's column}}"})
		}
	}
	s.Back.Watches = append(s.Back.Watches, plans.Watch{Source: t.N, Columns: k.Pairs})
}

// queriesBack checks the queries on the server, in scratch: what they give can be written
// to the old table, and all that they read is watched.
func (v *validator) queriesBack(ctx context.Context) error {
	for i := range v.plan.Sources {
		if s := &v.plan.Sources[i]; s.Back != nil {
			if err := v.queryBack(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *validator) queryBack(ctx context.Context, s *plans.Source) error {
	rules := v.queriedBackOf(s.Name)
	where := v.file.WhereLine(rules.ReverseFrom.Line)
	db, err := v.open(ctx, v.pathAfterSwap())
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	after := &validator{draft: v.draft, db: db}
	refuse := func(code, object, message, fix string) {
		v.find(plans.Finding{Level: plans.Blocker, Code: code, Object: object, Where: where, Message: message, Fix: fix})
	}
	given, err := after.given(ctx, s.Back.From)
	if err == nil {
		after.givenBack(s, given, where)
		back := &plans.Table{Shadow: s.Name, Columns: slices.DeleteFunc(slices.Clone(s.Back.Columns), func(c plans.Column) bool { return c.Expression == "" })}
		err = after.fills(ctx, back, s.Back.From)
	}
	if pg.State(err) != "" {
		refuse("transform-invalid", s.Name.String(), fmt.Sprintf("the server refuses the query of reverse: %s (SQLSTATE %s)", serverMessage(err), pg.State(err)), "correct it under tables: "+s.Name.String()+" reverse: from:")
		return nil
	}
	if err != nil {
		return err
	}
	found, err := after.analyse(ctx, "SELECT 1 FROM ("+s.Back.From+") AS pgumbra_from")
	if err != nil || found == nil {
		return err
	}
	for _, n := range found.relations {
		if !slices.ContainsFunc(s.Back.Watches, func(w plans.Watch) bool { return v.rootOfShadow(n) == v.plan.Tables[w.Source].Shadow }) {
			refuse("transform-reads-tables", s.Name.String(), fmt.Sprintf("the query of reverse: reads %s, which its key: does not name: a change there would not reach this table", n),
				"name it under reverse: key: with the columns through which its changes reach the old rows")
		}
	}
	v.unsteady(s.Name.String(), where, found)
	return nil
}

// rootOfShadow: a partition's rows are those of its tree.
func (v *validator) rootOfShadow(n pg.Name) pg.Name {
	if t := v.final.ByName(n); t != nil {
		return v.final.Root(t).Name
	}
	return n
}

func (v *validator) queriedBackOf(name pg.Name) planfile.TableRules {
	i := slices.IndexFunc(v.file.Tables, func(r planfile.TableRules) bool { return r.Name == name && r.ReverseFrom.SQL != "" })
	return v.file.Tables[i]
}

// givenBack: what the query does not give the old side keeps, of new rows its default; a
// column that the old table has not is a mistake.
func (v *validator) givenBack(s *plans.Source, given []string, where string) {
	find := func(level plans.Level, code, column, message, fix string) {
		v.find(plans.Finding{Level: level, Code: code, Object: s.Name.String() + "." + column, Where: where, Message: message, Fix: fix})
	}
	for i := range s.Back.Columns {
		c := &s.Back.Columns[i]
		if c.Generated || slices.Contains(given, c.Shadow) {
			continue
		}
		c.Expression, c.Kept = "", true
		if s.Keyed(c.Shadow) {
			find(plans.Blocker, "transform-invalid", c.Shadow, "the query of reverse: does not give this column of the old table's key", "select it")
		} else {
			find(v.lossLevel(), "not-reversible", c.Shadow, "the query of reverse: does not give this column: after a rollback, rows of before the cutover have their last value, newer ones its default", "select it, if it is needed")
		}
	}
	for _, g := range given {
		if !slices.ContainsFunc(s.Back.Columns, func(c plans.Column) bool { return c.Shadow == g && !c.Generated }) {
			find(plans.Blocker, "transform-invalid", g, "the query of reverse: gives a column that the old table does not have", "leave it out, or give it the right name: AS column")
		}
	}
}

// comesBackByQuery: what is told of single tables is not so of this one.
func (m *wayBack) comesBackByQuery(t *plans.Table) bool {
	return t.Feed == plans.Copied && m.plan.Sources[t.Source].Back != nil ||
		t.Feed == plans.Derived && !slices.ContainsFunc(t.Watches, func(w plans.Watch) bool { return m.plan.Sources[w.Source].Back == nil })
}
