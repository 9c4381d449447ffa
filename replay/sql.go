package replay

import (
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// statement is SQL text with its parameters, and what it does, for errors.
type statement struct {
	what string
	sql  string
	args []any
}

// scope says which unread journal rows statements take, and how.
type scope struct {
	position string // $1: the snapshot that the table equals
	pieces   int64  // take only keys whose hash leaves piece when divided by it; 0: all
	piece    int64
	// reread every key from production: images may be older than a TRUNCATE.
	reread bool
	// everyKey: also those that the shadow's columns cannot hold.
	everyKey bool
	// inline: values stand in the text, since COPY takes no parameters.
	inline bool
}

func (s scope) inlined() scope {
	s.inline = true
	return s
}

// on is the scope as statements on the shadow take it: those that read what was
// staged have no parameters.
func (s scope) on(e ends) scope {
	s.inline = e.remote()
	return s
}

func (s scope) args() []any {
	if s.inline {
		return nil
	}
	if s.pieces > 1 {
		return []any{s.position, s.pieces, s.piece}
	}
	return []any{s.position}
}

// value is the i-th of args as it stands in the text.
func (s scope) value(i int) string {
	if !s.inline {
		return fmt.Sprintf("$%d", i)
	}
	return pg.Literal(fmt.Sprint(scope{position: s.position, pieces: s.pieces, piece: s.piece}.args()[i-1]))
}

// unread is the condition that a journal row is news to a table at the scope's
// position.
func unread(alias string, s scope) string {
	return unreadAt(alias, s.value(1)+"::pg_catalog.pg_snapshot")
}

// unreadAt is the same for a position given as an expression.
func unreadAt(alias, position string) string { return capture.UnreadOf(alias, position) }

// collate names the collation of an expression; collation "": its type has none.
func collate(expr, collation string) string {
	if collation == "" {
		return expr
	}
	return expr + " COLLATE " + collation
}

// onlyOf: rows of a partition tree are reached through its root; elsewhere
// children by INHERITS are tables of their own.
func onlyOf(kind plans.Kind, table pg.Name) string {
	if kind == plans.Partitioned {
		return table.Quoted()
	}
	return "ONLY " + table.Quoted()
}

// Texts of the user's end with a line break: they may end in a comment.

func (f *applier) production() string { return onlyOf(f.src.Kind, f.src.Name) }
func (f *applier) shadow() string     { return onlyOf(f.t.Kind, f.t.Shadow) }
func (f *applier) alias() string      { return pg.Ident(f.base()) }

// and adds the table's filter to a condition.
func (f *applier) and(condition string) string {
	if f.t.Where == "" {
		return condition
	}
	if condition == "" {
		return "(" + f.t.Where + "\n)"
	}
	return condition + " AND (" + f.t.Where + "\n)"
}

func where(condition string) string {
	if condition == "" {
		return ""
	}
	return " WHERE " + condition
}

func list(n int, item func(i int) string) string { return joined(n, ", ", item) }
func both(n int, item func(i int) string) string { return joined(n, " AND ", item) }

// named is a key as people read it: id=7, line=2.
func named(n int, name, value func(i int) string) string {
	return fmt.Sprintf("pg_catalog.concat_ws(', ', %s)", list(n, func(i int) string { return pg.Literal(name(i)+"=") + " || " + value(i) + "::text" }))
}

func joined(n int, sep string, item func(i int) string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = item(i)
	}
	return strings.Join(parts, sep)
}

// k is the i-th key column in row sets of ours.
func (f *applier) k(i int) string { return fmt.Sprintf("%s_k%d", f.own, i) }

// v is the i-th volatile column in row sets of ours.
func (f *applier) v(i int) string { return fmt.Sprintf("%s_v%d", f.own, i) }

// entryKey is the i-th key column of a journal row j.
func (f *applier) entryKey(i int) string {
	return collate("j."+f.journal.K(i), f.src.Key[i].Collation)
}

// touched begins a statement with the keys that unread entries name: the last
// entry of each, and whether its image may be stale. It is where a key has two
// entries of one transaction: a statement nested in a user's trigger is
// journalled before the outer one, whose image is older; or where an entry has
// no image.
func (f *applier) touched(s scope) string {
	if f.onShadow {
		return ""
	}
	keys := list(len(f.src.Key), f.k)
	entries := f.entries(s)
	if f.rereads(s) {
		return fmt.Sprintf("WITH %[1]s_e AS (%[2]s), %[1]s_t AS (SELECT DISTINCT %[3]s FROM %[1]s_e)", f.own, entries, keys)
	}
	return fmt.Sprintf("WITH %[1]s_e AS (%[2]s), %[1]s_t AS (SELECT %[3]s, max(seq) AS last,"+
		" count(*) <> count(DISTINCT xid) OR bool_or(bare) AS again FROM %[1]s_e GROUP BY %[3]s)", f.own, entries, keys)
}

