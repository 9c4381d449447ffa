package plans

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

// Behind are the migrations that run for real behind the fence: on the shadow,
// after the drain, in the swapping transaction and under the true names. So
// whatever they hold, the result is what they would have made of production.
// Writers wait while they run.
type Behind struct {
	From int64 `json:"from"` // the first of them
	// Built is the version whose structure the shadow is built with; nil: none.
	Built *int64   `json:"built"`
	Why   []Reason `json:"why"`
	// Files are those of which nothing is built before the fence; none where only Deferred
	// run in the swap. From is 0 then, and Built the newest version.
	Files []BehindFile `json:"files"`
	// Deferred are statements of files that are built before the fence, each after all
	// else that these hold: they run before Files.
	Deferred []BehindFile `json:"deferred,omitempty"`
	AtSwap   []AtSwap     `json:"at_swap,omitempty"` // these, each with its table
	// Each: golang-migrate sends each statement by itself (x-multi-statement=true), so that
	// in place each is a transaction of its own.
	Each bool `json:"each,omitempty"`
	// Session are the settings that the migrations run under, as in place: those that a
	// session of production.dsn has by itself, and what files before the fence have set.
	Session map[string]string `json:"session"`
	// Role is whom production.dsn leads to, where shadow.dsn leads to another: what
	// the migrations make belongs to it. Empty: the same.
	Role string `json:"role,omitempty"`
	// EstimateMS is a rough guess from the sizes of the tables that the files
	// name; the trial on the followed shadow measures it.
	EstimateMS int64 `json:"estimate_ms"`
	// Unseen is why it is not known what they change: at which statement they fail on the
	// structure without rows. Empty: it is known.
	Unseen string `json:"unseen,omitempty"`
	// Back: rows of some tables go back after the swap. Tables are those that the
	// migrations change, or may; Renamed what else goes by another name after them.
	Back    bool         `json:"back,omitempty"`
	Tables  []AfterFence `json:"tables,omitempty"`
	Renamed []Renaming   `json:"renamed,omitempty"`

	// Of all statements, and of Files, in lower case; made when first asked for.
	words, altering map[string]bool
}

// Reason is a statement for which migrations run behind the fence.
type Reason struct {
	Where   string `json:"where"` // file:line, or the plan file's key
	Object  string `json:"object"`
	Message string `json:"message"`
}

// BehindFile is one migration that runs behind the fence. Its statements are
// kept with the run: what the trial has tried is what will run.
type BehindFile struct {
	Version    int64                    `json:"version"`
	Name       string                   `json:"name"`
	Statements []syntax.ScriptStatement `json:"statements"`
}

// All is everything that runs in the swap, in order.
func (b *Behind) All() []BehindFile { return slices.Concat(b.Deferred, b.Files) }

// AtSwap is a statement that runs in the swap by itself: the migrations before and
// behind it are built before the fence.
type AtSwap struct {
	File  string  `json:"file"`
	Line  int     `json:"line"`
	SQL   string  `json:"sql"`
	Table pg.Name `json:"table"` // that it changes, by its name after the swap
}

// Where is file:line.
func (s AtSwap) Where() string { return fmt.Sprintf("%s:%d", s.File, s.Line) }

var changes = regexp.MustCompile(`(?i)\b(insert)\s+into\b|\b(update|delete)\b`)

// Shapes reports whether it says what rows must be like, and changes none.
func (s AtSwap) Shapes() bool { return Shapes(s.SQL) }

// Shapes is [AtSwap.Shapes] of a statement's text.
func Shapes(sql string) bool { return shapes.MatchString(syntax.StripComments(sql)) }

var shapes = regexp.MustCompile(`(?i)^\s*(alter\s+table|create\s+(?:unique\s+)?index)\b`)

var block = regexp.MustCompile(`(?i)^\s*do\b`)

// Verb is what the statement does, in upper case: its first words, or that behind WITH.
func (s AtSwap) Verb() string {
	if block.MatchString(syntax.StripComments(s.SQL)) {
		return "DO block"
	}
	if shaping := shapes.FindString(syntax.StripComments(s.SQL)); shaping != "" {
		return strings.ToUpper(strings.Join(strings.Fields(shaping), " "))
	}
	verb, _, _ := strings.Cut(changes.FindString(syntax.StripComments(s.SQL))+" ", " ")
	return strings.ToUpper(strings.TrimSpace(verb))
}

