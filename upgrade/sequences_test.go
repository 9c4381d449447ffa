package upgrade_test

import (
	"context"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

const placedSequences = `
	CREATE SCHEMA shop;
	CREATE TABLE shop.crates (id serial PRIMARY KEY, label text); INSERT INTO shop.crates (label) SELECT 'c' || g FROM generate_series(1, 5) g;
	CREATE TABLE shop.drums (id int PRIMARY KEY, label text); CREATE SEQUENCE shop.drums_seq OWNED BY shop.drums.id;
	ALTER TABLE shop.drums ALTER id SET DEFAULT nextval('shop.drums_seq'); INSERT INTO shop.drums (label) SELECT 'd' || g FROM generate_series(1, 5) g;
	CREATE TABLE shop.kegs (id serial PRIMARY KEY, label text); INSERT INTO shop.kegs (label) SELECT 'k' || g FROM generate_series(1, 5) g;
	CREATE TABLE shop.own (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, label text); INSERT INTO shop.own (label) VALUES ('x'), ('y');
	CREATE TABLE shop.emptied (id serial PRIMARY KEY, label text); INSERT INTO shop.emptied (label) VALUES ('x'), ('y');
	CREATE SEQUENCE shop.free; SELECT nextval('shop.free'), nextval('shop.free');
	CREATE SEQUENCE shop.down INCREMENT -3 MINVALUE -1000 START -1; SELECT nextval('shop.down');
	CREATE SEQUENCE shop.turns MINVALUE 10 MAXVALUE 20 CYCLE; SELECT setval('shop.turns', 20);
	CREATE SEQUENCE shop.back; SELECT setval('shop.back', 5000);
	CREATE SEQUENCE shop.steps; SELECT setval('shop.steps', 40);
	CREATE SEQUENCE shop.drawn; SELECT nextval('shop.drawn');
	CREATE SEQUENCE shop.left_alone; SELECT setval('shop.left_alone', 77);`

const places = `
	ALTER SEQUENCE shop.crates_id_seq RESTART WITH 1000;
	ALTER TABLE shop.drums ALTER id DROP DEFAULT; DROP SEQUENCE shop.drums_seq; ALTER TABLE shop.drums ALTER id ADD GENERATED ALWAYS AS IDENTITY (RESTART 5000);
	SELECT setval('shop.kegs_id_seq', 700);
	ALTER TABLE shop.own ALTER id RESTART WITH 300;
	TRUNCATE shop.emptied RESTART IDENTITY;
	ALTER SEQUENCE shop.free RESTART WITH 900;
	ALTER SEQUENCE shop.down RESTART WITH -500;
	ALTER SEQUENCE shop.turns RESTART WITH 15;
	ALTER SEQUENCE shop.back RESTART WITH 100;
	ALTER SEQUENCE shop.steps INCREMENT BY 10 RESTART WITH 60;
	ALTER SEQUENCE shop.drawn RESTART WITH 3;
	CREATE SEQUENCE shop.fresh START 50; SELECT setval('shop.fresh', 60, false);`

// TestSequencesStandWhereMigrationsLeaveThem: each next value is the one that
// the migrations run in place give; the numbers that clients drew meanwhile are
// not handed out again.
func TestSequencesStandWhereMigrationsLeaveThem(t *testing.T) {
	t.Parallel()
	for name, remote := range map[string]string{"here": "", "apart": "x"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			h := history{structure: placedSequences, migrations: []string{places}}
			if remote != "" {
				h.remote = testcontainers.Database(t)
			}
			w := build(t, h)
			w.run(ctx, upgrade.Options{Until: "following"})
			exec(t, w.production, "SELECT nextval('shop.drawn') FROM generate_series(1, 9); SELECT nextval('shop.crates_id_seq')")
			w.run(ctx, upgrade.Options{Cutover: true})
			for sequence, want := range map[string]int64{"crates_id_seq": 1000, "drums_id_seq": 5000, "kegs_id_seq": 701, "own_id_seq": 300, "emptied_id_seq": 1,
				"free": 900, "down": -500, "turns": 15, "back": 100, "steps": 60, "fresh": 60} {
				var next int64
				must(t, one(w.served, "SELECT nextval('shop."+sequence+"')", &next))
				if next != want {
					t.Errorf("%s goes on with %d, in place with %d", sequence, next, want)
				}
			}
			var next int64
			if must(t, one(w.served, "SELECT nextval('shop.drawn')", &next)); next <= 10 {
				t.Errorf("number %d was drawn before", next)
			}
			if must(t, one(w.served, "SELECT nextval('shop.left_alone')", &next)); next < 78 {
				t.Errorf("number %d was drawn before", next)
			}
		})
	}
}
