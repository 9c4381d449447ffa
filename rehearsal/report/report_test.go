package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	plan "github.com/pgumbra/pgumbra/plans/report"
	"github.com/pgumbra/pgumbra/rehearsal"
	"github.com/pgumbra/pgumbra/rehearsal/generate"
	"github.com/pgumbra/pgumbra/rehearsal/workload"
)

// failed is a rehearsal with one of everything.
func failed() *rehearsal.Result {
	return &rehearsal.Result{
		Run: "shop-v7", Seed: 1, Server: "15.18", FromVersion: 1, ToVersion: 7, StartedAt: "2026-11-26T13:05:00Z", Seconds: 31.6, Build: plans.Direct,
		Gates: []rehearsal.Gate{{Name: "oracle", Message: "2 differences | from the migrations"}, {Name: "max-stall", Passed: true, Message: "the stall was 3.0 ms"},
			{Name: "fail-on warning", Message: "1 warning", Fix: "accept it"}},
		Phases: []rehearsal.Phase{{Name: "make rows", Seconds: 1.25}, {Name: "upgrade under traffic", Seconds: 20}, {Name: "migrate in place and compare", Seconds: 2.5}},
		Data: rehearsal.Data{Source: "generated", Tables: []generate.Filled{{Table: pg.Name{Schema: "shop", Name: "orders"}, Rows: 2000}},
			Gaps: []generate.Gap{{Table: pg.Name{Schema: "shop", Name: "odd"}, Constraint: "never", Where: "000001_shop.up.sql:4", Message: "none is known", Fix: "say how"}}},
		Traffic: rehearsal.Traffic{Counts: workload.Counts{Committed: 5, Withheld: 2, Broken: map[string]int64{"shop.orders: column \"mail\" <gone>": 3}}, Clients: 4, Before: 10, Following: 8, Slowdown: 1.25},
		Found:   []plans.Finding{{Level: plans.Warning, Code: "client-breaks", Object: "shop.customers.mail", Where: "000003_mail.up.sql:2", Message: "it is renamed", Fix: "deploy"}},
		Settled: []plans.Finding{{Level: plans.Warning, Code: "keyless", Object: "shop.log", Message: "it has no key"}},
		Cutover: &rehearsal.Cutover{StallMS: 3, Attempts: 1, Drained: 7, LongestMS: 4, Parts: []cutover.PartTime{{Part: "fence", MS: 1}, {Part: "swap", MS: 2}}},
		Oracle: &rehearsal.OracleResult{InPlaceSeconds: .5, NotComparable: []string{"shop.orders.seen"}, Compared: rehearsal.Compared{Differences: []rehearsal.Difference{
			{Kind: rehearsal.ValuesDiffer, Object: "shop.orders", Column: "total_cents", Count: 1200, Examples: []rehearsal.Example{{Key: "id=17", InPlace: "1999", Upgraded: "<19\x01>"}},
				Explanation: "the shadow has total::bigint of shop.orders", Where: "000002_cents.up.sql"},
			{Kind: rehearsal.StructureMissing, Object: "INDEX shop.orders_label", Count: 1, Examples: []rehearsal.Example{{InPlace: "CREATE INDEX orders_label"}}},
		}}},
	}
}

func written(t *testing.T, r *rehearsal.Result, format string) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, r, Options{Format: format, Version: "v1", PlanFile: "db/pgumbra.yaml", Migrations: "db/migrations"}); err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return b.String()
}

func TestReportsForPeopleNameWhatDiffers(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "markdown", "html"} {
		text := strings.NewReplacer(`\_`, "_", "&#34;", `"`, "&lt;", "<", "&gt;", ">").Replace(written(t, failed(), format))
		for _, want := range []string{"shop-v7", "Failed: oracle, fail-on warning (2 of 3 gates)", "shop.orders.total_cents: 1,200 rows with another value", "id=17", "1999",
			"total::bigint of shop.orders", "INDEX shop.orders_label: the shadow lacks it", "shop.orders.seen", "shop.customers.mail", `column "mail" <gone>`, "never", "(000001_shop.up.sql:4)", "stall by steps", "fence 1.0 ms, swap 2.0 ms", "slowdown 1.25"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not say %q:\n%s", format, want, text)
			}
		}
	}
	if html := written(t, failed(), "html"); strings.Contains(html, "<gone>") || strings.Contains(html, "http") || strings.Contains(html, "<script") {
		t.Error("the page does not escape, or needs something else")
	}
}

