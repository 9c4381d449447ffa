package replay

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// A digest is a number made of a row, whose sum over many rows tells whether two
// sets of rows are the same.
//
// Where both sides are one server, each column's value is hashed by PostgreSQL's
// own function for its type, with a number of the column's as the seed; the hashes
// are combined by XOR, and that is hashed once more. Without the last step two rows
// that swapped a value would not change the sum. It takes less time than the hash of
// a record, which makes a tuple of each row and looks up each column's type.
//
// Values that are equal may not be the same: 1.0 and 1.00, 0 and -0, two spellings of
// one word in an insensitive collation hash alike; and PostgreSQL folds eight bytes
// into four before it hashes them. So only types whose hash is one of all their bytes
// are hashed as they are. An integer is the seed of a hash instead, which takes all
// of its bytes. Of others it is what their send function makes of them, and of those
// that are not known here the text.

// digest of a production row after its transforms. Each is evaluated once.
func (f *applier) digest() string {
	return f.digestOf(typed, f.keyValue, f.image())
}

// shadowDigest is the same number of a shadow row.
func (f *applier) shadowDigest(row string) string {
	pairs := f.pairs()
	return f.digestOf(func(c plans.Column) string { return f.proved(c, row) },
		func(i int) string { return row + "." + pg.Ident(pairs[i].Shadow) }, f.provedImage(row))
}

func (f *applier) digestOf(value func(plans.Column) string, key func(i int) string, image string) string {
	if f.asText() {
		return "pg_catalog.hashtextextended(" + image + ", 0)"
	}
	var terms, sent, texts []string
	add := func(sqlType, value string) {
		seed := columnSeed(len(terms) + 2)
		term := hashOf(sqlType, value, seed)
		switch send := sends[typeName(sqlType)]; {
		case term != "": // the hash of NULL is NULL, which would be left out of the sum
			terms = append(terms, fmt.Sprintf("COALESCE(%s, %d)", term, seed))
		case send != "":
			sent = append(sent, send+"("+value+")")
		default:
			texts = append(texts, value)
		}
	}
	columns := f.compared()
	for _, c := range columns {
		add(c.Type, value(c))
	}
	for i, p := range f.pairs() {
		if !slices.ContainsFunc(columns, func(c plans.Column) bool { return c.Shadow == p.Shadow }) {
			add(p.Type, key(i))
		}
	}
	if len(sent) > 0 {
		terms = append(terms, fmt.Sprintf("pg_catalog.hash_record_extended(ROW(%s), %d)", strings.Join(sent, ", "), columnSeed(0)))
	}
	if len(texts) > 0 {
		terms = append(terms, hashOfText(textOf(texts), columnSeed(1)))
	}
	return fmt.Sprintf("pg_catalog.hashint4extended(0, %s)", strings.Join(terms, " # "))
}

// asText reports whether digests are made of the rows' text: between two servers,
// whose hashes of the same value need not be the same, and of rows that no key
// tells apart.
func (f *applier) asText() bool { return f.remote || f.byImage() || len(f.compared()) == 0 }

// columnSeed is a number that is another for each column, with bits in both halves.
func columnSeed(n int) int64 { return (int64(n) + 1) * 0x1E3779B97F4A7C15 >> 1 }

// hashOf a value of a type of PostgreSQL's own that is hashed byte by byte, NULL for
// NULL; "": there is no such function for the type.
func hashOf(sqlType, value string, seed int64) string {
	switch name := typeName(sqlType); name {
	case "smallint", "integer", "bigint":
		return fmt.Sprintf("pg_catalog.hashint4extended(%d, (%s)::pg_catalog.int8)", int32(seed), value)
	case "boolean":
		return fmt.Sprintf("pg_catalog.hashint4extended((%s)::pg_catalog.int4, %d)", value, seed)
	case "oid":
		return fmt.Sprintf("pg_catalog.hashoidextended(%s, %d)", value, seed)
	case "uuid":
		return fmt.Sprintf("pg_catalog.uuid_hash_extended(%s, %d)", value, seed)
	case "text", "character varying":
		return hashOfText("("+value+`)::pg_catalog.text COLLATE "C"`, seed)
	case "bytea": // a record of nothing else: no value may take more than 1 GB
		return fmt.Sprintf("pg_catalog.hash_record_extended(ROW(%s), %d)", value, seed)
	case "json", "jsonb": // by the output function: a cast to text may be the user's
		return hashOfText(fmt.Sprintf(`pg_catalog.textin(pg_catalog.%s_out(%s)) COLLATE "C"`, name, value), seed)
	}
	return ""
}

func hashOfText(text string, seed int64) string {
	return fmt.Sprintf("pg_catalog.hashtextextended(%s, %d)", text, seed)
}

// textOf values by their output functions: a cast to text may be the user's.
func textOf(values []string) string {
	return "(ROW(" + strings.Join(values, ", ") + `)::pg_catalog.text COLLATE "C")`
}

var modifier = regexp.MustCompile(`\(.*?\)`)

func typeName(sqlType string) string {
	return strings.TrimPrefix(modifier.ReplaceAllString(sqlType, ""), "pg_catalog.")
}

// sends are what makes bytes of a type's values, for the hash of a record.
var sends = map[string]string{
	"character":                   "pg_catalog.bpcharsend",
	"date":                        "pg_catalog.date_send",
	"numeric":                     "pg_catalog.numeric_send",
	"real":                        "pg_catalog.float4send",
	"double precision":            "pg_catalog.float8send",
	"timestamp with time zone":    "pg_catalog.timestamptz_send",
	"timestamp without time zone": "pg_catalog.timestamp_send",
	"time without time zone":      "pg_catalog.time_send",
	"time with time zone":         "pg_catalog.timetz_send",
	"interval":                    "pg_catalog.interval_send",
}
