package planner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

const (
	codeClientBreaks = "client-breaks"
	codeResultType   = "result-type-changes"

	goneFix    = "deploy an application that no longer names it before the cutover: docs/application.md has the order"
	renamedFix = "an application that knows one name only fails on one side of the cutover: add the new name in this upgrade and drop the old one in a later one, or deploy at the cutover: docs/application.md"
)

// clientBreaks is what statements that work today meet after the cutover. It
// looks at names, as clients do: what was dropped and made again is there.
func clientBreaks(after *catalog.Catalog, changes []catalog.Change) []plans.Finding {
	there := map[string]bool{}
	for _, t := range after.Tables {
		there[t.Name.String()] = true
		for _, c := range t.Columns {
			there[t.Name.String()+"."+c.Name] = true
		}
	}
	for _, f := range after.Functions {
		there[f.Name.String()+f.Arguments] = true
	}
	var all []plans.Finding
	for _, c := range changes {
		level, object, message, fix := clientBreak(c, there)
		if message != "" {
			all = append(all, plans.Finding{Level: level, Code: codeClientBreaks, Object: object, Message: message, Fix: fix})
		}
	}
	return all
}

// viewBreaks is what statements on a view of before meet: columns that the one of its name
// does not have, or has of another type. Tables' own columns are among the changes.
func viewBreaks(before, after *catalog.Catalog, schemas []string) []plans.Finding {
	var all []plans.Finding
	for _, was := range before.Tables {
		is := after.ByName(was.Name)
		if is == nil || !was.IsView() || !slices.Contains(schemas, was.Name.Schema) {
			continue
		}
		for _, c := range was.Columns {
			object := was.Name.String() + "." + c.Name
			switch now, there := is.ColumnNamed(c.Name); {
			case !there:
				all = append(all, plans.Finding{Level: plans.Warning, Code: codeClientBreaks, Object: object,
					Message: "the column of the view is gone after the cutover: statements that name it fail", Fix: goneFix})
			case now.Type != c.Type:
				all = append(all, resultTypeChanges(object, c.Type, now.Type))
			}
		}
	}
	return all
}

// resultTypeChanges: a statement that was prepared before would return another type.
func resultTypeChanges(column, was, is string) plans.Finding {
	change := fmt.Sprintf("the type changes from %s to %s", was, is)
	if is == was {
		change = fmt.Sprintf("the type %s becomes another one of that name", was)
	}
	return plans.Finding{Level: plans.Warning, Code: codeResultType, Object: column,
		Message: change + ": a prepared statement that selects the column, or compares it with a parameter, fails until its session prepares it again, " +
			"which many drivers do after the first error",
		Fix: "have clients prepare again, or set cutover.recycle_sessions: idle"}
}

// clientBreak: message is empty where clients notice nothing.
func clientBreak(c catalog.Change, there map[string]bool) (level plans.Level, object, message, fix string) {
	switch {
	case c.Act == catalog.Dropped:
		return droppedBreak(c, there)
	case c.Act == catalog.Renamed:
		return renamedBreak(c, there)
	case c.Kind == "column" && givesNoValue(c):
		return plans.Warning, c.Object, "an INSERT that gives this column no value, and an UPDATE that empties it, fail from the cutover on",
			"give the column a default in the migration, and take it away in a later upgrade, once every application writes it: docs/application.md"
	case c.Act == catalog.Added && restricts[c.Kind] && c.Table != "":
		return plans.Info, c.Object, fmt.Sprintf("new %s: rows that break it are refused from the cutover on", c.Kind), ""
	}
	return "", "", "", ""
}

var restricts = map[string]bool{"check": true, "foreign key": true, "unique constraint": true, "unique index": true, "exclusion constraint": true, "primary key": true}

// givesNoValue: a column that has to be given. New ones with a default, and those
// that fill themselves, need not.
func givesNoValue(c catalog.Change) bool {
	if c.Act == catalog.Altered {
		return c.Is == "NOT NULL"
	}
	return c.Act == catalog.Added && strings.HasSuffix(c.Is, " NOT NULL")
}

func droppedBreak(c catalog.Change, there map[string]bool) (plans.Level, string, string, string) {
	if there[c.Object] {
		return "", "", "", ""
	}
	switch c.Kind {
	case "table", "view", "materialized view", "foreign table", "partition", "function", "procedure", "column", "enum label":
		return plans.Warning, c.Object, fmt.Sprintf("the %s is gone after the cutover: statements that name it fail", c.Kind), goneFix
	}
	return "", "", "", ""
}

func renamedBreak(c catalog.Change, there map[string]bool) (plans.Level, string, string, string) {
	if there[c.Was] {
		return "", "", "", ""
	}
	switch c.Kind {
	case "table", "view", "materialized view", "foreign table", "partition", "function", "procedure", "column", "enum label":
		return plans.Warning, c.Was, fmt.Sprintf("the %s is called %s after the cutover: statements with the old name fail", c.Kind, c.Object), renamedFix
	}
	return "", "", "", ""
}

// lastWords of a name, for the statement that speaks of it: table and column, or
// the name without its schema and arguments.
func lastWords(object string) []string {
	name, _, _ := strings.Cut(object, "(")
	parts := strings.Split(name, ".")
	if len(parts) > 1 {
		parts = parts[1:]
	}
	for i := range parts {
		parts[i] = strings.Trim(parts[i], `"`)
	}
	return parts
}
