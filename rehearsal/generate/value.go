package generate

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// draw is one column's dice. All of them are functions of the row's number n and
// of the seed, evaluated by the server: the same seed gives the same rows.
type draw struct {
	seed     uint64
	salt     string // which column of which table, and which part of its value
	distinct bool   // another value for each n
	column   string // its name: a mail address looks like one
	n        string // SQL of the row's number; empty: n
	few      int64  // different values, of all of [variety]; 0: all
}

func (d draw) part(name string) draw {
	d.salt += "/" + name
	return d
}

func (d draw) row() string {
	if d.n != "" {
		return d.n
	}
	return "n"
}

// constant is a number that the seed and the salt decide.
func (d draw) constant() int64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s", d.seed, d.salt)
	return int64(h.Sum64() >> 2)
}

// dice is SQL of a number from 0 to below sides.
func (d draw) dice(sides int64) string {
	return fmt.Sprintf("((hashint8extended(%s, %d) & 9223372036854775807) %% %d)", d.row(), d.constant(), max(sides, 1))
}

// variety is how many different values a column has that need not be distinct.
const variety = 5000

// number is what a value is made of: the row's own, or one of [variety].
func (d draw) number() string {
	if d.distinct {
		return d.row()
	}
	if d.few > 0 {
		return fmt.Sprintf("(%s * %d)", d.dice(d.few), variety/d.few)
	}
	return d.dice(variety)
}

// fixed are types whose values need nothing but the number k, by name.
var fixed = map[string]string{
	"bool":        "(%s %% 2 = 0)",
	"int2":        "(%s %% 32767)::int2",
	"int4":        "(%s %% 2147483647)::int4",
	"int8":        "%s",
	"oid":         "(%s %% 2147483647)::oid",
	"xid8":        "(%s)::text::xid8",
	"float4":      "(%s / 4.0)::float4",
	"float8":      "(%s / 8.0)::float8",
	"money":       "(%s %% 1000000)::int4::money",
	"uuid":        "md5((%s)::text)::uuid",
	"date":        "(date '2024-01-01' + ((%s) %% 700000)::int)",
	"timestamp":   "(timestamp '2024-01-01 00:00:00' + (%s) * interval '61 minutes')",
	"timestamptz": "(timestamptz '2024-01-01 00:00:00+00' + (%s) * interval '61 minutes')",
	"time":        "(time '00:00:00' + ((%s) %% 86400) * interval '1 second')",
	"timetz":      "(time '00:00:00' + ((%s) %% 86400) * interval '1 second')::timetz",
	"interval":    "((%s) %% 10000000) * interval '1 minute'",
	"bytea":       "decode(md5((%s)::text), 'hex')",
	"inet":        "(inet '10.0.0.0' + (%s) %% 16777216)",
	"cidr":        "(inet '10.0.0.0' + (%s) %% 16777216)::cidr",
	"macaddr":     "('0200' || lpad(to_hex((%s) %% 4294967296), 8, '0'))::macaddr",
	"macaddr8":    "('02000000' || lpad(to_hex((%s) %% 4294967296), 8, '0'))::macaddr8",
	"point":       "point((%s) %% 1000, 1)",
	"box":         "box(point(0, 0), point((%s) %% 1000, 1))",
	"lseg":        "lseg(point(0, 0), point((%s) %% 1000, 1))",
	"line":        "line(point(0, 0), point(1 + (%s) %% 1000, 1))",
	"path":        "path(polygon(box(point(0, 0), point((%s) %% 1000, 1))))",
	"polygon":     "polygon(box(point(0, 0), point((%s) %% 1000, 1)))",
	"circle":      "circle(point(0, 0), 1 + (%s) %% 1000)",
	"pg_lsn":      "(pg_lsn '0/0' + (%s)::numeric)",
	"xml":         "('<v>' || (%s) || '</v>')::xml",
	"json":        `json_build_object('n', %[1]s, 'text', 'text ' || %[1]s, 'list', json_build_array(%[1]s, NULL))`,
	"jsonb":       `jsonb_build_object('n', %[1]s, 'text', 'text ' || %[1]s, 'list', jsonb_build_array(%[1]s, NULL))`,
	"tsvector":    "to_tsvector('pg_catalog.simple', 'word ' || (%s))",
	"tsquery":     "to_tsquery('pg_catalog.simple', 'word' || (%s))",
	"char":        `chr(65 + ((%s) %% 26)::int)::"char"`,
	"regclass":    "(ARRAY['pg_catalog.pg_class', 'pg_catalog.pg_type'])[1 + ((%s) %% 2)::int]::regclass",
	"regtype":     "(ARRAY['pg_catalog.int4', 'pg_catalog.text'])[1 + ((%s) %% 2)::int]::regtype",
}

// literals are tried for a type of which nothing is known.
var literals = []string{"1", "a", "a.b", "a=>1", "[1,2,3]", "POINT(1 1)", "(1,1)", "{}"}

