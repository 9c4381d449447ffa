package planfile

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// tableKeys are the keys of a table's rules.
var tableKeys = []string{"columns", "where", "record", "reverse", "from", "key", "skip", "freeze", "generate", "mask"}

// tableRules decodes tables from the nodes themselves, in their order.
func (d *document) tableRules() []TableRules {
	if d.tables == nil {
		return nil
	}
	var all []TableRules
	for _, p := range d.pairs(d.tables, "tables") {
		name, err := pg.ParseName(p.key)
		if err != nil {
			d.fail(p.line, "tables: "+err.Error(), "write schema.table; quote parts that hold dots: shop.\"a.b\"")
			continue
		}
		t := TableRules{Name: name, Line: p.line}
		for _, rule := range d.pairs(p.value, "tables."+p.key) {
			d.rule(&t, "tables."+p.key, rule)
		}
		d.checkRules(t)
		all = append(all, t)
	}
	return all
}

func (d *document) rule(t *TableRules, table string, p pair) {
	what := table + "." + p.key
	switch p.key {
	case "columns":
		t.Columns = d.expressions(what, p.value)
	case "reverse":
		d.reverse(t, what, p.value)
	case "generate":
		t.Generate = d.expressions(what, p.value)
	case "mask":
		t.Mask = d.expressions(what, p.value)
	case "where":
		t.Where = d.expression(what, p.value)
	case "from":
		t.From = d.expression(what, p.value)
	case "record":
		t.Record = d.record(what, p.value)
	case "key":
		t.Key = d.keyRules(what, p.value)
	case "skip":
		t.Skip = d.flag(what, p.value)
	case "freeze":
		t.Freeze = d.flag(what, p.value)
	default:
		d.fail(p.line, "unknown key "+what, Nearest(p.key, tableKeys))
	}
}

func (d *document) expression(what string, n *yaml.Node) Expression {
	sql, ok := d.text(what, n)
	if ok && sql == "" {
		d.fail(n.Line, what+" is empty", "write a SQL expression, or leave the key out")
	}
	return Expression{SQL: sql, Line: n.Line}
}

func (d *document) expressions(what string, n *yaml.Node) map[string]Expression {
	all := map[string]Expression{}
	for _, p := range d.pairs(n, what) {
		if isNull(p.value) {
			d.fail(p.line, what+"."+p.key+" has no value", "write NULL in quotes if you mean SQL's: 'NULL'")
			continue
		}
		e := d.expression(what+"."+p.key, p.value)
		all[p.key] = Expression{SQL: e.SQL, Line: p.line}
	}
	return all
}

// reverse is an expression for each column, or a query over several tables with the key
// columns through which their changes reach a row. A column may be called from or key:
// its expression is no mapping.
func (d *document) reverse(t *TableRules, what string, n *yaml.Node) {
	pairs := d.pairs(n, what)
	query := slices.ContainsFunc(pairs, func(p pair) bool { return p.key == "key" && p.value.Kind == yaml.MappingNode })
	if !query {
		t.Reverse = d.expressions(what, n)
		return
	}
	for _, p := range pairs {
		switch p.key {
		case "from":
			t.ReverseFrom = d.expression(what+".from", p.value)
		case "key":
			t.ReverseKey = d.keyRules(what+".key", p.value)
		default:
			d.fail(p.line, what+": "+p.key+" stands beside a query", "write the column into the query of from:, or leave the query out")
		}
	}
	if t.ReverseFrom.SQL == "" {
		d.fail(n.Line, what+" has key: but no from:", "write from: SELECT …, a query over the upgraded tables that gives the old table's columns")
	}
}

func (d *document) record(what string, n *yaml.Node) plans.Record {
	value, ok := d.text(what, n)
	if !ok {
		return ""
	}
	values := []string{string(plans.RecordRow), string(plans.RecordKey)}
	if !slices.Contains(values, value) {
		d.fail(n.Line, fmt.Sprintf("%s: %q is neither row nor key", what, n.Value), Nearest(value, values))
	}
	return plans.Record(value)
}

func (d *document) flag(what string, n *yaml.Node) bool {
	value, ok := d.text(what, n)
	if !ok {
		return false
	}
	b, err := parseBool(value)
	if err != nil {
		d.fail(n.Line, fmt.Sprintf("%s: %q %s", what, n.Value, err), "")
	}
	return b
}

