package upgrade_test

import (
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// A new column draws from a sequence that production's clients go on drawing from for another
// table meanwhile.
func TestNewColumnSharesNumbersWithProductionsClients(t *testing.T) {
	testcontainers.InTurn(t, 3)
	t.Parallel()
	hereAndThere(t, history{
		structure: `CREATE SCHEMA shop; CREATE SEQUENCE shop.numbers;
			CREATE TABLE shop.draws (number bigint PRIMARY KEY DEFAULT nextval('shop.numbers')); INSERT INTO shop.draws SELECT FROM generate_series(1, 5);
			CREATE TABLE shop.gains (id serial PRIMARY KEY); INSERT INTO shop.gains SELECT FROM generate_series(1, 5);`,
		migrations: []string{`ALTER SEQUENCE shop.numbers CACHE 1 MINVALUE 0; ALTER TABLE shop.gains ADD number bigint DEFAULT nextval('shop.numbers');`},
	}, func(t *testing.T, h history) {
		ctx := limited(t, 2*time.Minute)
		w := build(t, h)
		w.run(ctx, upgrade.Options{Until: "following"})
		exec(t, w.production, `INSERT INTO shop.draws SELECT FROM generate_series(1, 5); INSERT INTO shop.gains DEFAULT VALUES; INSERT INTO shop.draws SELECT FROM generate_series(1, 5); INSERT INTO shop.gains DEFAULT VALUES`)
		w.run(ctx, upgrade.Options{Cutover: true})
		exec(t, w.served, `INSERT INTO shop.draws DEFAULT VALUES; INSERT INTO shop.gains DEFAULT VALUES`)
		if got := text(t, w.served, `SELECT count(*) - count(DISTINCT number) FROM (SELECT number FROM shop.draws UNION ALL SELECT number FROM shop.gains) t`); got != "0" {
			t.Errorf("numbers that two rows have: %s", got)
			t.Log(text(t, w.served, `SELECT string_agg(number::text, ' ' ORDER BY number) FROM shop.draws`), " | ", text(t, w.served, `SELECT string_agg(number::text, ' ' ORDER BY number) FROM shop.gains`))
		}
	})
}
