package plans

import (
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/reverse"
)

// AfterSwap spells an expression, a type or a query of the way back as it has to be
// after the swap. In a plan production's objects go by their true names, and the
// shadow's by those that they have while it is built; after the swap the true names
// lead to what was the shadow, and production's are in the old schemas, or keep theirs
// in a database of their own. What both share has moved along and keeps its name. table is the table's own name, by which
// columns may be qualified.
func (p *Plan) AfterSwap(sql, table string) string {
	return reverse.Respell(sql, table, func(schema, object string) string {
		for _, s := range p.Schemas {
			switch {
			case schema == s.Shadow:
				return s.Production
			case !p.Remote && schema == s.Production && !p.shares(pg.Name{Schema: schema, Name: object}):
				return s.Old
			}
		}
		return schema
	})
}

// DuringBuild spells what the plan file writes as of after the swap as it has to be
// while the shadow is built: the true names are those of what will be there then.
func (p *Plan) DuringBuild(sql, table string) string {
	return reverse.Respell(sql, table, func(schema, object string) string {
		if s, moves := p.SchemaFor(schema); moves && !p.shares(pg.Name{Schema: schema, Name: object}) {
			return s.Shadow
		}
		return schema
	})
}

func (p *Plan) shares(n pg.Name) bool {
	return slices.ContainsFunc(p.Shared, func(s Shared) bool { return s.Name == n })
}

// Unnoted are the upgraded tables of which rows that the old one cannot hold as they are
// may be written, and are not noted in the watch: the old row does not tell the key, or the
// condition names something of the schemas that move, which another server may not have.
// What is refused stops the table; what is altered only [Table.UnfitSQL] finds.
func (p *Plan) Unnoted() (all []*Table) {
	final, back := p.afterFence(), p.Inverse()
	for i := range back.Tables {
		b := &back.Tables[i]
		if b.Source < 0 || len(b.Noted) > 0 || b.Unfit != "" {
			continue
		}
		if t := &final.Tables[b.Source]; t.Unfit != "" {
			all = append(all, t)
		}
	}
	return all
}

// UnfitSQL asks which rows of an upgraded table the old one cannot hold, after the
// swap: the key of each, for people, and why. from stands after FROM and gives such
// rows: the table itself, or those of it that were touched. Empty: each row fits.
// It reads the table's columns as they are and takes ACCESS SHARE.
func (t *Table) UnfitSQL(from string) string {
	if t.Unfit == "" {
		return ""
	}
	var key []string
	for _, k := range t.Key {
		key = append(key, pg.Literal(k.Shadow+" = ")+" || "+pg.Ident(t.Final.Name)+"."+pg.Ident(k.Shadow)+"::text")
	}
	told := "''"
	if len(key) > 0 {
		told = "pg_catalog.concat_ws(', ', " + strings.Join(key, ", ") + ")"
	}
	return "SELECT " + told + " AS key, pgumbra_unfit.why FROM " + from + " AS " + pg.Ident(t.Final.Name) +
		" CROSS JOIN LATERAL (SELECT " + t.Unfit + " AS why) AS pgumbra_unfit WHERE pgumbra_unfit.why IS NOT NULL"
}
