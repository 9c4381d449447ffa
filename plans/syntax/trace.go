package syntax

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
)

//go:embed trace.sql
var traceSetup string

// TraceSetup is SQL (several statements) that makes [TraceSchema] in scratch
// and records the structure as it is: to be run when production's structure
// stands there, before the migrations. Run again it changes nothing.
func TraceSetup() string { return strings.Replace(traceSetup, "{settings}", array(Settings), 1) }

// Settings of a session decide what texts and values of a type mean to each other.
var Settings = []string{"DateStyle", "IntervalStyle", "TimeZone", "timezone_abbreviations", "extra_float_digits", "bytea_output", "xmlbinary", "xmloption",
	"lc_monetary", "lc_numeric", "lc_time", "array_nulls", "default_text_search_config", "backslash_quote", "transform_null_equals", "standard_conforming_strings"}

// Mark is what names meant at one moment of the migrations.
type Mark struct {
	Fact  int
	Phase string // start, before, after, end
	What  Seen
}

// Seen is a mark's content, as trace.sql writes it.
type Seen struct {
	Tables       map[string]uint32     `json:"tables"` // by the name asked for
	Types        map[string]Type       `json:"types"`
	Functions    map[string][]Function `json:"functions"`
	Relations    []Relation            `json:"relations"`
	Written      []uint32              `json:"written"`
	Read         []uint32              `json:"read"`
	Settings     map[string]string     `json:"settings"`
	Replica      bool                  `json:"replica"` // session_replication_role
	AllFunctions []Function            `json:"all_functions"`
	AllTypes     []Type                `json:"all_types"`
}

// Type is a type as a column or an expression uses it.
type Type struct {
	OID  uint32 `json:"oid"`
	Elem uint32 `json:"elem"` // of an array
	Name string `json:"name"` // format_type, qualified; of a column with its modifier
	User bool   `json:"user"` // not the system's; of an array: its elements
	// Labels of an enum, at that moment; of an array: its elements'.
	Labels []string `json:"labels"`
}

// Base is the type's oid, of an array its elements'.
func (t Type) Base() uint32 {
	if t.Elem != 0 {
		return t.Elem
	}
	return t.OID
}

// Function as a call may mean it; the fields are those of pg_proc.
type Function struct {
	OID        uint32 `json:"oid"`
	Schema     string `json:"schema"`
	Name       string `json:"name"`
	Language   string `json:"language"`
	Kind       string `json:"kind"` // pg_proc.prokind
	Set        bool   `json:"set"`
	Volatile   bool   `json:"volatile"`
	Stable     bool   `json:"stable"`
	Args       int    `json:"args"`
	Defaults   int    `json:"defaults"`
	Variadic   bool   `json:"variadic"`
	Extension  bool   `json:"extension"`
	Source     string `json:"source"`
	Definition string `json:"definition"`
}

// Own reports whether the user wrote it, so that its body counts.
func (f Function) Own() bool {
	return f.Schema != "pg_catalog" && !f.Extension && f.Language != "c" && f.Language != "internal"
}

// Takes reports whether it can be called with n arguments.
func (f Function) Takes(n int) bool {
	return n >= f.Args-f.Defaults && (n <= f.Args || f.Variadic) || f.Variadic && n >= f.Args-1
}

// Column of a table at the moment of a mark.
type Column struct {
	Num           int16   `json:"num"`
	Name          string  `json:"name"`
	Type          Type    `json:"type"`
	Default       string  `json:"default"`
	DomainDefault string  `json:"domain_default"`
	Missing       *string `json:"missing"` // what ADD COLUMN gave existing rows
	Identity      string  `json:"identity"`
	Generated     string  `json:"generated"`
}

// Trigger of a table at that moment, none of a foreign key.
type Trigger struct {
	Name     string   `json:"name"`
	Type     int      `json:"type"` // pg_trigger.tgtype
	Enabled  string   `json:"enabled"`
	Columns  []int16  `json:"columns"` // UPDATE OF
	When     bool     `json:"when"`    // it has a condition
	Function Function `json:"function"`
}

