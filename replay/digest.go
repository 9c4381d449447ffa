package replay

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// A digest is a number made of a row, whose sum over many rows tells whether two
// sets of rows are the same.
//
// Where both sides are one server it is the hash of a record, which takes a third
// of the time of text. Records are equal where text is not: 1.0 and 1.00, 0 and
// -0, two spellings of one word in an insensitive collation; and PostgreSQL folds
// eight bytes into four before it hashes them. So only types whose hash is one of
// all their bytes go into it as they are, of others what their send function
// makes of them, and of those that are not known here the text.
//
// A record is one value, and no value may take more than 1 GB: of those that may be
// long only a hash goes into it, which costs no more than to copy them there.
//
// The hash of a record adds up hashes of its columns. Summed over rows it would
// not notice two rows that swapped a value: so the key is the seed of each.

// digest of a production row after its transforms.
func (f *feed) digest() string {
	return f.digestOf(typed, func(i int) string { return f.keyValue(i) }, f.image())
}

// shadowDigest is the same number of a shadow row.
func (f *feed) shadowDigest(row string) string {
	pairs := f.pairs()
	return f.digestOf(func(c plans.Column) string { return row + "." + pg.Ident(c.Shadow) },
		func(i int) string { return row + "." + pg.Ident(pairs[i].Shadow) }, f.shadowImage(row))
}

func (f *feed) digestOf(value func(plans.Column) string, key func(i int) string, image string) string {
	if f.asText() {
		return "pg_catalog.hashtextextended(" + image + ", 0)"
	}
	var parts, rest []string
	for _, c := range f.compared() {
		if part := shortBytesOf(c.Type, value(c)); part != "" {
			parts = append(parts, part)
		} else {
			rest = append(rest, value(c))
		}
	}
	if len(rest) > 0 {
		parts = append(parts, textOf(rest))
	}
	return fmt.Sprintf("pg_catalog.hash_record_extended(ROW(%s), %s)", strings.Join(parts, ", "), f.seed(key))
}

// asText reports whether digests are made of the rows' text: between two servers,
// whose hashes of the same value need not be the same, and of rows that no key
// tells apart.
func (f *feed) asText() bool { return f.remote || f.byImage() || len(f.compared()) == 0 }

// seed is the key of a row as a number.
func (f *feed) seed(key func(i int) string) string {
	pairs := f.pairs()
	if len(pairs) == 1 && integer(pairs[0].Type) {
		return "(" + key(0) + ")::pg_catalog.int8"
	}
	var parts []string
	for i, p := range pairs {
		part := bytesOf(p.Type, key(i))
		if part == "" {
			part = textOf([]string{key(i)})
		}
		parts = append(parts, part)
	}
	return fmt.Sprintf("pg_catalog.hash_record_extended(ROW(%s), 0)", strings.Join(parts, ", "))
}

// textOf values by their output functions: a cast to text may be the user's.
func textOf(values []string) string {
	return "(ROW(" + strings.Join(values, ", ") + `)::pg_catalog.text COLLATE "C")`
}

var modifier = regexp.MustCompile(`\(.*?\)`)

// bytesOf a value of a type of PostgreSQL's own that is hashed byte by byte;
// "": there is no such form.
func bytesOf(sqlType, value string) string {
	name := typeName(sqlType)
	switch name {
	case "smallint", "integer", "oid", "boolean", "date", "uuid", "bytea":
		return value
	case "text", "character varying":
		return "(" + value + `)::pg_catalog.text COLLATE "C"`
	}
	if send := sends[name]; send != "" {
		return "pg_catalog." + send + "(" + value + ")"
	}
	return ""
}

// shortBytesOf is bytesOf with the hash of a value that may be long in its place.
func shortBytesOf(sqlType, value string) string {
	switch name := typeName(sqlType); {
	case name == "text", name == "character varying":
		return hashed(bytesOf(sqlType, value))
	case name == "bytea":
		return "pg_catalog.int8send(pg_catalog.hash_record_extended(ROW(" + value + "), 0))"
	case name == "json", name == "jsonb", name == "xml", strings.HasSuffix(name, "[]"):
		return hashed(textOf([]string{value}))
	}
	return bytesOf(sqlType, value)
}

func hashed(text string) string {
	return "pg_catalog.int8send(pg_catalog.hashtextextended(" + text + ", 0))"
}

func typeName(sqlType string) string {
	return strings.TrimPrefix(modifier.ReplaceAllString(sqlType, ""), "pg_catalog.")
}

// sends are the functions that make bytes of a type's values.
var sends = map[string]string{
	"bigint":                      "int8send",
	"character":                   "bpcharsend",
	"numeric":                     "numeric_send",
	"real":                        "float4send",
	"double precision":            "float8send",
	"timestamp with time zone":    "timestamptz_send",
	"timestamp without time zone": "timestamp_send",
	"time without time zone":      "time_send",
	"time with time zone":         "timetz_send",
	"interval":                    "interval_send",
}
