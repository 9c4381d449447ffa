// Package planfile reads the plan file: YAML, laid over by the environment and by
// flags, with the line of each key for messages; and writes one to begin with, from
// a look at production ([Init]).
package planfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/viper"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// File is the plan file as its writer left it, with flags and environment laid
// over it, variables expanded and relative paths resolved. It says what a human
// decided; what was inferred is in [plans.Plan].
type File struct {
	Path string // of the file itself, as given to Load

	Name       string
	Production ProductionFile
	Shadow     DatabaseFile // DSN empty: production's own database
	Scratch    ScratchFile
	Migrations MigrationsFile
	// Build is auto, direct or behind_fence; empty: direct.
	Build plans.Build
	// Tables in the order of the file.
	Tables []TableRules
	plans.Settings
	Traffic  TrafficFile
	Rehearse RehearseFile
	Hooks    map[string][]string // commands by event, see [HookEvents]

	// Members has a file for each database of a group, and names none itself; nil: this
	// is the file of one database.
	Members []*File
	// Member is the database's name in its group, Group all names of it, in their order;
	// empty: it is in none.
	Member string
	Group  []string

	lines map[string]int    // key path to line, for messages
	over  map[string]string // key path to the flag or variable that said otherwise
}

// ProductionFile names the database and the schemas in it that move together.
type ProductionFile struct {
	DSN     string // empty: PG* variables and libpq's defaults
	Schemas []string
}

// DatabaseFile is a connection that may be left out.
type DatabaseFile struct {
	DSN string
}

// ScratchFile says where the throw-away databases are made, and how many rows of
// production's are tried there.
type ScratchFile struct {
	DSN  string // empty: production's server
	Rows int    // of each table, about; 0: none
}

// MigrationsFile says where golang-migrate's files are and which of them to run.
type MigrationsFile struct {
	Path    string // absolute or relative to the working directory; empty: no migrations
	Table   string // golang-migrate's version table; empty: its default
	Version *int64 // nil: the newest
	From    *int64 // nil: read the version table
	// MultiStatement: each statement by itself, as golang-migrate does with
	// x-multi-statement=true: split at every semicolon, quoted or not.
	MultiStatement bool
	// BehindFenceFrom is the first version that runs behind the fence; nil: as
	// Build says.
	BehindFenceFrom *int64
}

// TableRules is what the plan file says about one table.
type TableRules struct {
	Name pg.Name // as in production; of derived tables as after the swap
	Line int

	Columns map[string]Expression // by column of the shadow
	Where   Expression            // zero: all rows
	Record  plans.Record          // empty: row, or what is inferred
	Reverse map[string]Expression // by column of production
	// ReverseFrom is a query over the upgraded tables by which rows come back, and
	// ReverseKey how changes of these reach them. Zero: none.
	ReverseFrom Expression
	ReverseKey  []KeyRule
	From        Expression // zero: not derived
	Key         []KeyRule  // of a derived table
	Skip        bool
	Freeze      bool
	// Generate and Mask are for rehearsals, by column of production: how values are
	// made where none are taken, n being the row's number; and what stands for a
	// production row's value where some are.
	Generate map[string]Expression
	Mask     map[string]Expression
}

// Expression is SQL text of the user's and the line it stands on.
type Expression struct {
	SQL  string
	Line int
}

// KeyRule says that a change of Source reaches those rows of a derived table
// whose columns equal the source's.
type KeyRule struct {
	Source pg.Name
	Pairs  []plans.WatchPair
	Line   int
}

// TrafficFile is how clients are led to another server.
type TrafficFile struct {
	PgBouncer []PgBouncerFile
	Command   []string
}

// RehearseFile says what a rehearsal works on.
type RehearseFile struct {
	Rows    int64  // generated for each table, about, or taken of production's
	Clients int    // that use the database meanwhile
	Setup   string // SQL file run first: roles, settings, extensions; empty: none
}

// PgBouncerFile is one PgBouncer that serves the database.
type PgBouncerFile struct {
	AdminDSN string
	Database string // the pool's entry
	Config   string // pgbouncer.ini
	Target   string // host=… port=… dbname=… as PgBouncer reaches the shadow; empty: as shadow.dsn
}

// Load reads a plan file. Overrides (flags, by dotted key: production.dsn) win
// over the environment (PGUMBRA_PRODUCTION_DSN), which wins over the file. Each
// mistake is a [*plans.FileError]; several come joined, in the order of the file.
func Load(path string, overrides map[string]any) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	return parseFile(path, text, overrides)
}

func unreadable(path string, err error) error {
	cause := err
	var p *os.PathError
	if errors.As(err, &p) {
		cause = p.Err
	}
	return &plans.FileError{File: path, Message: "read the plan file: " + cause.Error(),
		Fix: "name it by --plan, or write one with: pgumbra init"}
}

func parseFile(path string, text []byte, overrides map[string]any) (*File, error) {
	doc := newDocument(path)
	root, err := doc.root(text)
	if err != nil {
		return nil, err
	}
	if list := databases(root); list != nil {
		return loadGroup(path, root, list, overrides)
	}
	doc.section(root, "")
	file := load(doc, overrides)
	if err := doc.failure(); err != nil {
		return nil, err
	}
	return file, nil
}

// load makes a file of what a document says of one database, whose failures say whether
// it counts.
func load(doc *document, overrides map[string]any) *File {
	l := &loader{doc: doc, overrides: overrides, file: &File{Path: doc.path, lines: doc.lines}}
	l.layer()
	l.applyKeys()
	l.applyLists()
	l.applyPgBouncers()
	l.file.Tables = doc.tableRules()
	l.check()
	l.resolvePaths()
	return l.file
}