// Reference is a foreign key that leads to a table, by the table that holds it.
type Reference struct {
	Name       string  `json:"name"`
	Table      uint32  `json:"table"`
	Columns    []int16 `json:"columns"`
	RefColumns []int16 `json:"ref_columns"`
	OnDelete   string  `json:"on_delete"`
	OnUpdate   string  `json:"on_update"`
	Partly     bool    `json:"partly"` // ON DELETE SET NULL names columns (15+)
	Off        bool    `json:"off"`    // its triggers are disabled
}

// Relation is a table at the moment of a mark.
type Relation struct {
	OID        uint32      `json:"oid"`
	Schema     string      `json:"schema"`
	Name       string      `json:"name"`
	Kind       string      `json:"kind"`
	Partition  bool        `json:"partition"`
	Empty      bool        `json:"empty"` // never held a row; of a partition tree's root false
	Parents    []uint32    `json:"parents"`
	Rules      bool        `json:"rules"`
	Columns    []Column    `json:"columns"`
	Triggers   []Trigger   `json:"triggers"`
	References []Reference `json:"references"`
}

// Column finds a column by its name; nil: there is none.
func (r *Relation) Column(name string) *Column {
	for i := range r.Columns {
		if r.Columns[i].Name == name {
			return &r.Columns[i]
		}
	}
	return nil
}

// ColumnNum finds a column by its number; nil: there is none.
func (r *Relation) ColumnNum(num int16) *Column {
	for i := range r.Columns {
		if r.Columns[i].Num == num {
			return &r.Columns[i]
		}
	}
	return nil
}

// Relation finds a table in the mark; nil: not there.
func (s *Seen) Relation(oid uint32) *Relation {
	for i := range s.Relations {
		if s.Relations[i].OID == oid {
			return &s.Relations[i]
		}
	}
	return nil
}

// ReadMarks reads what was recorded, in order, and how things stand now, after
// the migrations. It reads only.
func ReadMarks(ctx context.Context, db pg.Querier) ([]Mark, error) {
	rows, err := db.Query(ctx, `
		SELECT fact, phase, what FROM (
			SELECT seq, fact, phase, what::text FROM pgumbra_trace.seen
			UNION ALL
			SELECT 9223372036854775807, 0, 'end', pgumbra_trace.everything()::text
		) AS m (seq, fact, phase, what) ORDER BY seq`)
	if err != nil {
		return nil, fmt.Errorf("read the migrations' trace: %w", err)
	}
	defer rows.Close()
	var marks []Mark
	for rows.Next() {
		var m Mark
		var what string
		if err := rows.Scan(&m.Fact, &m.Phase, &what); err != nil {
			return nil, fmt.Errorf("read the migrations' trace: %w", err)
		}
		if err := json.Unmarshal([]byte(what), &m.What); err != nil {
			return nil, fmt.Errorf("read the migrations' trace: %w", err)
		}
		marks = append(marks, m)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the migrations' trace: %w", err)
	}
	return marks, nil
}

// markCall is the statement that records a mark. It never spans lines.
func markCall(f Fact, phase string) string {
	switch {
	case phase == "after" && f.Kind == Opaque:
		phase = "after+"
	case f.Kind == Delete:
		phase += "*"
	}
	return fmt.Sprintf("SELECT %s.mark(%d, %s, %s, %s, %s)", TraceSchema, f.ID, Literal(phase),
		array(f.Names.Tables), array(f.Names.Functions), array(f.Names.Types))
}

func array(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = Literal(n)
	}
	return "ARRAY[" + strings.Join(quoted, ", ") + "]::pg_catalog.text[]"
}

// Literal is a text as SQL on one line, so that the lines of what stands behind it stay.
func Literal(s string) string {
	if !strings.ContainsAny(s, "\n\r") {
		return pg.Literal(s)
	}
	quoted := strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "'", "''")
	return "E'" + strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(quoted) + "'"
}
