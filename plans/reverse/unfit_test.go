package reverse

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestMain(m *testing.M) { testcontainers.Run(m) }

func TestUnfitAsksWhatTheServerRefusesFirst(t *testing.T) {
	t.Parallel()
	row := Row{New: "orders", Old: "orders_old", Checks: []Check{{Name: "positive", Expression: "total > 0", Reads: []string{"total"}}}, Columns: []Column{
		{Name: "total", Type: "integer", Expression: `"total"`, Conversion: Of("numeric", "integer", 140000), NotNull: true,
			Back: &Back{Column: `"total"`, Type: "numeric", Expression: "total"}},
		{Name: "note", Type: "text", Expression: `"note"`},
	}}
	want := `CASE WHEN pg_catalog.round(("total")) NOT BETWEEN -2147483648 AND 2147483647 THEN 'total: integer cannot hold the value' ` +
		`WHEN ("total") IS NULL THEN 'total: NULL' ELSE (SELECT CASE WHEN (total > 0) IS FALSE THEN 'it breaks CHECK positive' ` +
		`WHEN (total)::numeric IS DISTINCT FROM "pgumbra_total" THEN 'total: integer does not hold the value as it is' END ` +
		`FROM (SELECT ("total")::integer AS "total") AS "orders_old", (SELECT "orders"."total" AS "pgumbra_total") AS pgumbra_new) END`
	if got := row.Unfit(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := (Row{New: "a", Old: "a", Columns: row.Columns[1:]}).Unfit(); got != "" {
		t.Errorf("where everything fits: %s", got)
	}
}

func TestRespellNamesSchemasAlone(t *testing.T) {
	t.Parallel()
	to := func(schema, object string) string {
		if schema == "shop" && object != "shared" {
			return "Old shop"
		}
		return schema
	}
	for sql, want := range map[string]string{
		`state::text::shop.mood`:                      `state::text::"Old shop".mood`,
		`"shop"."Mood" 'shop.x' -- shop.y`:            `"Old shop"."Mood" 'shop.x' -- shop.y`,
		`shop.shared, orders.shop, SHOP.f(a.shop)`:    `shop.shared, orders.shop, "Old shop".f(a.shop)`,
		`other.shop.mood`:                             `other.shop.mood`,
		`E'it\'s shop.x' || $$shop.x$$ || "shop".f()`: `E'it\'s shop.x' || $$shop.x$$ || "Old shop".f()`,
	} {
		if got := Respell(sql, "orders", to); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
	if got := Respell("shop.total", "shop", to); got != "shop.total" {
		t.Errorf("a table's own name was taken for a schema: %s", got)
	}
}

// What the conditions say of a value is what the server does with it: it refuses
// it, or holds another one, or holds it.
func TestUnfitIsWhatTheServerDoes(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), testcontainers.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var version int
	if err := conn.QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int FROM set_config('TimeZone', 'Europe/Berlin', false)").Scan(&version); err != nil {
		t.Fatal(err)
	}
	const whole = "0 -1 32767 32768 -32768 -32769 2147483647 2147483648 -2147483648 -2147483649 9223372036854775807 -9223372036854775808"
	const fine = whole + " 0.5 1.5 32767.4 32767.5 -32768.5 2147483647.4 2147483647.5 -2147483648.5 9223372036854775807.4 9223372036854775807.5 99999.99 99999.994 99999.995 1e20 NaN Infinity -Infinity"
	const texts = "||abc|abcd|abc |abc  |äöü|äöü ß| 7|7|07|+7|x|0x1F|2147483648|1e3|true|f|TRUE|8a0b1c2d-0000-0000-0000-0123456789ab|a a"
	split := func(s string) []string { return strings.Fields(s) }
	cases := []struct {
		from, to, cast string
		values         []string
	}{
		{"bigint", "integer", "", split(whole)}, {"bigint", "smallint", "", split(whole)}, {"integer", "smallint", "", split(whole)}, {"integer", "bigint", "", split(whole)},
		{"numeric", "bigint", "", split(fine)}, {"numeric", "integer", "", split(fine)}, {"numeric", "smallint", "", split(fine)}, {"numeric(7,1)", "smallint", "", split(fine)},
		{"numeric", "numeric(7,2)", "", split(fine)}, {"numeric(9,3)", "numeric(7,2)", "", split(fine)}, {"bigint", "numeric(7,2)", "", split(whole)}, {"numeric(3,1)", "numeric(5,0)", "", split(fine)},
		{"double precision", "bigint", "", split(fine)}, {"double precision", "integer", "", split(fine)}, {"real", "smallint", "", split(fine)}, {"real", "bigint", "", split(fine)},
		{"bigint", "double precision", "", append(split(whole), "9007199254740993")}, {"real", "double precision", "", split(fine)},
		{"text", "character varying(3)", "", strings.Split(texts, "|")}, {"text", "character(3)", "", strings.Split(texts, "|")}, {"character varying(8)", "character varying(3)", "", strings.Split(texts, "|")},
		{"character(5)", "character varying(3)", "", strings.Split(texts, "|")}, {"bigint", "character varying(3)", "", split(whole)},
		{"text", "integer", "::integer", strings.Split(texts, "|")}, {"text", "bigint", "::bigint", strings.Split(texts, "|")}, {"text", "uuid", "::uuid", strings.Split(texts, "|")},
		{"text", "boolean", "::boolean", strings.Split(texts, "|")}, {"text", "numeric", "::numeric", strings.Split(texts, "|")},
		{"integer", "boolean", "::boolean", split("0 1 2 -1")}, {"boolean", "integer", "::integer", split("t f")},
		{"timestamptz", "timestamp", "", []string{"2026-10-25 00:30+00", "2026-10-25 01:30+00", "2026-06-01 12:00+00", "infinity"}},
		{"timestamp", "timestamptz", "", []string{"2026-03-29 02:30", "2026-03-29 12:30", "-infinity"}},
		{"timestamp", "date", "", []string{"2026-03-29 02:30", "2026-03-29", "infinity"}}, {"timestamp", "timestamp(3)", "", []string{"2026-03-29 02:30:00.1234", "2026-03-29 02:30:00.123"}},
		{"date", "timestamp", "", []string{"2026-03-29", "infinity"}}, {"jsonb", "json", "", []string{`{"b": 1, "a": [1.0]}`}},
	}
	for i, c := range cases {
		if _, err := conn.Exec(t.Context(), fmt.Sprintf("CREATE TEMP TABLE new_%[1]d (v %[2]s); CREATE TEMP TABLE old_%[1]d (v %[3]s)", i, c.from, c.to)); err != nil {
			t.Fatal(err)
		}
		for _, server := range []Server{140000, Server(version)} {
			if server > 140000 && c.from != "text" { // what texts are is asked in another way there
				continue
			}
			for _, value := range c.values {
				compare(t, conn, i, c.from, c.to, c.cast, value, server)
			}
		}
	}
}