// keyRules reads {source table: {its column: the derived table's column}}.
func (d *document) keyRules(what string, n *yaml.Node) []KeyRule {
	var all []KeyRule
	for _, p := range d.pairs(n, what) {
		source, err := pg.ParseName(p.key)
		if err != nil {
			d.fail(p.line, what+": "+err.Error(), "write key: {schema.table: {its column: column of the derived table}}")
			continue
		}
		rule := KeyRule{Source: source, Line: p.line}
		for _, c := range d.pairs(p.value, what+"."+p.key) {
			if shadow, ok := d.text(what+"."+p.key+"."+c.key, c.value); ok {
				rule.Pairs = append(rule.Pairs, plans.WatchPair{Column: c.key, Shadow: shadow})
			}
		}
		if len(rule.Pairs) == 0 {
			d.fail(p.line, what+"."+p.key+" names no columns", "write {its column: column of the derived table}")
		}
		all = append(all, rule)
	}
	return all
}

// checkRules finds rules that contradict each other.
func (d *document) checkRules(t TableRules) {
	what := "tables." + t.Name.String()
	derived, shaped := t.From.SQL != "", len(t.Columns) > 0 || t.Where.SQL != ""
	switch {
	case derived && len(t.Key) == 0:
		d.fail(t.Line, what+" has from: but no key:", "say through which columns a change of each source reaches it: key: {schema.source: {column: column}}")
	case !derived && len(t.Key) > 0:
		d.fail(t.Line, what+" has key: but no from:", "key: is for tables derived by a query")
	case derived && shaped:
		d.fail(t.Line, what+" has from: and columns: or where: too", "write them into the query of from:")
	case t.Skip && (derived || shaped || t.Freeze || t.Record != "" || len(t.Reverse) > 0 || t.ReverseFrom.SQL != ""):
		d.fail(t.Line, what+" is skipped and has other rules too", "leave out skip: or the others")
	}
}

// check looks at what no single value shows.
func (l *loader) check() {
	f, d := l.file, l.doc
	if len(f.Production.Schemas) == 0 {
		d.fail(d.lines["production.schemas"], "production.schemas names no schema", "write for instance: schemas: [public]")
	}
	seen := map[string]bool{}
	for _, s := range f.Production.Schemas {
		if s == "" || seen[s] {
			d.fail(d.lines["production.schemas"], fmt.Sprintf("production.schemas: %q is empty or stands there twice", s), "")
		}
		seen[s] = true
	}
	if f.Migrations.Path == "" && f.Shadow.DSN == "" {
		d.fail(d.lines["migrations"], "migrations.path is missing", "name the folder of golang-migrate's files; without migrations only a move to another server (shadow.dsn) makes sense")
	}
	if v, from := f.Migrations.Version, f.Migrations.From; v != nil && from != nil && *v < *from {
		d.fail(d.lines["migrations.version"], fmt.Sprintf("migrations.version %d is before migrations.from %d", *v, *from), "an upgrade only goes forward")
	}
	if l.leads() && f.Shadow.DSN == "" {
		d.fail(d.lines["traffic"], "traffic is for a shadow in another database, and shadow.dsn is empty", "leave traffic out: in one database clients stay where they are")
	}
	l.checkBudget()
}

func (l *loader) leads() bool {
	return len(l.file.Traffic.PgBouncer) > 0 || len(l.file.Traffic.Command) > 0
}

// checkBudget: waiting for the locks is part of the stall, so the default
// budget gives way to a shorter stall; one that was written does not.
func (l *loader) checkBudget() {
	c := &l.file.Cutover
	if c.MaxStall == 0 || c.LockTimeout <= c.MaxStall {
		return
	}
	if c.LockTimeout == plans.DefaultSettings().Cutover.LockTimeout {
		c.LockTimeout = c.MaxStall
		return
	}
	l.doc.fail(l.doc.lines["cutover.lock_timeout"],
		fmt.Sprintf("cutover.lock_timeout %s is longer than cutover.max_stall %s", c.LockTimeout, c.MaxStall),
		"waiting for the locks is part of the stall")
}
