package shadow

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestRowThatCannotBeCopiedIsNamed(t *testing.T) {
	testcontainers.InTurn(t, 5)
	bothWays(t, testRowThatCannotBeCopied)
}

func testRowThatCannotBeCopied(t *testing.T, how way) {
	for name, c := range map[string]struct {
		break_  string // what makes row 1234 unfit
		columns string // of the shadow
		v       string // expression
		key     []string
		column  string
		state   string
	}{
		"expression":             {break_: "v = 'x'", columns: "v int", v: "substr(v, 2)::int", key: []string{"id"}, column: "v", state: "22P02"},
		"assignment cast":        {break_: "v = repeat('y', 9)", columns: "v varchar(5)", v: "v", key: []string{"id"}, column: "v", state: "22001"},
		"domain":                 {break_: "v = 'no'", columns: "v @.starts_v", v: "v", key: []string{"id"}, column: "v", state: "23514"},
		"not null":               {break_: "v = NULL", columns: "v text NOT NULL", v: "v", key: []string{"id"}, column: "v", state: "23502"},
		"check of the table":     {break_: "v = 'no'", columns: "v text, CHECK (v LIKE 'v%')", v: "v", key: []string{"id"}, column: "", state: "23514"},
		"function that raises":   {break_: "v = 'no'", columns: "v text", v: "shop.picky(v)", key: []string{"id"}, column: "v", state: "P0001"},
		"in a table without key": {break_: "v = 'x'", columns: "v int", v: "substr(v, 2)::int", column: "v", state: "22P02"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := how.world(t, items+`; CREATE FUNCTION picky(t text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
				IF t = 'no' THEN RAISE 'not this one'; END IF; RETURN t; END $$`)
			w.exec("UPDATE shop.items SET " + c.break_ + " WHERE id = 1234")
			w.build("DOMAIN", "starts_v", "CREATE DOMAIN @.starts_v AS text CHECK (VALUE LIKE 'v%');")
			w.build("TABLE", "items", "CREATE TABLE @.items (id bigint NOT NULL, "+c.columns+");")
			w.copied(w.source("items", plans.Plain, c.key...), c.key, "id = id", "v = "+c.v)
			w.start()
			err := w.copier().Copy(w.t.Context())
			var e *RowError
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			key := "id = 1234"
			if c.key == nil {
				key = "ctid = " + w.text("SELECT ctid FROM shop.items WHERE id = 1234")
			}
			if e.Table.String() != "shop.items" || e.Key != key || e.Column != c.column || pg.State(err) != c.state {
				t.Errorf("%+v (%s)", e, pg.State(err))
			}
			t.Log(err)
		})
	}
}

func TestErrorOfNoRowIsNotBlamedOnOne(t *testing.T) {
	testcontainers.InTurn(t, 5)
	bothWays(t, func(t *testing.T, how way) {
		w := how.world(t, items)
		tab := w.plain("items")
		tab.Columns[1].Expression = "nosuchcolumn"
		w.start()
		err := w.copier().Copy(w.t.Context())
		var e *RowError
		if errors.As(err, &e) || pg.State(err) != "42703" {
			t.Errorf("got %v", err)
		}
	})
}

func TestDuplicateKeyNamesProductionsTableAndTheKey(t *testing.T) {
	bothWays(t, func(t *testing.T, how way) {
		w := how.world(t, items)
		tab := w.plain("items")
		tab.Columns[0].Expression = "CASE id WHEN 7 THEN 8 ELSE id END"
		w.start()
		w.copy()
		err := BuildKeys(w.t.Context(), w.sides, w.run, 1, func(context.Context, pgx.Tx, *plans.Table) error { return nil })
		var e *DuplicateError
		if !errors.As(err, &e) || e.Table.String() != "shop.items" || e.Object != "items_pkey" || e.Detail != "Key (id)=(8) is duplicated." {
			t.Errorf("got %v", err)
		}
		if got := w.state(tab); got != "keying" {
			t.Error(got)
		}
	})
}