// rereads reports whether every key is read again from production.
func (f *applier) rereads(s scope) bool {
	return s.reread || f.src.Record != plans.RecordRow || len(f.ancestors) > 0 || len(f.lookups) > 0 || f.heavy
}

func (f *applier) entries(s scope) string {
	n := len(f.src.Key)
	if f.frozen { // nothing of its own is journalled
		return joined(len(f.lookups), " UNION ALL ", func(i int) string { return f.reachedBy(f.lookups[i], s) })
	}
	text := fmt.Sprintf("SELECT %s, j.seq, j.xid%s FROM %s AS j WHERE %s AND j.op IN ('i', 'u', 'd')%s",
		list(n, func(i int) string { return f.entryKey(i) + " AS " + f.k(i) }), f.bare(s),
		f.journal.Name().Quoted(), unread("j", s), f.inPiece(s, f.entryKey)+f.held(s, f.entryKey))
	for _, a := range f.ancestors {
		key := func(i int) string { return collate(a.keys[i], f.src.Key[i].Collation) }
		text += fmt.Sprintf(" UNION ALL SELECT %s, j.seq, j.xid FROM %s AS j WHERE %s AND j.op <> 't'%s",
			list(n, key), a.journal.Name().Quoted(), unread("j", s), f.inPiece(s, key)+f.held(s, key))
	}
	for _, l := range f.lookups {
		text += " UNION ALL " + f.reachedBy(l, s)
	}
	return text
}

// reachedBy are the keys of rows that changes of another table concern, by what
// production holds in the transaction's snapshot. That is enough: if the row, or
// a table on the way to it, changed as well, an entry of its own leads there.
func (f *applier) reachedBy(l looked, s scope) string {
	n := len(f.src.Key)
	key := func(i int) string {
		return collate(f.alias()+"."+pg.Ident(f.src.Key[i].Name), f.src.Key[i].Collation)
	}
	changed := fmt.Sprintf("(SELECT DISTINCT %s FROM %s AS j WHERE %s AND j.op <> 't') AS pgumbra_changed",
		list(len(l.columns), func(i int) string { return "j." + l.entries[i] + " AS " + pg.Ident(l.columns[i]) }), l.journal.Name().Quoted(), unread("j", s))
	from := append([]string{changed, f.production() + " AS " + f.alias()}, l.reach.From...)
	return fmt.Sprintf("SELECT %s, NULL AS seq, NULL AS xid FROM %s WHERE (%s\n)%s",
		list(n, func(i int) string { return key(i) + " AS " + f.k(i) }), strings.Join(from, ", "), l.reach.Where, f.inPiece(s, key))
}

// bare tells of an entry that has no image though it might: bulk statements leave
// it out. (IS NULL would unpack the image, and be true for a row of NULLs.)
func (f *applier) bare(s scope) string {
	if f.rereads(s) {
		return ""
	}
	return ", j.op <> 'd' AND j.img IS NOT DISTINCT FROM NULL AS bare"
}

// inPiece hashes keys so that equal ones fall into one piece, however they are
// spelt: by the types' own hash functions, which know collations and 1.0 = 1.00.
// They are the shadow's keys: two of production's may become one there, and the
// row of the one that is gone must not outlive that of the other, or take it along.
func (f *applier) inPiece(s scope, key func(i int) string) string {
	if s.pieces <= 1 {
		return ""
	}
	hash := f.hash(key)
	if refused := f.refusesKey(key); len(refused) > 0 { // no cast of what cannot be cast
		hash = fmt.Sprintf("(CASE WHEN %s THEN 0 ELSE %s END)", strings.Join(refused, " OR "), hash)
	}
	return fmt.Sprintf(" AND (%s & 9223372036854775807) %% %s::bigint = %s::bigint", hash, s.value(2), s.value(3))
}

func (f *applier) hash(key func(i int) string) string {
	return fmt.Sprintf("(SELECT pg_catalog.hash_record_extended(ROW(%s), 0) FROM (SELECT %s) AS %s)",
		list(len(f.src.Key), f.keyValue), f.keyColumns(key), f.alias())
}

// sameKey compares a production row with a touched key t.
func (f *applier) sameKey(row, t string) string {
	return both(len(f.src.Key), func(i int) string {
		k := f.src.Key[i]
		return fmt.Sprintf("%s.%s %s %s", row, pg.Ident(k.Name), k.Equals, collate(t+"."+f.k(i), k.Collation))
	})
}

