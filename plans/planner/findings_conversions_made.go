package planner

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/pgdump"
)

// target is what a column's type asks of its values, as production can be asked: it may
// not have the type.
type target struct {
	kind    string // pg_type.typtype
	base    string // of a domain
	notNull bool
	checks  []string // of a domain, CHECK (…) over VALUE
	labels  []string // of an enum
}

func (c *converting) targetOf(ctx context.Context, a catalog.Column) (t target, err error) {
	err = c.scratch.db.QueryRow(ctx, `SELECT t.typtype::text, coalesce(pg_catalog.format_type(nullif(t.typbasetype, 0), t.typtypmod), ''), t.typnotnull,
			coalesce((SELECT array_agg(pg_catalog.pg_get_constraintdef(k.oid)) FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c' AND k.convalidated), '{}'),
			coalesce((SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid), '{}')
		FROM pg_catalog.pg_type t WHERE t.oid = $1`, a.TypeOID).Scan(&t.kind, &t.base, &t.notNull, &t.checks, &t.labels)
	if err != nil {
		return t, fmt.Errorf("read the type of %s: %w", a.Name, err)
	}
	return t, nil
}

// columnsMade are the columns that are not simply copied.
func (c *converting) columnsMade(ctx context.Context) (all []conversion, err error) {
	for _, p := range c.table.Columns {
		a, found := c.draftOf.after.ColumnNamed(p.Shadow)
		if !found || p.Expression == "" || p.Means != "" || p.Generated || p.Volatile {
			continue
		}
		old, own := c.production.ByName(c.table.Production).ColumnNamed(plainReference(p.Expression))
		casts := strings.Count(p.Expression, "::")
		if own && casts < 2 && wider(old.Type, a.Type) {
			c.values[p.Shadow] = "CAST((" + p.Expression + "\n) AS " + a.Type + ")"
			continue
		}
		own = own && casts == 0
		t, err := c.targetOf(ctx, a)
		if err != nil {
			return nil, err
		}
		v := conversion{object: c.table.Final.String() + "." + p.Shadow, words: []string{c.table.Final.Name, p.Shadow}, columns: []string{p.Shadow}, value: pg.Ident(p.Shadow)}
		switch {
		case t.kind == "e" && (!own || old.Type != a.Type):
			c.values[p.Shadow] = "CAST((" + withoutCast(p) + ") AS text)"
			v.refuses, v.state = v.value+" <> ALL (ARRAY["+literals(t.labels)+"]::text[])", pgerrcode.InvalidTextRepresentation
		case t.kind == "d" && !c.sameDomain(old, own, a):
			c.values[p.Shadow] = "CAST((" + withoutCast(p) + ") AS " + t.base + ")"
			v.refuses, v.state = t.refusal(v.value)
		case own && old.Type == a.Type, constant.MatchString(p.Expression):
			c.values[p.Shadow] = "(" + p.Expression + "\n)"
			continue
		default:
			c.values[p.Shadow] = "CAST((" + p.Expression + "\n) AS " + a.Type + ")"
			if n := lengthOf(a.Type); n > 0 && own { // by assignment it is refused, by a cast it is cut
				c.values[p.Shadow] = "CAST((" + p.Expression + "\n) AS text)"
				v.refuses, v.state = fmt.Sprintf("char_length(rtrim(%s, ' ')) > %d", v.value, n), pgerrcode.StringDataRightTruncationDataException
			}
		}
		all = append(all, v)
	}
	return all, nil
}

// sameDomain: the column had the domain, as it is.
func (c *converting) sameDomain(old catalog.Column, own bool, a catalog.Column) bool {
	named := func(look *catalog.Catalog) (definition string) {
		for _, t := range look.Types {
			if t.Name.String() == a.Type || t.Name.Quoted() == a.Type {
				return t.Definition
			}
		}
		return ""
	}
	return own && old.Type == a.Type && named(c.before) != "" && named(c.before) == named(c.after)
}

// refusal is when a domain does not take a value.
func (t target) refusal(value string) (condition, state string) {
	var all []string
	state = pgerrcode.CheckViolation
	for _, check := range t.checks {
		all = append(all, "EXISTS (SELECT FROM (SELECT "+value+" AS value) AS v WHERE NOT "+strings.TrimPrefix(check, "CHECK ")+")")
	}
	if t.notNull {
		all, state = append(all, value+" IS NULL"), pgerrcode.NotNullViolation
	}
	return strings.Join(all, " OR "), state
}

func literals(all []string) string {
	quoted := make([]string, len(all))
	for i, text := range all {
		quoted[i] = pg.Literal(text)
	}
	return strings.Join(quoted, ", ")
}

// simple is an expression whose last cast can be taken away.
var simple = regexp.MustCompile(`^([\pL_][\pL\pN_$.]*|"[^"]+")(::[\pL ]+)?$`)

