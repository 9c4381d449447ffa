package estimate

import (
	"context"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
)

// One row in a thousand is wide: on average the table is narrow.
func TestEstimateTellsTheWidestRow(t *testing.T) {
	t.Parallel()
	_, conn := database(t, `CREATE SCHEMA shop; CREATE TABLE shop.docs (id int, note text, body text) PARTITION BY RANGE (id);
		CREATE TABLE shop.docs_1 PARTITION OF shop.docs FOR VALUES FROM (0) TO (100); CREATE TABLE shop.docs_2 PARTITION OF shop.docs DEFAULT;
		CREATE TABLE shop.narrow (id int PRIMARY KEY, note text);
		INSERT INTO shop.docs SELECT g, 'x' FROM generate_series(1, 10000) g; INSERT INTO shop.narrow SELECT g, 'x' FROM generate_series(1, 1000) g;
		UPDATE shop.docs SET note = (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 3125) g) WHERE id = 5000;`)
	p := planOf(t, conn, "docs", "narrow")
	for i := range p.Sources {
		p.Sources[i].Columns = []plans.SourceColumn{{Name: "id", Type: "integer"}, {Name: "note", Type: "text"}}
	}
	estimated, err := Of(context.Background(), conn, conn, p)
	if err != nil || estimated.Bytes/estimated.Rows > plans.WideRow {
		t.Fatalf("%d bytes in %d rows, %v", estimated.Bytes, estimated.Rows, err)
	}
	if len(p.Findings) != 1 || p.Findings[0].Code != "wide-rows" || p.Findings[0].Object != "shop.docs" ||
		!strings.Contains(p.Findings[0].Message, "9,901 rows that were looked at takes 97.7 kB") {
		t.Errorf("findings %+v", p.Findings)
	}
}

func TestRowsOfAGigabyteBlockWhereNothingCanTakeThem(t *testing.T) {
	t.Parallel()
	keyed := &plans.Source{Record: plans.RecordRow, Key: []plans.KeyColumn{{Name: "id"}}}
	keyless := &plans.Source{Record: plans.RecordImage}
	frozen := &plans.Source{Record: plans.RecordImage, Frozen: true}
	for name, c := range map[string]struct {
		remote bool
		s      *plans.Source
		whole  int64
		want   string
	}{
		"below":             {false, keyed, plans.MostOfARow - 1, "info wide-rows"},
		"in place":          {false, keyed, plans.MostOfARow, "info huge-rows"},
		"elsewhere":         {true, keyed, plans.MostOfARow, "blocker huge-rows"},
		"without a key":     {false, keyless, plans.MostOfARow, "blocker huge-rows"},
		"without, frozen":   {false, frozen, plans.MostOfARow, "info huge-rows"},
		"frozen, elsewhere": {true, frozen, plans.MostOfARow, "blocker huge-rows"},
	} {
		var got []string
		for _, f := range widthFindings(&plans.Plan{Remote: c.remote}, c.s, widths{1, plans.WideRow, c.whole}) {
			got = append(got, string(f.Level)+" "+f.Code)
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %v, want %q", name, got, c.want)
		}
	}
}
