package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgumbra/pgumbra/plans/planner"
	"github.com/pgumbra/pgumbra/rehearsal"
	"github.com/pgumbra/pgumbra/rehearsal/report"
)

// notPassed says that a rehearsal failed at some gates. The report has told them.
type notPassed struct{ gates []string }

func (e *notPassed) Error() string {
	return "the rehearsal did not pass: " + strings.Join(e.gates, ", ")
}

const rehearseHelp = `Goes through the whole upgrade on a disposable PostgreSQL server, and compares the
result with what the migrations make in place. Needs no production. With an empty
production.dsn the structure is what the migrations make up to migrations.from
(not set: up to the last but one), and rows are generated from the catalog, within
all constraints. Clients work meanwhile: inserts, updates of every column, deletes,
changed keys, long transactions and such as are rolled back.

With a production.dsn the structure is production's, which is only read, and rows are
a sample of its, closed over foreign keys; tables.<table>.mask says what stands for
a column's values. With --dump both come from a file of pg_dump's.

The oracle: the rows that production held at the fence are migrated a second time,
in place, the ordinary way. Structure, rows and the next number of each sequence
must be equal; what differs is told by table, column and key, with the statement
that it comes from. Columns that no second run repeats (now(), random values) are
found by running the migrations twice, and named.

With shadow.dsn there are two disposable servers, and with traffic.pgbouncer a
PgBouncer before them; those that the plan file names have no part in it. Without one
the clients go over by themselves when the old server refuses their writes.

Servers are installed ones, or in Docker; they end with this process. What a killed
rehearsal left on the disk is removed by the next.

The same --seed gives the same rows and the same dice of each client. --output, given
several times, writes a report each, in the form that the file's ending says;
--from-result writes a report that is there as JSON in another form.`

func (a *app) rehearseCommand() *cobra.Command {
	var f rehearseFlags
	c := &cobra.Command{
		Use:   "rehearse",
		Short: "The whole upgrade on a disposable server, compared with the migrations run in place",
		Long:  rehearseHelp,
		Example: `  pgumbra rehearse
  pgumbra rehearse -o - -o rehearsal.html -o rehearsal.md -o rehearsal.xml -o rehearsal.sarif
  pgumbra rehearse --format junit -o rehearsal.xml --max-stall 500ms --fail-on warning --baseline accepted.yaml`,
		RunE: func(c *cobra.Command, _ []string) error { return a.rehearse(c, &f) },
	}
	flags := c.Flags()
	flags.Uint64Var(&f.seed, "seed", 1, "of rows and traffic")
	flags.StringVar(&f.format, "format", "text", "text, json, markdown, html, junit or sarif"+formatHelp)
	flags.StringArrayVarP(&f.outputs, "output", "o", nil, severalHelp+".txt, .json, .md, .html, .xml (JUnit), .sarif")
	flags.IntSliceVar(&f.majors, "server-version", nil, "PostgreSQL `MAJOR` version of the disposable server, with shadow.dsn of both or production's and the shadow's: 15,17; default: whichever is installed")
	flags.DurationVar(&f.maxStall, "max-stall", 0, "longest stall of the cutover; default: cutover.max_stall")
	flags.Float64Var(&f.maxSlowdown, "max-slowdown", 0, "clients' throughput before the run by that while it follows; 0: any")
	flags.BoolVar(&f.requireRollback, "require-rollback", false, "rehearse the way back too: cutover, rollback, cutover")
	flags.StringVar(&f.failOn, "fail-on", "blocker", "lowest `LEVEL` of the plan's findings that fails: blocker or warning")
	flags.StringVar(&f.baseline, "baseline", "", "`FILE` of findings that are accepted")
	flags.StringVar(&f.base, "git-base", "", "rehearse the migrations that are newer than those of a git `REVISION`, in the place of migrations.from")
	flags.StringVar(&f.dump, "dump", "", "`FILE` of pg_dump's, plain or custom, from which structure and rows come")
	flags.StringVar(&f.result, "from-result", "", "rehearse nothing: report what `FILE` holds, a report as JSON")
	complete(c, "format", report.Formats...)
	complete(c, "fail-on", "blocker", "warning")
	return c
}