func TestTextSaysWhatToDoAboutAFinding(t *testing.T) {
	t.Parallel()
	if text := written(t, failed(), "text"); !strings.Contains(text, "    it is renamed\n    fix: deploy\n") {
		t.Error(text)
	}
}

// Each form says that there was nothing to do, and nothing of what was not done.
func TestEachFormSaysThatNothingWasToBeDone(t *testing.T) {
	t.Parallel()
	r := &rehearsal.Result{Run: "up", Nothing: true, Passed: true, FromVersion: 7, ToVersion: 7}
	for _, format := range Formats {
		text := written(t, r, format)
		if format != "json" && format != "sarif" && !strings.Contains(text, "nothing newer than version 7") || strings.Contains(text, "PostgreSQL ,") || strings.Contains(strings.ToLower(text), "measured") {
			t.Errorf("%s:\n%s", format, text)
		}
	}
}

// A rehearsal that ends before its rows were made has measured none.
func TestNothingIsMeasuredOfWhatWasNotReached(t *testing.T) {
	t.Parallel()
	text := written(t, &rehearsal.Result{Run: "up", Gates: []rehearsal.Gate{{Name: "plan"}}}, "text")
	_, measured, _ := strings.Cut(text, "MEASURED")
	if strings.Contains(measured, "rows") || strings.Contains(measured, "transactions") || !strings.Contains(measured, "all of it") {
		t.Error(text)
	}
}

func TestMarkdownFitsIntoAComment(t *testing.T) {
	t.Parallel()
	r := failed()
	for i := range 2000 {
		d := r.Oracle.Differences[0]
		d.Column = fmt.Sprintf("column_%d", i)
		r.Oracle.Differences, r.Found = append(r.Oracle.Differences, d), append(r.Found, r.Found[0])
	}
	if text := written(t, r, "markdown"); len(text) > plan.MarkdownLimit || !strings.Contains(text, "more: `--format json`") {
		t.Errorf("%d bytes", len(text))
	}
}

func TestJUnitIsReadable(t *testing.T) {
	t.Parallel()
	var all testSuites
	if err := xml.Unmarshal([]byte(written(t, failed(), "junit")), &all); err != nil {
		t.Fatal(err)
	}
	s := all.Suites[0]
	for i, want := range []string{"2.500", "0.003", "20.000"} { // of its step; of the stall itself
		if s.Cases[i].Time != want {
			t.Errorf("%s took %s, want %s", s.Cases[i].Name, s.Cases[i].Time, want)
		}
	}
	if s.Tests != 8 || s.Skipped != 2 || s.Failures != 5 || all.Failures != 5 || s.Cases[1].Failure != nil || s.Cases[5].File != "db/migrations/000002_cents.up.sql" {
		t.Errorf("%+v", s)
	}
}

// The writer itself validates against SARIF's schema.
func TestSARIFLeadsToTheLine(t *testing.T) {
	t.Parallel()
	var doc struct {
		Version string
		Runs    []struct {
			Results []struct {
				RuleID, Level string
				Suppressions  []any
				Locations     []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(written(t, failed(), "sarif")), &doc); err != nil {
		t.Fatal(err)
	}
	results := doc.Runs[0].Results
	at := results[0].Locations[0].PhysicalLocation
	if doc.Version != "2.1.0" || len(results) != 6 || results[0].RuleID != "client-breaks" || results[0].Level != "warning" || at.ArtifactLocation.URI != "db/migrations/000003_mail.up.sql" || at.Region.StartLine != 2 {
		t.Errorf("%+v", doc)
	}
	if len(results[1].Suppressions) != 1 || results[2].RuleID != "rehearsal-oracle" || results[2].Locations[0].PhysicalLocation.ArtifactLocation.URI != "db/pgumbra.yaml" {
		t.Errorf("%+v", results)
	}
}

func TestReportsPassOnErrorsOfTheWriter(t *testing.T) {
	t.Parallel()
	for _, format := range Formats {
		if err := Write(brokenWriter{}, failed(), Options{Format: format}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: %v", format, err)
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