// current are the production rows behind the touched keys, as they are in the
// transaction's snapshot: one column of the table's own row type, unpacked
// under the name that transforms know. It stands after FROM.
func (f *applier) current(s scope) string {
	if f.onShadow {
		return f.stagedRows()
	}
	own := f.own
	if f.rereads(s) { // column by column: no row as one value
		return fmt.Sprintf("%s_t JOIN %s AS %s ON %s", own, f.production(), f.alias(), f.sameKey(f.alias(), own+"_t"))
	}
	again := fmt.Sprintf("SELECT %[1]s_p AS %[1]s_row FROM %[1]s_t JOIN %[2]s AS %[1]s_p ON %[3]s",
		own, f.production(), f.sameKey(own+"_p", own+"_t"))
	return f.unpack(fmt.Sprintf("SELECT j.img AS %[1]s_row FROM %[1]s_t JOIN %[2]s AS j ON %[4]s"+
		" WHERE NOT %[1]s_t.again AND j.op <> 'd' UNION ALL %[3]s WHERE %[1]s_t.again",
		own, f.journal.Name().Quoted(), again, f.isLast("j")))
}

// isLast is the condition that a journal row is the last entry of the touched
// key: entries of other keys may have the same number.
func (f *applier) isLast(entry string) string {
	return fmt.Sprintf("%s.seq = %s_t.last AND %s", entry, f.own, both(len(f.src.Key), func(i int) string {
		k := f.src.Key[i]
		return fmt.Sprintf("%s.%s %s %s", entry, f.journal.K(i), k.Equals, collate(f.own+"_t."+f.k(i), k.Collation))
	}))
}

// unpack a set of whole rows: as a row of the named type, so that transforms
// may use the row itself, and with no other column in their sight than one
// whose name the table does not have.
func (f *applier) unpack(rows string) string {
	return fmt.Sprintf("(%[1]s) AS %[2]s_rows CROSS JOIN LATERAL pg_catalog.unnest(ARRAY[%[2]s_rows.%[2]s_row]) AS %[3]s",
		rows, f.own, f.alias())
}

// whole is production's rows, all of them. It stands after FROM.
func (f *applier) whole() string {
	if f.onShadow {
		return f.stagedRows()
	}
	if f.src == nil {
		return fmt.Sprintf("(%s\n) AS %s", f.t.From, f.alias())
	}
	return f.production() + " AS " + f.alias()
}

func names(columns []plans.Column) []string {
	all := make([]string, len(columns))
	for i, c := range columns {
		all[i] = c.Shadow
	}
	return all
}

func values(columns []plans.Column) string {
	return joined(len(columns), "\n, ", func(i int) string { return columns[i].Expression })
}

// keyValue is the i-th key column of the shadow as an expression over the
// production row, comparable with the shadow's column.
func (f *applier) keyValue(i int) string {
	p := f.pairs()[i]
	expr := p.Expression
	if c, ok := f.column(p.Shadow); ok && expr == "" {
		expr = c.Expression // of a derived table's own key
	}
	return collate(fmt.Sprintf("(%s\n)::%s", expr, p.Type), f.collations[p.Shadow])
}

// sameShadowKey compares a shadow row with a row set that has columns k.
func (f *applier) sameShadowKey(row, keys string) string {
	pairs := f.pairs()
	return both(len(pairs), func(i int) string {
		return fmt.Sprintf("%s.%s %s %s", row, pg.Ident(pairs[i].Shadow), pairs[i].Equals,
			collate(keys+"."+f.k(i), f.collations[pairs[i].Shadow]))
	})
}

// shadowKeys maps a set of production keys to the shadow's. It stands after
// FROM or USING; only the key columns are in the expressions' sight.
func (f *applier) shadowKeys(keys string) string {
	if f.onShadow {
		return f.stagedKeys()
	}
	return fmt.Sprintf("(SELECT %s FROM (SELECT %s FROM %s) AS %s) AS %s_g",
		list(len(f.src.Key), func(i int) string { return f.keyValue(i) + " AS " + f.k(i) }),
		f.keyColumns(f.k), keys, f.alias(), f.own)
}

// touchedShadowKeys are the shadow's keys of what entries touch: of each spelling of a
// key, where it tells them apart. It stands after FROM or USING, after touched.
func (f *applier) touchedShadowKeys() string {
	if !f.respelt || f.onShadow {
		return f.shadowKeys(f.own + "_t")
	}
	return fmt.Sprintf("(SELECT DISTINCT * FROM %s) AS %s_g", f.shadowKeys(f.own+"_e"), f.own)
}

// keyColumns names key values as the expressions know them.
func (f *applier) keyColumns(key func(i int) string) string {
	return list(len(f.src.Key), func(i int) string { return key(i) + " AS " + pg.Ident(f.src.Key[i].Name) })
}
