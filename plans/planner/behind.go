package planner

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/migrations"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

// cut is where the window of migrations is divided.
type cut struct {
	from int64 // the first version behind the fence; 0: none
	why  []plans.Reason
	// deferred are statements before the fence that run in the swap all the same.
	deferred []syntax.Place
	whyWaits map[syntax.Place]string // why those of them are not understood that wait for that
}

// before is the cut before a file.
func (c cut) before(f migrations.File, why plans.Reason) cut {
	c.from, c.why = f.Version, append(slices.Clone(c.why), why)
	return c
}

// cutsItself: it is left to the planner where the window is cut.
func (m *task) cutsItself() bool {
	return m.file.Build == plans.Auto && m.file.Migrations.BehindFenceFrom == nil && m.migrations != nil && m.plan.ToVersion != nil
}

// understood are the files before the fence, behind those after the cut.
func (m *task) understood() []migrations.File {
	all := m.migrations.Between(m.plan.FromVersion, *m.plan.ToVersion)
	if m.cut.from == 0 {
		return all
	}
	return all[:m.firstBehind(all)]
}

func (m *task) firstBehind(window []migrations.File) int {
	i, _ := slices.BinarySearchFunc(window, m.cut.from, func(f migrations.File, v int64) int { return cmp.Compare(f.Version, v) })
	return i
}

// settleCut lays the cut once production's version is known, and keeps the
// statements behind it.
func (m *site) settleCut() error {
	if m.migrations == nil || m.plan.ToVersion == nil {
		return nil
	}
	window := m.migrations.Between(m.plan.FromVersion, *m.plan.ToVersion)
	if err := m.wishedCut(window); err != nil {
		return err
	}
	if m.cut.from != 0 && m.firstBehind(window) < len(window) {
		if err := m.keepBehind(window); err != nil {
			return err
		}
	}
	return m.keepDeferred(m.understood())
}

// keepBehind keeps the files from the cut on.
func (m *site) keepBehind(window []migrations.File) error {
	i := m.firstBehind(window)
	m.plan.Build = plans.BehindFence
	m.plan.Behind = &plans.Behind{From: window[i].Version, Built: m.plan.FromVersion, Why: m.cut.why, Each: m.file.Migrations.MultiStatement}
	if i > 0 {
		m.plan.Behind.Built = &window[i-1].Version
	}
	return m.keepScripts(window[i:])
}

// wishedCut is what the plan file asks for, unless a cut was found already.
func (m *task) wishedCut(window []migrations.File) error {
	first := m.file.Migrations.BehindFenceFrom
	switch {
	case m.cut.from != 0 || len(window) == 0:
	case first != nil:
		m.cut.from, m.cut.why = *first, []plans.Reason{{Where: m.file.Where("migrations.behind_fence_from"), Message: "the plan file says so"}}
		if !m.migrations.Has(*first) || *first > *m.plan.ToVersion {
			m.find(plans.Finding{Level: plans.Blocker, Code: "version-unknown", Object: fmt.Sprint(*first), Where: m.file.Where("migrations.behind_fence_from"),
				Message: fmt.Sprintf("version %d is not one of those that this run goes through", *first), Fix: "correct migrations.behind_fence_from"})
			return errBlocked
		}
	case m.file.Build == plans.BehindFence:
		m.cut = cut{from: window[0].Version, why: []plans.Reason{{Where: m.file.Where("build"), Message: "the plan file says so"}}}
	}
	return nil
}

func (m *site) keepScripts(files []migrations.File) error {
	for _, f := range files {
		text, err := os.ReadFile(f.Path)
		if err != nil {
			return fmt.Errorf("read migration: %w", err)
		}
		statements, notices, err := syntax.Script(f.Name, string(text))
		if err != nil {
			return err
		}
		for _, n := range notices {
			m.find(finding(n))
		}
		m.namesProductionsDatabase(f.Name, statements)
		m.plan.Behind.Files = append(m.plan.Behind.Files, plans.BehindFile{Version: f.Version, Name: f.Name, Statements: statements})
	}
	return nil
}

// earlier is the next cut to try: before the first statement that is not
// understood. One without a place may be anywhere. Not ok: there is nothing to
// gain by another cut.
func (m *task) earlier() (cut, bool) {
	next := m.cut
	if !m.cutsItself() {
		return next, false
	}
	files := m.understood()
	if len(files) == 0 {
		return next, false
	}
	next.from = files[0].Version
	placed := false
	for _, f := range m.plan.Findings {
		if !f.Opaque { // a warning, too: triggers that fire in place, but not in the shadow
			continue
		}
		next.why = append(next.why, plans.Reason{Where: f.Where, Object: f.Object, Message: f.Message})
		i := slices.IndexFunc(files, func(file migrations.File) bool { return fileOf(f.Where) == file.Name })
		if i >= 0 && (!placed || files[i].Version < next.from) {
			placed, next.from = true, files[i].Version
		}
	}
	return next, len(next.why) > len(m.cut.why)
}

// lacksShape: an error of what a constraint or an index would make right.
var lacksShape = []string{pgerrcode.InvalidColumnReference, pgerrcode.InvalidForeignKey, pgerrcode.UndefinedObject}