// AtSwap are the statements that run in the swap by themselves.
func (p *Plan) AtSwap() []AtSwap {
	if p.Behind == nil {
		return nil
	}
	return p.Behind.AtSwap
}

// AtSwapTexts are the same, as SQL.
func (p *Plan) AtSwapTexts() (all []string) {
	for _, f := range p.Behind.Deferred {
		for _, s := range f.Statements {
			if s.Manner == syntax.Run {
				all = append(all, s.SQL)
			}
		}
	}
	return all
}

// BuiltVersion is the version whose structure the shadow has before the fence.
func (p *Plan) BuiltVersion() *int64 {
	if p.Behind != nil {
		return p.Behind.Built
	}
	return p.ToVersion
}

// Reversible reports whether changes after the swap are recorded for the way
// back: see [AfterFence] for tables that migrations behind the fence change.
func (p *Plan) Reversible() bool {
	return p.Settings.Watch.Enabled && (p.Behind == nil || p.Behind.Back)
}

// Made are relations of some kinds, as [catalog.Change] calls them, that the migrations make
// behind the fence, by the names that they have at last: as far as it was seen when they ran
// on the structure without rows.
func (p *Plan) Made(kinds ...string) []pg.Name {
	var all []string
	for _, f := range p.Changes {
		for _, c := range f.Changes {
			if !slices.Contains(kinds, c.Kind) {
				continue
			}
			all = slices.DeleteFunc(all, func(name string) bool { return name == c.Object || c.Act == catalog.Renamed && name == c.Was })
			if c.Act != catalog.Dropped {
				all = append(all, c.Object)
			}
		}
	}
	built := map[pg.Name]bool{}
	for _, n := range p.ShadowRelations() {
		built[p.FinalName(n)] = true
	}
	for _, v := range p.MaterializedViews() {
		built[p.FinalName(v.Shadow)] = true
	}
	var made []pg.Name
	for _, text := range all {
		if n, err := pg.ParseName(text); err == nil && !built[n] {
			made = append(made, n)
		}
	}
	return made
}

// Places are the statements of the files, in their order.
func (b *Behind) Places() (all []syntax.Place) {
	for _, f := range b.Files {
		for _, s := range f.Statements {
			all = append(all, syntax.Place{File: f.Name, SQL: s.SQL, Line: s.Line})
		}
	}
	return all
}

// NeverValid reports whether a foreign key, by its table's name after the swap,
// is NOT VALID in production and stays so.
func (p *Plan) NeverValid(table pg.Name, constraint string) bool {
	return slices.ContainsFunc(p.Entries, func(e Entry) bool {
		return e.Tag == "FK CONSTRAINT" && p.Final(e.Table) == table && ConstraintName(e) == constraint && strings.Contains(e.SQL, " NOT VALID")
	})
}

// Mentions reports whether a name stands in a statement as a word of its own.
// One that is a plain word is looked up: a long history has a thousand names and
// a megabyte of text.
func (b *Behind) Mentions(name string) bool { return mentions(&b.words, b.All(), name) }

// MayAlter is [Behind.Mentions] of statements that may change the structure: all but those
// that run in the swap by themselves.
func (b *Behind) MayAlter(name string) bool { return mentions(&b.altering, b.Files, name) }

func mentions(words *map[string]bool, files []BehindFile, name string) bool {
	if *words == nil {
		*words = map[string]bool{}
		for _, f := range files {
			for _, s := range f.Statements {
				for _, w := range plainWord.FindAllString(s.SQL, -1) {
					(*words)[strings.ToLower(w)] = true
				}
			}
		}
	}
	if asciiWord.MatchString(name) {
		return (*words)[strings.ToLower(name)]
	}
	word := regexp.MustCompile(`(?i)(^|[^\pL\pN_])` + regexp.QuoteMeta(name) + `($|[^\pL\pN_])`)
	return slices.ContainsFunc(files, func(f BehindFile) bool {
		return slices.ContainsFunc(f.Statements, func(s syntax.ScriptStatement) bool { return word.MatchString(s.SQL) })
	})
}

var (
	plainWord = regexp.MustCompile(`[\pL\pN_]+`)
	asciiWord = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
)