// withoutCast is the expression before its cast to a type that production may lack.
func withoutCast(p plans.Column) string {
	inner, found := strings.CutSuffix(strings.TrimSpace(p.Expression), "::"+p.Type)
	if found && (simple.MatchString(inner) || wrapped(inner) || wholeCase(inner)) {
		return inner
	}
	return p.Expression + "\n"
}

// wholeCase: the text is one CASE to its end, or the cast of one.
func wholeCase(text string) bool {
	tokens, ok := pgdump.Lex(text)
	if !ok || len(tokens) == 0 || !tokens[0].Is("CASE") {
		return false
	}
	depth := 0
	for i, t := range tokens {
		switch {
		case t.Is("CASE"):
			depth++
		case t.Is("END"):
			depth--
		}
		if depth == 0 {
			return !slices.ContainsFunc(tokens[i+1:], func(t pgdump.Token) bool { return t.Kind != pgdump.Word && !t.Is(":") && !t.Is("::") })
		}
	}
	return false
}

// wrapped: the first parenthesis is closed by the last one. Quotes are not looked into:
// what holds one is not taken for wrapped.
func wrapped(text string) bool {
	if !strings.HasPrefix(text, "(") || strings.ContainsAny(text, `'"$`) {
		return false
	}
	depth := 0
	for i, r := range text {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 {
			return i == len(text)-1
		}
	}
	return false
}

// widenings take every value of the type before.
var widenings = map[string][]string{
	"smallint": {"integer", "bigint", "numeric", "text"}, "integer": {"bigint", "numeric", "double precision", "text"}, "bigint": {"numeric", "text"},
	"real": {"double precision", "text"}, "uuid": {"text"}, "boolean": {"text"}, "date": {"text"}, "json": {"text"}, "jsonb": {"text"},
}

func wider(before, after string) bool {
	text := before == "text" || strings.HasPrefix(before, "character varying")
	if text && (after == "text" || after == "character varying") {
		return true
	}
	if from, to := lengthOf(before), lengthOf(after); text && from > 0 && to >= from && strings.HasPrefix(after, "character varying") {
		return true
	}
	return slices.Contains(widenings[before], after)
}

var limited = regexp.MustCompile(`^character(?: varying)?\((\d+)\)$`)

// lengthOf a text type; 0: any.
func lengthOf(typ string) int {
	found := limited.FindStringSubmatch(typ)
	if found == nil {
		return 0
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		return 0
	}
	return n
}

// expressionsMade are new generated columns, and the expressions of new indexes.
func (c *converting) expressionsMade(ctx context.Context) (all []conversion, err error) {
	before := c.before.ByOID(c.draftOf.after.OID)
	for _, a := range c.draftOf.after.Columns {
		if a.Generated != "s" || a.Default == "" {
			continue
		}
		if before != nil {
			if b, had := before.Column(a.Num); had && b.Generated == a.Generated && b.Default == a.Default && b.Type == a.Type {
				continue
			}
		}
		all = append(all, conversion{object: c.table.Final.String() + "." + a.Name, words: []string{c.table.Final.Name, a.Name},
			columns: c.mentioned(a.Default), value: "CAST((" + a.Default + ") AS " + a.Type + ")"})
	}
	for _, i := range c.after.IndexesOf(c.draftOf.after.OID) {
		if slices.ContainsFunc(c.before.Indexes, func(b *catalog.Index) bool { return b.OID == i.OID }) || !i.Expression && !i.Partial {
			continue
		}
		// A partial index computes nothing of the rows that it leaves out.
		rows, err := c.scratch.db.Query(ctx, `SELECT 'CASE WHEN ' || p.condition || ' THEN ROW(' || coalesce(string_agg(pg_catalog.pg_get_indexdef(i.indexrelid, k, false), ', ' ORDER BY k), '') || ') END'
			FROM pg_catalog.pg_index i CROSS JOIN LATERAL (SELECT coalesce(pg_catalog.pg_get_expr(i.indpred, i.indrelid), 'true') AS condition) AS p
			LEFT JOIN generate_series(1, 32) AS k ON k <= i.indnkeyatts AND i.indkey[k - 1] = 0
			WHERE i.indexrelid = $1 GROUP BY p.condition`, i.OID)
		if err != nil {
			return nil, fmt.Errorf("read the expressions of %s: %w", i.Name, err)
		}
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, fmt.Errorf("read the expressions of %s: %w", i.Name, err)
		}
		for _, text := range texts {
			all = append(all, conversion{object: c.table.Final.String() + "." + i.Name.Name, words: []string{c.table.Final.Name, "index"},
				columns: c.mentioned(text), value: text})
		}
	}
	return all, nil
}

// mentioned are the table's columns that an expression may name.
func (c *converting) mentioned(expression string) (names []string) {
	for _, a := range c.draftOf.after.Columns {
		if a.Generated == "" && regexp.MustCompile(`(^|[^\pL\pN_$"])"?`+regexp.QuoteMeta(a.Name)+`"?([^\pL\pN_$"]|$)`).MatchString(expression) {
			names = append(names, a.Name)
		}
	}
	return names
}
