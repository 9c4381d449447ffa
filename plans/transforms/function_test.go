package transforms_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/transforms"
)

// A transform calls the user's functions by the names that the caller gives
// them, and tells which they are; what reads tables inside is refused.
func TestTransformsNameTheFunctionsTheyCall(t *testing.T) {
	t.Parallel()
	b := newBenches(t, 1).take(t)
	script(t, b.scratch, shop)
	before := readCatalog(t, b.scratch)
	script(t, b.scratch, syntax.TraceSetup())
	file, err := syntax.Instrument("1_x.up.sql", `CREATE FUNCTION twice(i int) RETURNS int LANGUAGE sql AS 'SELECT i * 2';
		UPDATE orders SET note = slug(note), city = twice(id)::text, street = upper(street);`, 1)
	if err != nil {
		t.Fatal(err)
	}
	script(t, b.scratch, file.SQL)
	marks, err := syntax.ReadMarks(t.Context(), b.scratch)
	if err != nil {
		t.Fatal(err)
	}
	after := readCatalog(t, b.scratch)
	oids := map[uint32]string{}
	for _, f := range after.Functions {
		oids[f.OID] = f.Name.Name
	}
	got := transforms.Infer(before, after, file.Facts, marks, transforms.Options{Now: time.Now(), Function: func(oid uint32) (string, bool) {
		return `"pgumbra x".` + oids[oid], oids[oid] != "twice"
	}})
	for _, table := range after.Tables {
		if table.Name.Name != "orders" {
			continue
		}
		note, _ := table.ColumnNamed("note")
		if e := got.Tables[table.OID].Columns[note.Num]; e.SQL != `"pgumbra x".slug(note)` || len(e.Functions) != 1 || oids[e.Functions[0]] != "slug" {
			t.Errorf("%+v", e)
		}
		street, _ := table.ColumnNamed("street")
		if e := got.Tables[table.OID].Columns[street.Num]; e.SQL != "upper(street)" || e.Functions != nil {
			t.Errorf("%+v", e)
		}
	}
	if len(got.Notices) != 1 || got.Notices[0].Object != "public.orders.city" || !strings.Contains(got.Notices[0].Message, "not there while the shadow is built") {
		t.Errorf("%+v", got.Notices)
	}
}
