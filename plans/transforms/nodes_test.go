package transforms

import (
	"testing"

	"github.com/pgumbra/pgumbra/plans/syntax/ast"
	"github.com/pgumbra/pgumbra/plans/syntax/parser"
)

// What users write in expressions comes back as the same tree from the
// deparser's text, so that a transform can be written at all.
func TestRenderKeepsExpressions(t *testing.T) {
	t.Parallel()
	in := &inference{}
	for _, e := range []string{
		"a", `"A b"`, "1", "-1", "- a", "1.50", "'x''y'", `E'a\nb'`, "NULL", "true", "B'101'", "a + b * c - (d - e)", "a || b || 'x'", "(a || b) || c", "a || (b || c)",
		"a::bigint", "(a + 1)::numeric(10,2)", "a::text::int", "a::varchar(3)", "a::char(2)", "a::\"char\"", "a::timestamptz(3)", "'1 day'::interval", "interval '1 day'", "interval '1' year", "interval(3) '1 day'", "a::interval day to second", "a::time with time zone",
		"a AT TIME ZONE 'UTC'", "(a + interval '1 hour') AT TIME ZONE b", "date '2020-01-01'", "timestamp '2020-01-01 10:00'", "extract(epoch from a)", "date_trunc('day', a)",
		"position('a' in b)", "overlay(a placing b from 1 for 2)", "trim(a)", "trim(leading 'x' from a)", "substring(a from 'x')", "substring(a, 1, 2)", "substring(a similar 'x' escape '#')", "normalize(a, nfc)", "a IS NORMALIZED", "collation for (a)",
		"a LIKE 'x%'", "a NOT LIKE 'x' ESCAPE '!'", "a ILIKE b", "a SIMILAR TO 'x'", "a ~ 'x' AND a !~* 'y'", "NOT a", "NOT (a AND b)", "a AND (b OR c)", "(a OR b) AND NOT c OR d", "a = b IS TRUE", "(a = b) IS NOT UNKNOWN", "a IS NOT NULL",
		"a BETWEEN 1 AND 2", "a NOT BETWEEN SYMMETRIC 1 AND 2", "a IN (1, 2)", "a NOT IN ('x')", "a = ANY(b)", "a <> ALL(ARRAY[1,2])", "a = ANY('{1,2}'::int[])", "(a, b) = (1, 2)", "(a, b) < (1, 2)", "ROW(a, b)", "ROW(a)",
		"a[1]", "a[1:2]", "(a).b", "((a).b).c", "(f(a)).x", "(a[1]).b", "ARRAY[]::int[]", "ARRAY[[1,2],[3,4]]", "a -> 'x' ->> 'y'", "a #>> '{x,y}'", "a @> '{}'::jsonb", "a ? 'x'", "a - 'x'",
		"CASE WHEN a THEN 1 ELSE 2 END", "CASE a WHEN 1 THEN 'x' WHEN 2 THEN 'y' END", "CASE WHEN a THEN b END::int + 1",
		"coalesce(a, b)", "nullif(a, b)", "greatest(a, b)", "least(a, 1)", "f(a, VARIADIC b)", "f(a => 1)", "s.f(a)", "a COLLATE \"C\"", "(a || b) COLLATE \"C\"", "a OPERATOR(pg_catalog.+) b", "@ a", "|/ a", "a # b", "a ^ b ^ c", "a % 2 = 0",
		"(a = b) = c", "a = (b = c)", "(a < b) IS DISTINCT FROM (c < d)", "(a IS NULL) = (b IS NULL)", "(a IS NULL)::int", "(NOT a)::int", "- (- a)", "(a + b)[1]", "- 5 % 3", "(-5) % 3", "a -> (b + 1)", "(a -> 'x')::int", "(a LIKE b)::int", "(a IN (1)) IS NULL", "(a BETWEEN b AND c) = d", "a + (b IS NULL)::int", "a = ANY(b) AND c", "xmlelement(name x, a)", "json_build_object('a', b)", "a IS JSON", "to_tsvector('english', a) @@ to_tsquery('b')", "a::regclass", "U&'\\0061'", "a = '' OR a IS NULL", "a::s.\"T y\"[]", "a::money", "a::bit(3)", "a::bit varying(3)", "a::float(20)", "a::national character varying(3)",
		"a AND b AND c", "a AND (b AND c)", "a OR b OR c", "(a IS NOT TRUE) AND b", "(a OR b) IS NOT TRUE",
	} {
		tree, err := parser.Parse("SELECT " + e)
		if err != nil {
			t.Errorf("%s: %v", e, err)
			continue
		}
		if _, r := in.render(ast.Target(tree)); r != nil {
			t.Errorf("%s: %s", e, r.text)
		}
	}
}

// The deparser forgets some parentheses: such an expression is refused, never
// written wrong.
func TestRenderRefusesWhatWouldBeAnotherExpression(t *testing.T) {
	t.Parallel()
	tree, err := parser.Parse("SELECT (CASE WHEN a THEN b ELSE c END).d")
	if err != nil {
		t.Fatal(err)
	}
	if text, r := (&inference{}).render(ast.Target(tree)); r == nil {
		t.Errorf("it became %s", text)
	}
}
