package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/internal/sampleplan"
)

// samplePlan is an upgrade of a small shop with one of everything.
func samplePlan() *plans.Plan {
	p := sampleplan.New()
	p.Production, p.StartedAt = plans.Server{Database: "shop", Version: 150018}, "2026-11-26T13:05:59Z"
	p.Changes = []plans.FileChanges{{File: "000042_cents.up.sql", Changes: []catalog.Change{
		{Act: catalog.Altered, Kind: "column", Object: "shop.orders.id", Was: "integer", Is: "bigint"}, {Act: catalog.Dropped, Kind: "column", Object: "shop.orders.total"}}}}
	p.Steps = []plans.Step{
		{Phase: "building", Title: "Make the control schema", SQL: []string{"CREATE SCHEMA pgumbra"}, Lock: "none", Waits: "nobody"},
		{Phase: "copying", Title: "Copy shop.orders", SQL: []string{"INSERT INTO x SELECT 1"}, Lock: "ACCESS SHARE on shop.orders", Waits: "nobody"},
		{Phase: "cutover", Title: "Lock the tables", SQL: []string{"LOCK TABLE shop.orders"}, Lock: "EXCLUSIVE on shop.orders", Waits: "writers"},
		{Phase: "cutover", Title: "Swap", SQL: []string{"ALTER SCHEMA shop RENAME TO x"}, Lock: "none", Waits: "nobody"},
	}
	return p
}

func written(t testing.TB, p *plans.Plan, format string) string {
	t.Helper()
	return inDetail(t, p, format, Full)
}

func inDetail(t testing.TB, p *plans.Plan, format string, detail Detail) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, p, Options{Format: format, SQL: detail, Version: "v1"}); err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return b.String()
}

func TestJSONReportIsThePublicDocument(t *testing.T) {
	t.Parallel()
	var doc map[string]any
	if err := json.Unmarshal([]byte(written(t, samplePlan(), "json")), &doc); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"run", "from_version", "to_version", "build", "runnable", "findings", "tables", "estimates", "steps"} {
		if _, ok := doc[key]; !ok {
			t.Errorf("no key %s", key)
		}
	}
	table := doc["tables"].([]any)[0].(map[string]any)
	want := map[string]any{
		"production": "shop.orders", "shadow": "pgumbra_shop_v2_shop.orders", "rows": 5e6, "bytes": float64(640 << 20),
		"key": []any{"id"}, "record": "row", "feed": "copied", "where": "NOT deleted", "from": "", "reverse": []any{},
		"columns": []any{
			map[string]any{"shadow": "id", "expression": "id", "source": "lineage"},
			map[string]any{"shadow": "total_cents", "expression": "(total * 100)::bigint", "source": "plan"},
			map[string]any{"shadow": "twice", "expression": "", "source": "lineage"},
			map[string]any{"shadow": "token", "expression": "", "source": "default"},
		},
	}
	if diff := cmp.Diff(want, table); diff != "" {
		t.Error(diff)
	}
	finding := doc["findings"].([]any)[0].(map[string]any)
	if finding["level"] != "blocker" || finding["where"] != "000042_cents.up.sql:7" {
		t.Errorf("first finding %v", finding)
	}
	if free, ok := doc["estimates"].(map[string]any)["free_disk"]; !ok || free != nil {
		t.Errorf("free_disk %v, %v", free, ok)
	}
}

func TestJSONReportHasNoNullLists(t *testing.T) {
	t.Parallel()
	for _, p := range []*plans.Plan{{}, {Tables: []plans.Table{{Source: -1}, {Source: 7, Feed: plans.Copied}}, Steps: []plans.Step{{}}}} {
		text := written(t, p, "json")
		for _, key := range []string{"findings", "tables", "steps", "key", "columns", "sql"} {
			if strings.Contains(text, `"`+key+`": null`) {
				t.Errorf("%s is null:\n%s", key, text)
			}
		}
		for _, format := range Formats {
			written(t, p, format)
		}
	}
}

