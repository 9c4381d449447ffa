package planner

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// Small upgrades of one idea each: rows of before the cutover, rows written on the
// new side after it, and what the old table holds once they went back.
func TestRowsGoBackThroughEachKindOfUpgrade(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	cases := map[string]struct {
		structure, migration string
		reverse              map[string]string
		writes               string // after the cutover
		old                  string // what is asked of the old table
		want                 []string
		told                 []string // codes and objects of what is lost
		unfit                map[string]string
	}{
		"column renamed": {
			structure: `CREATE TABLE t (id int PRIMARY KEY, note text NOT NULL); INSERT INTO t VALUES (1, 'a'), (2, 'b')`, migration: `ALTER TABLE t RENAME note TO remark`,
			writes: `UPDATE t SET remark = 'changed' WHERE id = 1; INSERT INTO t VALUES (3, 'new')`, old: `id, note`, want: []string{"1|changed", "2|b", "3|new"},
		},
		"column and table renamed to each other's names": {
			structure: `CREATE TABLE t (id int PRIMARY KEY, a text, b text); INSERT INTO t VALUES (1, 'a', 'b')`, migration: `ALTER TABLE t RENAME a TO c; ALTER TABLE t RENAME b TO a; ALTER TABLE t RENAME c TO b`,
			writes: `INSERT INTO t (id, a, b) VALUES (2, 'was b', 'was a')`, old: `id, a, b`, want: []string{"1|a|b", "2|was a|was b"},
		},
		"text that was shorter": {
			structure: `CREATE TABLE t (id int PRIMARY KEY, code varchar(3)); INSERT INTO t VALUES (1, 'abc')`, migration: `ALTER TABLE t ALTER code TYPE text`,
			writes: `INSERT INTO t VALUES (2, 'xyz'), (3, 'long one')`, old: `id, code`, want: []string{"1|abc", "2|xyz"},
			told: []string{"reverse-lossy shop.t.code"}, unfit: map[string]string{"id = 3": "code: character varying(3) cannot hold the value"},
		},
		"number by an expression": {
			structure: `CREATE TABLE t (id int PRIMARY KEY, total numeric(6,2) NOT NULL); INSERT INTO t VALUES (1, 9.99)`, migration: `ALTER TABLE t ALTER total TYPE bigint USING total * 100`,
			writes: `UPDATE t SET total = total + 1; INSERT INTO t VALUES (2, 5), (3, 1000000)`, old: `id, total`, want: []string{"1|10.00", "2|0.05"},
			told: []string{"reverse-lossy shop.t.total"}, unfit: map[string]string{"id = 3": "total: numeric(6,2) cannot hold the value"},
		},
		"column split in two": {
			structure: `CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL); INSERT INTO t VALUES (1, 'Ann Lee')`,
			migration: `ALTER TABLE t ADD first text, ADD last text; UPDATE t SET first = split_part(name, ' ', 1), last = split_part(name, ' ', 2); ALTER TABLE t DROP name`,
			reverse:   map[string]string{"name": "first || ' ' || last"},
			writes:    `UPDATE t SET last = 'Ray' WHERE id = 1; INSERT INTO t VALUES (2, 'Bob', 'Roe'), (3, 'Mary Ann', 'Poe'), (4, 'Tim', NULL)`, old: `id, name`, want: []string{"1|Ann Ray", "2|Bob Roe"},
			unfit: map[string]string{"id = 3": "name: text does not hold the value as it is", "id = 4": "name: NULL"},
		},
		"column dropped that has a default": {
			structure: `CREATE TABLE t (id int PRIMARY KEY, kind text NOT NULL DEFAULT 'plain', tag text); INSERT INTO t VALUES (1, 'special', 'x'), (2, DEFAULT, NULL)`, migration: `ALTER TABLE t DROP kind, DROP tag; ALTER TABLE t ADD n int`,
			reverse: map[string]string{"tag": "'no ' || n"},
			writes:  `UPDATE t SET n = 1 WHERE id = 1; INSERT INTO t VALUES (3, 3)`, old: `id, kind, tag`, want: []string{"1|special|x", "2|plain", "3|plain|no 3"}, told: []string{"not-reversible shop.t.kind"},
		},
		"enum's label renamed, another added": {
			structure: `CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE t (id int PRIMARY KEY, mood mood NOT NULL); INSERT INTO t VALUES (1, 'sad')`, migration: `ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'; ALTER TYPE mood ADD VALUE 'glad'`,
			writes: `INSERT INTO t VALUES (2, 'blue'), (3, 'ok'), (4, 'glad')`, old: `id, mood`, want: []string{"1|sad", "2|sad", "3|ok"},
			told: []string{"reverse-lossy shop.t.mood"}, unfit: map[string]string{"id = 4": "mood: shop.mood cannot hold the value"},
		},
		"table that became partitioned": {
			structure: `CREATE TABLE t (id int, day date NOT NULL, v int, PRIMARY KEY (id, day)); INSERT INTO t VALUES (1, '2024-01-01', 1)`,
			migration: `ALTER TABLE t RENAME TO t_old; CREATE TABLE t (id int, day date NOT NULL, v int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day); CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
				CREATE TABLE t_2 PARTITION OF t DEFAULT; INSERT INTO t SELECT id, day, v FROM t_old; DROP TABLE t_old`,
			writes: `UPDATE t SET v = 2; INSERT INTO t VALUES (2, '2026-01-01', 5)`, old: `id, day, v`, want: []string{"1|2024-01-01|2", "2|2026-01-01|5"},
		},
		"partitioned table": {
			structure: `CREATE TABLE t (id int, day date NOT NULL, v int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day); CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM ('2024-01-01') TO ('2025-01-01'); INSERT INTO t VALUES (1, '2024-01-01', 1)`,
			migration: `ALTER TABLE t ALTER v TYPE bigint`,
			writes:    `UPDATE t SET v = 2; INSERT INTO t VALUES (2, '2024-06-01', 5), (3, '2024-06-01', 5000000000)`, old: `id, day, v`, want: []string{"1|2024-01-01|2", "2|2024-06-01|5"},
			told: []string{"reverse-constraint shop.t", "reverse-lossy shop.t.v"}, unfit: map[string]string{"id = 3, day = 2024-06-01": "v: integer cannot hold the value"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFilledShop(t, c.structure, c.migration)
			rules := planfile.TableRules{Name: pg.Name{Schema: "shop", Name: "t"}, Reverse: map[string]planfile.Expression{}}
			for column, sql := range c.reverse {
				rules.Reverse[column] = planfile.Expression{SQL: sql}
			}
			s.file.Tables = []planfile.TableRules{rules}
			p := s.runnable(t)
			var told []string
			for _, f := range p.Findings {
				if strings.Contains(f.Code, "revers") {
					told = append(told, f.Code+" "+f.Object)
				}
			}
			slices.Sort(told)
			if diff := cmp.Diff(c.told, told); diff != "" {
				t.Errorf("told: %s", diff)
			}
			made := tableNamed(p, t, "shop.t")
			conn := s.swapped(t, p)
			if _, err := conn.Exec(t.Context(), c.writes, pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Fatal(err)
			}
			unfit := back(t, conn, p, &made)
			if len(c.unfit) == 0 && len(unfit) == 0 {
				unfit = c.unfit
			}
			if diff := cmp.Diff(c.unfit, unfit); diff != "" {
				t.Errorf("rows that the old table cannot hold: %s\n%s", diff, made.Unfit)
			}
			if diff := cmp.Diff(c.want, texts(t, conn, "SELECT concat_ws('|', "+c.old+") FROM "+pg.Ident(p.Schemas[0].Old)+".t ORDER BY id")); diff != "" {
				t.Errorf("the old table: %s", diff)
			}
		})
	}
}
