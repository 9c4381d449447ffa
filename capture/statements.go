package capture

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// The ends of our function names: what each records.
const (
	fnInsert   = "insert"   // statement: rows of NEW
	fnUpdate   = "update"   // statement: rows of NEW, OLD where needed
	fnDelete   = "delete"   // statement: rows of OLD
	fnTruncate = "truncate" // statement
	fnGone     = "gone"     // row: OLD is gone, the key was changed or the row moved away
	fnCame     = "came"     // row: NEW is there, moved from another partition
	fnChanged  = "changed"  // row: both, for keyless partition trees
	fnMoves    = "moves"    // statement: from here on rows of the tree may move
	fnFreeze   = "freeze"   // refuses
)

// broken is the body of a function that records nothing any more; the
// fingerprint looks for its words.
const broken = "BEGIN RETURN NULL; END -- capture was broken off"

func (j Journal) function(what string) pg.Name {
	return own(fmt.Sprintf("%s_%d_%d_%s", j.Direction, j.Run, j.N, what))
}

// journalScript makes the two tables and their view.
func (t *target) journalScript() (string, error) {
	definition, err := t.journalColumns()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	tables := t.Tables()
	for _, name := range tables {
		// Nothing is ever deleted from a journal, so a vacuum of it only costs.
		fmt.Fprintf(&b, "CREATE TABLE %s (%s) WITH (autovacuum_vacuum_insert_threshold = -1);\n", name.Quoted(), definition)
		if t.Direction == ToOld { // never exchanged, so it may grow large
			b.WriteString(indexScript(name))
		}
	}
	columns := pg.Idents(t.Columns())
	fmt.Fprintf(&b, "CREATE VIEW %s AS SELECT %s FROM %s UNION ALL SELECT %s FROM %s;\n",
		t.Name().Quoted(), columns, tables[0].Quoted(), columns, tables[1].Quoted())
	return b.String(), nil
}

// indexScript indexes a journal's empty table by transaction, for readers that
// have applied most of it. A block range index: each entry pays for it, a B-tree
// costs thrice as much.
func indexScript(table pg.Name) string {
	return fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s ON %s USING brin ((xid::pg_catalog.text::pg_catalog.int8)) WITH (autosummarize = on);\n",
		pg.Ident(indexName(table).Name), table.Quoted())
}

func indexName(table pg.Name) pg.Name { return own(table.Name + "_xid") }

// journalColumns: no NOT NULL, which would be checked for every entry that
// functions of ours write.
func (t *target) journalColumns() (string, error) {
	lines := []string{
		"seq " + t.numbering().columnType + " DEFAULT " + t.numbering().next,
		"xid pg_catalog.xid8 DEFAULT pg_catalog.pg_current_xact_id()",
		`op "char"`,
		"member pg_catalog.oid",
	}
	add := func(names []string, as func(int) string) error {
		for i, name := range names {
			typ, err := t.typeOf(name)
			if err != nil {
				return err
			}
			lines = append(lines, as(i)+" "+typ)
		}
		return nil
	}
	if err := add(t.Keys, t.K); err != nil {
		return "", err
	}
	if err := add(t.Tracked, t.T); err != nil {
		return "", err
	}
	if t.HasImage() {
		lines = append(lines, "img "+t.rowType)
	}
	return strings.Join(lines, ", "), nil
}

// functionsScript makes or replaces the trigger functions, writing to one of
// the journal's two tables. Replacing takes no lock on any table: a statement
// under way ends with the body it began with.
func (t *target) functionsScript(active pg.Name) string {
	var b strings.Builder
	for _, what := range t.functions() {
		b.WriteString(functionText(t.function(what), t.body(what, active)))
	}
	return b.String()
}

// functionText fixes the search path, so that nothing a client sets reaches the
// body, and runs it with our rights, so that clients need none on our schema.
func functionText(name pg.Name, body string) string {
	return fmt.Sprintf("CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"+
		" SET search_path = pg_catalog, pg_temp AS %s;\nREVOKE ALL ON FUNCTION %s() FROM PUBLIC;\n",
		name.Quoted(), pg.Literal(body), name.Quoted())
}