func TestReportsForPeopleSayWhatMatters(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "markdown", "html"} {
		text := written(t, samplePlan(), format)
		for _, want := range []string{"shop-v2", "41", "42", "Cannot run yet", "1 blocker, 1 warning, 1 info", "unmapped-backfill", "000042_cents.up.sql:7",
			"total_cents", "(total * 100)::bigint", "5,000,000", "640 MB", "not known from here", "ACCESS SHARE", "ALTER SCHEMA", "made once per row",
			"1 blocker comes first", "shop.orders.id integer → bigint", "- column shop.orders.total", "REPEATABLE READ"} {
			if !strings.Contains(strings.NewReplacer("&#34;", `"`, `\_`, "_").Replace(text), want) {
				t.Errorf("%s does not say %q", format, want)
			}
		}
		if strings.Contains(text, "\x1b") && format == "text" {
			t.Error("the text report sends control characters to the terminal")
		}
		if blocker, info := strings.Index(text, "unmapped-backfill"), strings.Index(text, "has no key"); blocker > info {
			t.Errorf("%s: blockers do not come first", format)
		}
		if strings.Index(text, "unmapped-backfill") > strings.LastIndex(strings.ToLower(text), "what clients will notice") {
			t.Errorf("%s: what clients notice comes before the blockers", format)
		}
	}
}

func TestTextReportIsAligned(t *testing.T) {
	t.Parallel()
	text := written(t, samplePlan(), "text")
	want := `TABLES (5)
  table                                 shadow                          rows       size     key       record  columns
  shop.orders                           pgumbra_shop_v2_shop.orders     5,000,000  640 MB   id        row     4, 3 by an expression
  shop.log|x                            pgumbra_shop_v2_shop.log|x      3          0 bytes  none      image   1
  shop.addresses (query)                pgumbra_shop_v2_shop.addresses  0          0 bytes  order_id          1, all by an expression
  shop.states (rows of the migrations)  pgumbra_shop_v2_shop.states     0          0 bytes  –                 2
  shop.audit (skipped)                  pgumbra_shop_v2_shop.audit      0          0 bytes  –                 0
`
	if !strings.Contains(text, want) {
		t.Errorf("got:\n%s", text)
	}
}

func TestHTMLReportNeedsNothingElseAndEscapes(t *testing.T) {
	t.Parallel()
	text := written(t, samplePlan(), "html")
	if strings.Contains(text, "<lost>") || !strings.Contains(text, "&lt;lost&gt;") {
		t.Error("a message is not escaped")
	}
	for _, external := range []string{"http://", "https://", "<script", "<link", "url("} {
		if strings.Contains(text, external) {
			t.Errorf("the page refers to %s", external)
		}
	}
}

// A phone shows it all on three screens, however much there is to say: what decides is
// open, the rest is folded and named.
func TestHTMLFoldsWhatDoesNotDecide(t *testing.T) {
	t.Parallel()
	var all []group
	for i := range 9 {
		all = append(all, group{Level: plans.Warning, Code: "client-breaks", Objects: []place{{Object: fmt.Sprintf("shop.w%d", i)}}})
	}
	all = append(all, group{Level: plans.Blocker, Objects: []place{{Object: "shop.b"}}}, group{Level: plans.Info, Code: "keyless", Objects: []place{{Object: "shop.log"}}})
	shown, rest := divided(5, all)
	if len(shown) != 6 || len(rest) != 5 || shown[5].Level != plans.Blocker {
		t.Errorf("%d shown, %d folded: %+v", len(shown), len(rest), shown)
	}
	if got, want := told(rest), "4 warnings, 1 info: shop.w5, shop.w6, shop.w7, shop.w8, keyless"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	p := samplePlan()
	for i := range 30 {
		p.Findings = append(p.Findings, plans.Finding{Level: plans.Warning, Code: "reverse-lossy", Object: fmt.Sprint("shop.t", i), Message: fmt.Sprint("too large ", i)})
	}
	text := written(t, p, "html")
	if !strings.Contains(text, `<details class="rest"><summary>30 warnings: shop.t0, `) || strings.Contains(text, `<details class="finding warning" open>`) {
		t.Error("thirty warnings are not folded")
	}
}

func TestMarkdownKeepsItsTables(t *testing.T) {
	t.Parallel()
	text := written(t, samplePlan(), "markdown")
	for _, want := range []string{`| shop.log\|x |`, "\n| total\\_cents | `(total * 100)::bigint` | plan |\n", "```sql\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if got, want := markdownCode("a`b|c"), "``a`b\\|c``"; got != want {
		t.Errorf("markdownCode = %q, want %q", got, want)
	}
	if got := markdownBlock([]string{"x ```", "y"}); !strings.HasPrefix(got, "````sql\n") {
		t.Errorf("markdownBlock = %q", got)
	}
}