// beforeFailure is the cut before a file that fails in scratch for want of something,
// where statements of earlier ones wait: it may need what these make, as ON CONFLICT in a
// function does a unique constraint. Behind the fence they have run.
func (m *task) beforeFailure() (cut, bool) {
	if !m.cutsItself() || !slices.Contains(lacksShape, m.failedState) && m.failedState != pgerrcode.UndefinedColumn {
		return m.cut, false
	}
	for _, f := range m.plan.Findings {
		i := m.fileNumber(fileOf(f.Where))
		waits := slices.ContainsFunc(m.cut.deferred, func(p syntax.Place) bool { return m.fileNumber(p.File) < i && m.mayLack(p.SQL) })
		if f.Code == "migration-failed" && i >= 0 && waits {
			return m.cut.before(m.understood()[i], plans.Reason{Where: f.Where, Object: f.Object, Message: "it may need what waits for the swap: " + f.Message}), true
		}
	}
	return m.cut, false
}

// mayLack: what failed may want what a statement that waits makes.
func (m *task) mayLack(waits string) bool {
	return plans.Shapes(waits) && (m.failedState != pgerrcode.UndefinedColumn || addsColumn.MatchString(waits))
}

var addsColumn = regexp.MustCompile(`(?i)\badd\s+column\b`)

// fileOf is the file of a place, which may name a line, too.
func fileOf(where string) string {
	file, _, _ := strings.Cut(where, ":")
	return file
}

// makeWithCut makes plans until one has nothing before the fence that is not
// understood, but for what runs in the swap by itself.
func makeWithCut(ctx context.Context, f *planfile.File, log *slog.Logger) (*plans.Plan, error) {
	at := cut{whyWaits: map[syntax.Place]string{}}
	for {
		m, err := makeOnce(ctx, f, log, at)
		if err != nil {
			return nil, err
		}
		next, more := m.deferMore()
		if !more {
			next, more = m.beforeFailure()
		}
		if !more {
			next, more = m.earlier()
		}
		if !more {
			return m.plan, nil
		}
		log.Debug("plan", "cut", next.from, "deferred", len(next.deferred))
		at = next
	}
}

// hoist gives the types of scratch the labels that migrations behind the fence
// add: a label cannot be used in the transaction that adds it. What fails is run
// behind the fence: its type is made there.
func (m *trial) hoist(ctx context.Context) error {
	if m.plan.Behind == nil {
		return nil
	}
	config, err := m.scratch.clientConfig(m.session)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := catalog.SetAll(ctx, conn, m.client.left.settings); err != nil {
		return err
	}
	for _, f := range m.plan.Behind.Files {
		for i, s := range f.Statements {
			if s.Manner != syntax.Hoist {
				continue
			}
			if err := pg.ExecScript(ctx, conn, s.SQL); pg.State(err) != "" {
				f.Statements[i].Manner = syntax.Run
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// mentioned reports whether a migration behind the fence has one of these names in
// its text, also in code that it runs. Such types and sequences are not shared:
// the old tables use them too, and would keep them from being dropped.
func (m *task) mentioned(names ...string) bool {
	return m.plan.Behind != nil && slices.ContainsFunc(names, m.plan.Behind.Mentions)
}

// mayBeAltered reports the same of what may alter a type: not what runs in the swap by
// itself, which only changes rows.
func (m *task) mayBeAltered(name string) bool {
	return m.plan.Behind != nil && m.plan.Behind.MayAlter(name)
}

// ownNames are a sequence's name and those of the tables that take numbers from
// it: the one that it belongs to, and all whose defaults name it. The trial would
// take numbers from a shared one, which clients and the migrations then lack.
func (m *lineage) ownNames(s *catalog.Sequence) []string {
	names := []string{s.Name.Name}
	for _, c := range []*catalog.Catalog{m.before, m.after} {
		for _, t := range c.Tables {
			if t.OID == s.Table && s.Table != 0 || slices.ContainsFunc(t.Columns, func(c catalog.Column) bool { return strings.Contains(c.Default, s.Name.Name) }) {
				names = append(names, t.Name.Name)
			}
		}
	}
	return names
}

// rememberSession keeps what the migrations behind the fence find set: what a session of
// production has by itself, and what the files before the fence leave in theirs.
func (m *trial) rememberSession(ctx context.Context) error {
	conn, err := catalog.ConnectAsClient(ctx, m.file.Production.DSN)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	all := maps.Clone(m.session.Texts) // another server may have other defaults
	maps.Copy(all, m.session.Parameters)
	for _, name := range pg.PinnedNames() {
		var value *string
		if err := conn.QueryRow(ctx, `SELECT pg_catalog.current_setting($1, true)`, name).Scan(&value); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if value != nil && !catalog.OwnParameters.MatchString(name) && name != "client_connection_check_interval" { // by which an orphan of ours ends
			all[name] = *value
		}
	}
	all["search_path"] = m.session.Path
	maps.Copy(all, m.client.left.settings)
	if len(m.plan.Behind.Files) > 0 {
		m.keepsSession()
	}
	m.plan.Behind.Session = all
	return m.behindThere(ctx)
}