// functions that the table needs, by the ends of their names.
func (t *target) functions() []string {
	switch {
	case t.frozen:
		return []string{fnFreeze}
	case t.byRow():
		return []string{fnCame, fnGone, fnChanged, fnTruncate}
	}
	all := []string{fnInsert, fnUpdate, fnDelete, fnTruncate}
	if t.Record != plans.RecordImage {
		all = append(all, fnGone)
	}
	if t.isTree() {
		all = append(all, fnMoves, fnCame)
	}
	return all
}

func (t *target) body(what string, active pg.Name) string {
	switch what {
	case fnFreeze:
		return t.freezeBody()
	case fnMoves:
		return fmt.Sprintf("BEGIN PERFORM pg_catalog.set_config(%s, '1', true); RETURN NULL; END", pg.Literal(t.movesSetting()))
	}
	var entries []string
	switch what {
	case fnInsert:
		entries = []string{t.fromTable(OpInsert, "pgumbra_new", active)}
	case fnUpdate:
		entries = t.updateEntries(active)
	case fnDelete:
		entries = []string{t.fromTable(OpDelete, "pgumbra_old", active)}
	case fnTruncate:
		entries = []string{t.truncateEntry(active)}
	case fnGone:
		entries = []string{t.fromRow(OpDelete, "OLD", active)}
	case fnCame:
		entries = []string{t.fromRow(OpInsert, "NEW", active)}
	case fnChanged:
		entries = []string{t.fromRow(OpDelete, "OLD", active), t.fromRow(OpInsert, "NEW", active)}
	}
	text := "BEGIN " + t.limit() + strings.Join(entries, "; ") + "; RETURN NULL; END"
	if strings.Contains(text, "own.xid") {
		text = t.declarations() + text
	}
	return text
}

// declarations of a body. Its variables go by the block's label, so that they
// are never taken for columns of the same name.
func (t *target) declarations() string {
	return "<<own>> DECLARE xid pg_catalog.xid8 := pg_catalog.pg_current_xact_id(); seq " + t.numbering().columnType + "; entries bigint; "
}

func (t *target) updateEntries(active pg.Name) []string {
	if t.Record == plans.RecordImage {
		return []string{t.fromTable(OpDelete, "pgumbra_old", active), t.fromTable(OpInsert, "pgumbra_new", active)}
	}
	entries := []string{t.fromTable(OpUpdate, "pgumbra_new", active)}
	if len(t.Tracked) > 0 {
		entries = append(entries, t.fromTable(OpOld, "pgumbra_old", active))
	}
	return entries
}

// imagesAtOnce is how many rows of one statement are journalled with their
// image. Of the others only the key is, and they share one number: that halves
// what a bulk UPDATE pays, and replay reads them from production.
const imagesAtOnce = 1000

// fromTable records the rows of a transition table. The transaction's number is
// asked for once, not for each entry. Of a statement with very many rows the
// first thousand are recorded before what the others take is looked at.
func (t *target) fromTable(op, transition string, active pg.Name) string {
	into, values := t.entry(op, "n")
	from := transition + " AS n" + t.narrow(op)
	rest := fmt.Sprintf("INSERT INTO %s (xid, %s) SELECT own.xid, %s FROM %s", active.Quoted(), into, values, from)
	text := fmt.Sprintf("%s LIMIT %d; GET DIAGNOSTICS own.entries = ROW_COUNT; IF own.entries = %[2]d THEN IF %[3]s(%[4]s) THEN RETURN NULL; END IF; ",
		rest, imagesAtOnce, fullName(t.Run, t.Direction).Quoted(), t.bytesOf(op, transition))
	if t.rereadable(op) {
		text += t.takeNumber()
		rest = t.keysOnly(op, from, active)
	}
	text += fmt.Sprintf("%s OFFSET %d; END IF", rest, imagesAtOnce)
	return text + t.wide(op, transition, active)
}

