package rehearsal

import "testing"

// A CHECK over varchar is spelt otherwise after a dump and a restore, and no difference.
func TestListsOfTextsAreSpeltOneWay(t *testing.T) {
	t.Parallel()
	made := `CHECK (((kind)::text = ANY ((ARRAY['a'::character varying, 'it''s, ]'::character varying])::text[])))`
	restored := `CHECK (((kind)::text = ANY (ARRAY[('a'::character varying)::text, ('it''s, ]'::character varying)::text])))`
	if got := elementwise(made); got != restored {
		t.Error(got)
	}
	if got := elementwise(restored); got != restored {
		t.Error(got)
	}
}