// value is SQL that makes a value of a type, or several of which the first that
// the server takes will do. None: nothing is known of it.
func (all types) value(oid uint32, typmod int32, d draw) []string {
	t, typmod, _ := all.base(oid, typmod)
	if t == nil {
		return nil
	}
	if form, ok := fixed[t.Bare]; ok && t.OID < 16384 {
		return []string{fmt.Sprintf(form, d.number())}
	}
	switch {
	case t.Bare == "numeric":
		return []string{decimal(typmod, d)}
	case t.Bare == "bit", t.Bare == "varbit":
		return []string{bits(t.Bare, typmod, d)}
	case t.Kind == "e":
		labels := "enum_range(NULL::" + t.Name + ")"
		return []string{fmt.Sprintf("(%s)[1 + (%s %% cardinality(%s))::int]", labels, d.number(), labels)}
	case t.Category == "S":
		return []string{words(limit(t, typmod), d) + "::" + t.Name}
	case t.Kind == "r":
		return all.spread(t, d)
	case t.Kind == "m":
		return wrap(all.value(t.Range, -1, d), t.Name+"(%s)")
	case t.Element != 0:
		return all.list(t, typmod, d)
	case t.Kind == "c":
		return all.record(t, d)
	}
	var tries []string
	for _, l := range literals {
		tries = append(tries, pg.Literal(l)+"::"+t.Name)
	}
	return tries
}

func wrap(values []string, form string) []string {
	for i, v := range values {
		values[i] = fmt.Sprintf(form, v)
	}
	return values
}

// decimal keeps to precision and scale, which stand in the modifier.
func decimal(typmod int32, d draw) string {
	cents := d.part("cents").dice(100)
	if typmod < 4 {
		return fmt.Sprintf("(%s + %s / 100.0)::numeric(24,2)", d.number(), cents)
	}
	precision, scale := (typmod-4)>>16&0xffff, (typmod-4)&0x7ff
	whole := int64(1)
	for range min(precision-scale, 15) {
		whole *= 10
	}
	if scale >= 2 {
		return fmt.Sprintf("(%s %% %d + %s / 100.0)", d.number(), whole, cents)
	}
	return fmt.Sprintf("(%s %% %d)::numeric", d.number(), whole)
}

func bits(kind string, typmod int32, d draw) string {
	n := typmod
	if n < 1 {
		n = 8
	}
	text := fmt.Sprintf("right(repeat('0', %d) || (%s)::int8::bit(64)::text, %d)", max(n-64, 0), d.number(), n)
	return fmt.Sprintf("(%s)::%s(%d)", text, kind, n)
}

// limit is the longest text that a type takes; 0: none.
func limit(t *typ, typmod int32) int {
	switch {
	case t.Bare == "name":
		return 63
	case (t.Bare == "varchar" || t.Bare == "bpchar") && typmod > 4:
		return int(typmod) - 4
	}
	return 0
}

// samples begin a text: quotes, case, signs of more than a byte.
const samples = `(ARRAY['value', U&'Wert \00e4\00df', 'it''s', 'UPPER', 'back\slash', U&'snow \2603'])`

// looks are what a text is by its column's name.
var looks = []struct{ part, form string }{
	{"mail", "('user' || (%s) || '@example.com')"},
	{"url", "('https://example.com/' || (%s))"},
	{"phone", "('+41 44 ' || (%s))"},
	{"name", "('First' || (%[1]s) || ' Last' || (%[1]s))"},
}

// words is a text of at most limit signs, 0: of any length. A distinct one keeps
// the number that makes it so.
func words(limit int, d draw) string {
	k := d.number()
	if limit > 0 && limit < 12 {
		return fmt.Sprintf("right(lpad(to_hex(%s), %d, '0'), %d)", k, limit, limit)
	}
	text := fmt.Sprintf("(%s[1 + %s::int] || ' ' || (%s))", samples, d.part("sample").dice(6), k)
	for _, l := range looks {
		if strings.Contains(strings.ToLower(d.column), l.part) {
			text = fmt.Sprintf(l.form, k)
			break
		}
	}
	if !d.distinct && d.column != "" {
		text = fmt.Sprintf("CASE WHEN %s = 0 THEN '' ELSE %s END", d.part("empty").dice(60), text)
	}
	if limit > 0 {
		return fmt.Sprintf("right(%s, %d)", text, limit)
	}
	return "(" + text + ")"
}

// spread are ranges that never overlap, for exclusion constraints.
func (all types) spread(t *typ, d draw) []string {
	low, high := d, d
	low.distinct, high.distinct = true, true
	low.n, high.n = fmt.Sprintf("(%s * 10)", d.row()), fmt.Sprintf("(%s * 10 + 5)", d.row())
	from, to := all.value(t.Subtype, -1, low), all.value(t.Subtype, -1, high)
	if len(from) != 1 || len(to) != 1 {
		return nil
	}
	return []string{fmt.Sprintf("%s(%s, %s)", t.Name, from[0], to[0])}
}

// list is an array of two, sometimes of none.
func (all types) list(t *typ, typmod int32, d draw) []string {
	d.column = "" // no empty elements
	one, two := all.value(t.Element, typmod, d.part("1")), all.value(t.Element, typmod, d.part("2"))
	var tries []string
	for i := range one {
		array := fmt.Sprintf("ARRAY[%s, %s]::%s", one[i], two[i], t.Name)
		if !d.distinct {
			array = fmt.Sprintf("CASE WHEN %s = 0 THEN '{}'::%s ELSE %s END", d.part("none").dice(10), t.Name, array)
		}
		tries = append(tries, array)
	}
	return tries
}

func (all types) record(t *typ, d draw) []string {
	var fields []string
	for i, a := range t.Attributes {
		field := all.value(a, t.Typmods[i], d.part(fmt.Sprint(i)))
		if len(field) == 0 {
			return nil
		}
		fields = append(fields, field[0])
	}
	return []string{fmt.Sprintf("ROW(%s)::%s", strings.Join(slices.Clone(fields), ", "), t.Name)}
}