// keysOnly records rows without an image, under one number.
func (t *target) keysOnly(op, from string, active pg.Name) string {
	into, values := t.keyEntry(op, "n")
	return fmt.Sprintf("INSERT INTO %s (seq, xid, %s) SELECT own.seq, own.xid, %s FROM %s", active.Quoted(), into, values, from)
}

// bytesOf is about what the entries of a transition table take: as many as there
// are, each as wide as the first ones.
func (t *target) bytesOf(op, transition string) string {
	columns := append(slices.Clone(t.Keys), t.Tracked...)
	if t.carriesImage(op) && !t.rereadable(op) {
		columns = t.Image
	}
	size := "64" // the header, the number, the transaction
	for _, c := range columns {
		size += " + coalesce(pg_catalog.pg_column_size(n." + pg.Ident(c) + "), 0)"
	}
	return fmt.Sprintf("((SELECT pg_catalog.count(*) FROM %[1]s) * (SELECT pg_catalog.avg(s.size) FROM (SELECT %[2]s AS size FROM %[1]s AS n LIMIT %[3]d) AS s))::bigint",
		transition, size, imagesAtOnce)
}

// rereadable reports whether an entry without an image and without a number of
// its own says enough: replay finds the row in production by the key. Children
// by INHERITS may have to find theirs in a parent's image, and a reverse journal
// says all by itself.
func (t *target) rereadable(op string) bool {
	return t.Direction == ToShadow && t.Kind != plans.Inherited && t.Record != plans.RecordImage && (op == OpInsert || op == OpUpdate)
}

func (t *target) fromRow(op, row string, active pg.Name) string {
	into, values := t.entry(op, row)
	text := fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", active.Quoted(), into, values)
	if !t.checksWidth(op) {
		return text
	}
	return fmt.Sprintf("IF %s THEN %s; ELSE %s; END IF", t.fits(row), text, t.withoutImage(op, row, active))
}

// entry pairs journal columns with their values of one row. The image is
// assigned field by field: that names no type (the type's schema is renamed in
// the swap) and does not depend on the column order of a partition.
func (t *target) entry(op, row string) (into, values string) {
	into, values = t.keyEntry(op, row)
	if t.carriesImage(op) {
		for _, c := range t.Image {
			into += ", img." + pg.Ident(c)
			values += ", " + row + "." + pg.Ident(c)
		}
	}
	return into, values
}

// keyEntry is an entry without an image.
func (t *target) keyEntry(op, row string) (into, values string) {
	into, values = "op", pg.Literal(op)
	for i, k := range t.Keys {
		into += ", " + t.K(i)
		values += ", " + row + "." + pg.Ident(k)
	}
	for i, c := range t.Tracked {
		into += ", " + t.T(i)
		values += ", " + row + "." + pg.Ident(c)
	}
	return into, values
}

func (t *target) carriesImage(op string) bool {
	return t.Record == plans.RecordImage || t.Record == plans.RecordRow && (op == OpInsert || op == OpUpdate)
}

func (t *target) truncateEntry(active pg.Name) string {
	if !t.isTree() {
		return fmt.Sprintf("INSERT INTO %s (op) VALUES ('t')", active.Quoted())
	}
	return fmt.Sprintf("INSERT INTO %s (op, member) VALUES ('t', CASE WHEN TG_RELID <> %d THEN TG_RELID END)", active.Quoted(), t.oid)
}

func (t *target) freezeBody() string {
	return fmt.Sprintf(`BEGIN
  RAISE EXCEPTION USING ERRCODE = '25006',
    MESSAGE = pg_catalog.format('table %%I.%%I is frozen while the upgrade %%s is under way', TG_TABLE_SCHEMA, TG_TABLE_NAME, %s),
    HINT = 'Write to it after the cutover, or after the upgrade was aborted.';
END`, pg.Literal(t.run))
}

// movesSetting is a setting that a transaction has at '1' from its first
// UPDATE or MERGE of the tree on, so that the triggers on rows that leave or
// enter a partition cost nothing in others.
func (t *target) movesSetting() string {
	return fmt.Sprintf("%s.moves_%s_%d_%d", control.Schema, t.Direction, t.Run, t.N)
}
