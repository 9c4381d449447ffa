package plans

import "testing"

// TestMakeMarksWhatItDoesNotUnderstand: what the migrations themselves would
// give behind the fence is marked; what they could not give there either is not.
func TestMakeMarksWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, v text)`, `UPDATE a SET v = (SELECT max(v) FROM a)`, `ALTER TABLE nowhere ADD x int`)
	two := int64(2)
	s.file.Migrations.Version = &two
	p := s.plan(t)
	for _, f := range p.Findings {
		if f.Code == "unmapped-backfill" && (!f.Opaque || f.Where != "000002_step.up.sql:1") {
			t.Errorf("%+v", f)
		}
	}
	s.file.Migrations.Version = nil
	p = s.plan(t)
	for _, f := range p.Findings {
		if f.Code == "migration-failed" && f.Opaque {
			t.Errorf("%+v", f)
		}
	}
}