type rehearseFlags struct {
	seed             uint64
	majors           []int
	format           string
	outputs          []string
	maxStall         time.Duration
	maxSlowdown      float64
	requireRollback  bool
	failOn, baseline string
	result, dump     string
	base             string
}

func (a *app) rehearse(c *cobra.Command, f *rehearseFlags) error {
	if a.json {
		f.format = "json"
	}
	outputs, err := outputsOf(c, f.format, report.Formats, f.outputs...)
	if err != nil {
		return err
	}
	o, err := f.options()
	if err != nil {
		return err
	}
	o.Log = a.log
	file, err := a.load()
	if err != nil {
		return err
	}
	if f.base != "" {
		from, err := rehearsal.VersionAt(c.Context(), file.Migrations.Path, f.base)
		if err != nil {
			return err
		}
		file.Migrations.From = &from
	}
	a.file = nil // no run of production's is meant: nobody asks where it stands
	rehearse := func() (*rehearsal.Result, error) { return rehearsal.Run(c.Context(), file, o) }
	if f.result != "" {
		rehearse = func() (*rehearsal.Result, error) { return readResult(f.result) }
	}
	result, err := rehearse()
	if result == nil {
		return err
	}
	if writing := a.writeReports(outputs, result, filepath.ToSlash(file.Migrations.Path)); writing != nil || err != nil {
		return cmp.Or(writing, err) // err: nothing to do
	}
	if !result.Passed {
		return &notPassed{failedGates(result)}
	}
	if files := written(outputs); files != "" && !toPrograms(outputs) && !a.json {
		return say("The rehearsal passed. Wrote " + files + ".")
	}
	return nil
}

func (a *app) writeReports(outputs []output, result *rehearsal.Result, migrations string) error {
	options := report.Options{Version: versionText(), PlanFile: filepath.ToSlash(a.planPath), Migrations: migrations}
	for _, to := range outputs {
		options.Format = to.format
		if err := to.write(func(w io.Writer) error { return report.Write(w, result, options) }); err != nil {
			return err
		}
	}
	return nil
}

// readResult reads a report as JSON.
func readResult(path string) (*rehearsal.Result, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &usageError{fmt.Errorf("--from-result: %w", err)}
	}
	r := new(rehearsal.Result)
	if err := json.Unmarshal(text, r); err != nil || r.Run == "" {
		return nil, &usageError{fmt.Errorf("--from-result: %s is no report of a rehearsal as JSON", path)}
	}
	return r, nil
}

func failedGates(r *rehearsal.Result) []string {
	var names []string
	for _, g := range r.Gates {
		if !g.Passed {
			names = append(names, g.Name)
		}
	}
	return names
}

func (f *rehearseFlags) options() (rehearsal.Options, error) {
	o := rehearsal.Options{Seed: f.seed, Dump: f.dump, Gates: rehearsal.Gates{MaxStall: f.maxStall, MaxSlowdown: f.maxSlowdown,
		RequireRollback: f.requireRollback, FailOnWarning: f.failOn == "warning"}}
	switch len(f.majors) {
	case 0:
	case 1, 2:
		o.Major, o.ShadowMajor = f.majors[0], f.majors[len(f.majors)-1]
	default:
		return o, &usageError{errors.New("--server-version takes two at most, production's and the shadow's")}
	}
	for _, major := range f.majors {
		if major < planner.OldestServer || major > planner.NewestServer {
			return o, &usageError{fmt.Errorf("--server-version %d: pgumbra knows PostgreSQL %s", major, supported)}
		}
	}
	switch {
	case f.failOn != "blocker" && f.failOn != "warning":
		return o, &usageError{fmt.Errorf("--fail-on %q: use blocker or warning", f.failOn)}
	case f.maxStall < 0 || f.maxSlowdown < 0:
		return o, &usageError{errors.New("--max-stall and --max-slowdown take no negative values")}
	case f.baseline == "":
		return o, nil
	}
	baseline, err := rehearsal.ReadBaseline(f.baseline)
	o.Gates.Baseline = baseline
	return o, err
}
