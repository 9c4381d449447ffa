package transforms_test

import (
	"testing"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// renewed replaces the enum of a column by another of the same name.
func renewed(labels string) string {
	return `ALTER TABLE orders ALTER status DROP DEFAULT; ALTER TYPE status RENAME TO status_old; CREATE TYPE status AS ENUM (` + labels + `);
		ALTER TABLE orders ALTER status TYPE status USING status::text::status; DROP TYPE status_old;`
}

// An enum that is renewed more than once in a window leaves types that are
// neither production's nor the shadow's.
func TestRenewedEnumsEqualInPlace(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	databases := newBenches(t, 2)
	throughText := `ALTER TABLE orders ALTER status DROP DEFAULT, ALTER status TYPE varchar(40); DROP TYPE status; UPDATE orders SET status = 'paid off' WHERE status = 'paid';
		CREATE TYPE status AS ENUM ('new', 'paid off', 'sent', 'lost'); ALTER TABLE orders ALTER status TYPE status USING (status::status);`
	for name, files := range map[string][]string{
		"twice":               {renewed("'new', 'paid', 'sent', 'lost'"), renewed("'lost', 'sent', 'paid', 'new'")},
		"values between":      {renewed("'new', 'paid', 'sent', 'lost'"), "UPDATE orders SET status = 'lost' WHERE status = 'sent' AND deleted;", throughText},
		"through text, again": {throughText, renewed("'sent', 'lost', 'new', 'paid off'"), "UPDATE orders SET note = 'gone' WHERE status IN ('lost', 'sent');"},
		"a column of its own": {"CREATE TYPE phase AS ENUM ('a', 'b'); ALTER TABLE orders ADD phase phase NOT NULL DEFAULT 'a'; UPDATE orders SET phase = 'b' WHERE status = 'paid';",
			"ALTER TABLE orders ALTER phase DROP DEFAULT, ALTER phase TYPE text; DROP TYPE phase;", renewed("'new', 'paid', 'sent'")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := history{structure: shop, rows: shopRows, files: files}
			h.wantEqual(t, databases.take(t))
		})
	}
}

// A value that one of the types between does not know fails, as in place.
func TestRenewedEnumRefusesWhatTypeBetweenLacks(t *testing.T) {
	t.Parallel()
	b := <-newBenches(t, 1)
	h := history{structure: shop, rows: shopRows, files: []string{renewed("'new', 'sent'"), renewed("'new', 'paid', 'sent'")}}
	out := h.infer(t, b)
	if len(out.blockers()) > 0 {
		t.Fatalf("blockers: %+v", out.Notices)
	}
	script(t, b.production, h.structure)
	script(t, b.production, h.rows)
	out.makeTypes(b.production)
	for _, table := range out.after.Tables {
		if table.Name.Name != "orders" {
			continue
		}
		c, _ := table.ColumnNamed("status")
		_, err := b.production.Exec(t.Context(), "SELECT "+out.Tables[table.OID].Columns[c.Num].SQL+" FROM orders")
		if pg.State(err) != "22P02" {
			t.Errorf("want SQLSTATE 22P02, got %v", err)
		}
	}
}

// What text does otherwise than an enum is not followed.
func TestRenewedEnumThatIsOrdered(t *testing.T) {
	t.Parallel()
	databases := newBenches(t, 1)
	for name, use := range map[string]string{
		"compared":         "UPDATE orders SET note = 'early' WHERE status < 'sent';",
		"greatest":         "UPDATE orders SET note = greatest(status, 'paid')::text;",
		"function's value": "UPDATE orders SET note = enum_first(status)::text;",
	} {
		t.Run(name, func(t *testing.T) {
			h := history{structure: shop, files: []string{renewed("'sent', 'paid', 'new'"), use, renewed("'new', 'paid', 'sent'")}}
			if out := h.infer(t, databases.take(t)); len(out.blockers()) == 0 {
				t.Errorf("followed: %+v", out.Tables)
			}
		})
	}
}