func TestNothingToDoIsSaidAlone(t *testing.T) {
	t.Parallel()
	p := &plans.Plan{Run: "a", NothingToDo: true}
	for _, format := range []string{"text", "markdown", "html"} {
		if text := written(t, p, format); !strings.Contains(text, "Nothing to do") || strings.Contains(strings.ToLower(text), "estimates") {
			t.Errorf("%s:\n%s", format, text)
		}
	}
}

func TestReportsPassOnErrorsOfTheWriter(t *testing.T) {
	t.Parallel()
	for _, format := range Formats {
		if err := Write(brokenWriter{}, samplePlan(), Options{Format: format}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: %v", format, err)
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestStatementsEndWithASemicolonForReaders(t *testing.T) {
	t.Parallel()
	got := terminated([]string{"SELECT 1", "SELECT 2;", "SELECT 3 -- three", "-- four\nSELECT 4", ""})
	if diff := cmp.Diff([]string{"SELECT 1;", "SELECT 2;", "SELECT 3 -- three", "-- four\nSELECT 4;", ";"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestVerdictIsOneSentenceThatDecides(t *testing.T) {
	t.Parallel()
	p := samplePlan()
	p.Runnable = true
	p.Findings = append(p.Findings[:0], plans.Finding{Level: plans.Warning, Code: "client-breaks", Object: "shop.orders.total", Message: "gone", Fix: "first the application"})
	for _, format := range []string{"text", "markdown", "html"} {
		text := written(t, p, format)
		want := "Can run. Writers wait at most 1.1 s; everything can be undone until the cutover; 1 warning to read."
		if !strings.Contains(text, want) {
			t.Errorf("%s does not say %q", format, want)
		}
	}
	if text := written(t, p, "html"); !strings.Contains(text, "the application&#39;s team: 1 point") || !strings.Contains(text, "database shop on PostgreSQL 15.18 · 2026-11-26 13:05 UTC") {
		t.Error("the page does not say who must act, or of what it is")
	}
}

func TestStallIsTheLastRunsAndWhatHasBeenAdded(t *testing.T) {
	t.Parallel()
	few, many := plans.Estimates{Locks: 50}, plans.Estimates{Locks: 5005}
	few.EstimateStall(false)
	many.EstimateStall(false)
	after := plans.Estimates{Locks: 1050, Measured: &plans.Measured{Run: "last", StallMS: 60, Locks: 50}}
	after.EstimateStall(true)
	busy := after
	busy.Busy = "a load of 9 on 2 cores"
	busy.EstimateStall(true)
	remote := plans.Estimates{Locks: 50}
	remote.EstimateStall(true)
	for _, c := range []struct {
		e    plans.Estimates
		want string
	}{
		{few, "about 40 to 160 ms, at most 1.1 s"}, {many, "about 490 ms to 1 s, at most 1.1 s"}, {after, "about 150 ms, at most 1.1 s"}, {busy, "about 150 to 600 ms, at most 1.1 s"}, {remote, "at most 1.1 s"},
		{plans.Estimates{StallMS: 2000}, "at most 1.1 s"}, // an attempt gives up before
	} {
		p := &plans.Plan{Estimates: c.e}
		p.Settings.Cutover.MaxStall = time.Second
		if got := stall(p); got != c.want {
			t.Errorf("%+v: %s, want %s", c.e, got, c.want)
		}
	}
	p := &plans.Plan{Estimates: busy, Behind: &plans.Behind{EstimateMS: 700, Files: []plans.BehindFile{{}}}}
	p.Settings.Cutover.MaxStall = time.Second
	if got := estimatedStall(p, busy); !strings.HasPrefix(got, "about 850 ms to 1.3 s: 150 to 600 ms for the swap (") || !strings.Contains(got, "a load of 9 on 2 cores") || !strings.Contains(got, "700 ms for the migrations behind the fence") {
		t.Error(got)
	}
}

func TestFindingsThatSayTheSameAreOne(t *testing.T) {
	t.Parallel()
	blocking, clients, back, others := grouped([]plans.Finding{
		{Level: plans.Warning, Code: "wide", Object: "a", Message: "m"}, {Level: plans.Warning, Code: "wide", Object: "b", Message: "m"},
		{Level: plans.Warning, Code: "wide", Object: "c", Message: "another"}, {Level: plans.Info, Code: "client-breaks", Object: "d", Message: "m"},
		{Level: plans.Warning, Code: "reverse-lossy", Object: "e", Message: "m"}, {Level: plans.Blocker, Code: "client-breaks", Object: "f", Message: "m"},
	})
	if len(blocking) != 1 || len(others) != 2 || len(others[0].Objects) != 2 || len(clients) != 1 || len(back) != 1 {
		t.Errorf("blocking %v, clients %v, going back %v, others %v", blocking, clients, back, others)
	}
}

// What a rollback would lose has a section of its own, and a column its way back.
func TestReportsSayWhatGoingBackWouldLose(t *testing.T) {
	t.Parallel()
	p := samplePlan()
	p.Tables[0].Reverse = []plans.Column{{Shadow: "id", Expression: `"id"`, Loss: "are beyond the range of integer"}, {Shadow: "note", Kept: true}, {Shadow: "twice", Generated: true}}
	p.Findings = append(p.Findings, plans.Finding{Level: plans.Warning, Code: "reverse-lossy", Object: "shop.orders.id", Message: "integer does not come back"})
	for format, heading := range map[string]string{"text": "WHAT GOING BACK AFTER THE CUTOVER WOULD LOSE", "markdown": "## What going back after the cutover would lose", "html": `<h2 id="back">What going back after the cutover would lose</h2>`} {
		text := written(t, p, format)
		if at := strings.Index(text, heading); at < 0 || !strings.Contains(text[at:], "integer does not come back") {
			t.Errorf("%s does not say what is lost", format)
		}
		p.Findings = p.Findings[:len(p.Findings)-1]
		if strings.Contains(written(t, p, format), heading) {
			t.Errorf("%s has a section on nothing", format)
		}
		p.Findings = p.Findings[:len(p.Findings)+1]
	}
	want := `"reverse":[{"production":"id","expression":"\"id\"","source":"default","kept":false,"loss":"arebeyondtherangeofinteger"},{"production":"note","expression":"","source":"default","kept":true,"loss":""}]`
	if text := strings.Join(strings.Fields(written(t, p, "json")), ""); !strings.Contains(text, want) {
		t.Errorf("%s", text)
	}
}

func TestSQLIsShownOnDemand(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "markdown", "html"} {
		for detail, want := range map[Detail][2]bool{None: {}, Summary: {true, false}, Full: {true, true}} {
			text := inDetail(t, samplePlan(), format, detail)
			if got := [2]bool{strings.Contains(text, "Lock the tables"), strings.Contains(text, "LOCK TABLE shop.orders")}; got != want {
				t.Errorf("%s %s: steps and SQL %v, want %v", format, detail, got, want)
			}
		}
	}
}

func TestMarkdownFitsIntoAComment(t *testing.T) {
	t.Parallel()
	p := samplePlan()
	for range 5_000 {
		p.Tables = append(p.Tables, p.Tables[1])
		p.Steps = append(p.Steps, p.Steps[2])
	}
	if text := written(t, p, "markdown"); len(text) > markdownLimit || !strings.Contains(text, "and 4905 more") {
		t.Errorf("%d bytes", len(text))
	}
}

// TestPhasesShowTheStrongestLockOnProduction: one on the shadow's tables, which nobody
// else uses, is not taken for the fence.
func TestPhasesShowTheStrongestLockOnProduction(t *testing.T) {
	t.Parallel()
	p := samplePlan()
	phases := viewPhases(p, []plans.Step{
		{Phase: "cutover", Lock: "SHARE ROW EXCLUSIVE on the shadow's tables", Waits: "nobody"}, {Phase: "cutover", Lock: "EXCLUSIVE", Waits: "writers"},
		{Phase: "watching", Lock: "SHARE UPDATE EXCLUSIVE, ROW SHARE on the referenced table", Waits: "nobody but DDL"}})
	if c := phases[0]; c.Lock != "EXCLUSIVE" || c.Waits != "writers" || c.Force != 2 {
		t.Errorf("the cutover takes %+v", c)
	}
	if w := phases[1]; w.Force != 1 {
		t.Errorf("a lock that no writer waits for: %+v", w)
	}
}