// compare assigns one value back, and holds the condition against what came of it.
func compare(t *testing.T, conn *pgx.Conn, n int, from, to, cast, value string, server Server) {
	t.Helper()
	ctx := t.Context()
	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	var fromType, toType string
	if err := tx.QueryRow(ctx, `SELECT max(format_type(atttypid, atttypmod)) FILTER (WHERE attrelid = to_regclass($1)), max(format_type(atttypid, atttypmod)) FILTER (WHERE attrelid = to_regclass($2))
		FROM pg_attribute WHERE attnum > 0`, fmt.Sprintf("new_%d", n), fmt.Sprintf("old_%d", n)).Scan(&fromType, &toType); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, fmt.Sprintf("INSERT INTO new_%d VALUES ('%s')", n, value)); err != nil {
		return // no value of the new type
	}
	conversion := Of(fromType, toType, server)
	back := "(v)::" + fromType
	if cast == "::boolean" && from == "integer" {
		back = "v::integer"
	}
	_, refused := tx.Exec(ctx, fmt.Sprintf("SAVEPOINT s; INSERT INTO old_%[1]d SELECT v%[2]s FROM new_%[1]d", n, cast))
	altered := false
	if refused != nil {
		if _, err := tx.Exec(ctx, "ROLLBACK TO s"); err != nil {
			t.Fatal(err)
		}
	} else if err := tx.QueryRow(ctx, fmt.Sprintf(`SELECT o.back::text COLLATE "C" IS DISTINCT FROM n.v::text COLLATE "C" AND NOT coalesce(%s, false) FROM (SELECT %s AS back FROM old_%d) o, new_%d n`, sameNumber(fromType), back, n, n)).Scan(&altered); err != nil {
		if _, err := tx.Exec(ctx, "ROLLBACK TO s"); err != nil {
			t.Fatal(err)
		}
		altered = true // it does not even lead there again
	}
	if conversion.Lossless() {
		if refused != nil || altered {
			t.Errorf("%s from %s to %s: %v, altered %v, though nothing is said to be lost", value, from, to, refused, altered)
		}
		return
	}
	row := Row{New: "orders", Old: "orders", Columns: []Column{{Name: "v", Type: toType, Expression: "v" + cast, Value: "v", Conversion: conversion}}}
	if conversion.Altered {
		row.Columns[0].Back = &Back{Column: "v", Type: fromType, Expression: "v"}
	}
	var why *string
	if err := tx.QueryRow(ctx, fmt.Sprintf("SELECT %s FROM new_%d AS orders", row.Unfit(), n)).Scan(&why); err != nil {
		t.Errorf("%q from %s to %s: %v\n%s", value, from, to, err, row.Unfit())
		return
	}
	if (why != nil) != (refused != nil || altered) {
		t.Errorf("%q from %s to %s on %d: the server: %v, altered %v; the condition: %v", value, from, to, server, refused, altered, why != nil)
	}
}

// sameNumber: 1.5 and 1.50 are one number.
func sameNumber(typ string) string {
	if parse(typ).name == "numeric" {
		return "o.back = n.v"
	}
	return "false"
}
