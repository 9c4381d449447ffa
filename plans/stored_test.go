package plans

import (
	"encoding/json"
	"errors"
	"testing"
)

// TestDecodeReadsOlderPlans: a run that was begun before plans had a number is
// finished or undone by this pgumbra; one of a newer form is left alone.
func TestDecodeReadsOlderPlans(t *testing.T) {
	t.Parallel()
	const older = `{"run": "shop-v2", "from_version": 41, "sources": [{"n": 0, "name": {"schema": "shop", "name": "orders"}, "record": "row"}],
		"shadow_tables": [{"n": 0, "feed": "copied", "source": 0}], "matviews": [{"schema": "s", "name": "totals"}]}`
	p, err := Decode([]byte(older))
	if err != nil || p.Run != "shop-v2" || *p.FromVersion != 41 || p.Sources[0].Record != RecordRow || p.CopiedFrom(&p.Tables[0]).Name.Name != "orders" {
		t.Errorf("%+v %v", p, err)
	}
	if views := p.MaterializedViews(); len(views) != 1 || !views[0].Filled {
		t.Errorf("%+v", views)
	}
	text, err := json.Marshal(&Plan{Format: Format, Run: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := Decode(text); err != nil || p.Format != Format {
		t.Errorf("%+v %v", p, err)
	}
	if _, err := Decode([]byte(`{"format": 1000}`)); !errors.Is(err, ErrNewer) {
		t.Errorf("%v", err)
	}
}