// Line is the line of a dotted key in the file, 0 where it is not written.
func (f *File) Line(key string) int { return f.lines[key] }

// Where is file:line of a dotted key for findings; the file alone where the
// key is not written; the flag or the variable where that says the value.
func (f *File) Where(key string) string {
	if over := f.over[key]; over != "" {
		return over
	}
	return where(f.Path, f.lines[key])
}

// WhereLine is file:line for findings about a table's rules.
func (f *File) WhereLine(line int) string { return where(f.Path, line) }

func where(path string, line int) string {
	if line == 0 {
		return filepath.Base(path)
	}
	return fmt.Sprintf("%s:%d", filepath.Base(path), line)
}

// Table finds the rules of a table.
func (f *File) Table(n pg.Name) (TableRules, bool) {
	for _, t := range f.Tables {
		if t.Name == n {
			return t, true
		}
	}
	return TableRules{}, false
}

// loader lays flags over environment over file.
type loader struct {
	doc       *document
	overrides map[string]any
	viper     *viper.Viper
	file      *File
}

// layer gives viper everything outside tables, as text: what a value means is
// decided once, by its key, wherever it came from.
func (l *loader) layer() {
	v := viper.New()
	v.SetEnvPrefix("PGUMBRA")
	v.SetEnvKeyReplacer(strings.NewReplacer(".", "_"))
	for _, k := range keys {
		v.SetDefault(k.path, k.standard)
		_ = v.BindEnv(k.path) // fails only without a key
	}
	_ = v.MergeConfigMap(l.doc.settings()) // fails never: a map of maps and text
	for path, value := range l.overrides {
		if value == nil {
			continue
		}
		if !known(path) {
			l.doc.noteOf(0, "--set "+path+": there is no such key", Nearest(path, allPaths()))
			continue
		}
		v.Set(path, value)
	}
	l.viper = v
	l.origins()
}

// origins notes what did not come from the file.
func (l *loader) origins() {
	l.file.over = map[string]string{}
	for _, k := range keys {
		if os.Getenv(Env(k.path)) != "" {
			l.file.over[k.path] = Env(k.path)
		}
	}
	for path, value := range l.overrides {
		if value != nil && known(path) {
			l.file.over[path] = "--set " + path
		}
	}
}

func (l *loader) applyKeys() {
	for _, k := range keys {
		text := fmt.Sprint(l.viper.Get(k.path))
		if err := k.set(l.file, text); err != nil {
			l.complain(k, err)
		}
	}
}

// complain names where a bad value came from: a flag, a variable, or a line.
// Values from the file are shown as they are written, before ${…} was expanded.
func (l *loader) complain(k key, err error) {
	var bad *valueError
	if !errors.As(err, &bad) {
		bad = &valueError{message: err.Error()}
	}
	name, shown, line := k.path, l.doc.written[k.path], l.doc.lines[k.path]
	fail := l.doc.fail
	if _, flag := l.overrides[k.path]; flag {
		name, shown, line, fail = "--set "+k.path, fmt.Sprint(l.overrides[k.path]), 0, l.doc.noteOf
	} else if value, ok := os.LookupEnv(Env(k.path)); ok && value != "" {
		name, shown, line, fail = Env(k.path), value, 0, l.doc.note
	}
	message := name + ": " + bad.message
	if shown != "" && !k.secret {
		message = fmt.Sprintf("%s: %q %s", name, shown, bad.message)
	}
	fail(line, message, bad.fix)
}

func (l *loader) applyLists() {
	l.file.Production.Schemas = l.list("production.schemas")
	l.file.Settings.Trust = l.list("production.trust")
	l.file.Traffic.Command = l.list("traffic.command")
	for _, event := range HookEvents {
		if argv := l.list("hooks." + event); len(argv) > 0 {
			if l.file.Hooks == nil {
				l.file.Hooks = map[string][]string{}
			}
			l.file.Hooks[event] = argv
		}
	}
}

func (l *loader) list(path string) []string {
	if value, ok := l.overrides[path]; ok {
		if list, ok := value.([]string); ok {
			return list
		}
		return []string{fmt.Sprint(value)}
	}
	return l.doc.lists[path]
}

// applyPgBouncers takes a list of several from the file as it is; a single one
// comes through viper, so that environment and flags reach it.
func (l *loader) applyPgBouncers() {
	several := l.doc.pgBouncers
	if len(several) < 2 {
		if one := l.file.Traffic.PgBouncer; len(one) == 1 && one[0] == (PgBouncerFile{}) {
			l.file.Traffic.PgBouncer = nil
		}
		return
	}
	for _, k := range keys {
		if strings.HasPrefix(k.path, bouncerPrefix) && os.Getenv(Env(k.path)) != "" {
			l.doc.fail(l.doc.lines["traffic.pgbouncer"], Env(k.path)+" is set, but the file lists several pgbouncers",
				"unset it and write the values in the list")
		}
	}
	l.file.Traffic.PgBouncer = several
}

func (l *loader) resolvePaths() {
	f, base := l.file, filepath.Dir(l.file.Path)
	f.Migrations.Path = from(base, f.Migrations.Path)
	f.Rehearse.Setup = from(base, f.Rehearse.Setup)
	for i := range f.Traffic.PgBouncer {
		f.Traffic.PgBouncer[i].Config = from(base, f.Traffic.PgBouncer[i].Config)
	}
	if c := f.Traffic.Command; len(c) > 0 && (strings.HasPrefix(c[0], "./") || strings.HasPrefix(c[0], "../")) {
		c[0] = from(base, c[0])
	}
}

func from(base, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(base, path)
}
