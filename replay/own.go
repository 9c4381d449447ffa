package replay

import (
	"fmt"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// On the way back the old table holds rows that a filter kept from the new one, those
// that a migration deleted: they are nobody's to write or compare, and stay as they
// are. Until a client uses the key of one on the new side: from then on the row is that
// client's, whose write replaces it, and whose DELETE deletes it. So may a row of the
// table's own be updated to one that the filter would have kept. No note is needed of
// either: the old table's rows that count are its own, and those whose key the new
// table holds. Of keys that entries name every row counts, since a batch has written
// or deleted each.
//
// Of rows without a key, which nothing but their content tells apart, those that the
// filter keeps count as often as the new table holds them, if there are so many.
//
// TRUNCATE of the new table names no keys: rows that clients wrote where the filter
// keeps them are found only while the new table holds them, and stay when they were
// gone before.

// ofOwn adds to a condition over the shadow's rows s that they are the table's own.
func (f *applier) ofOwn(condition string) string {
	if f.t.Own != "" {
		condition = also(condition, f.isOwn())
	}
	return f.unnoted(condition)
}

// shadowRowsWithin are the shadow's rows of a group that production has or should have.
// It stands after FROM. What is taken is a set of its own, joined with production's keys:
// as one condition with the other it would be looked up row by row.
func (f *applier) shadowRowsWithin(g group) string {
	within := f.shadowWithin(g)
	own := fmt.Sprintf("%s AS s%s", f.shadow(), where(f.ofOwn(within)))
	if f.t.Own == "" || f.byImage() { // see multisetDifferences
		return own
	}
	return fmt.Sprintf("(SELECT s.* FROM %s UNION ALL SELECT s.* FROM %s AS s%s) AS s", own, f.shadow(),
		where(f.unnoted(also(also(within, "NOT "+f.isOwn()), f.isTaken(g)))))
}

func also(condition, other string) string {
	if condition == "" {
		return other
	}
	return condition + " AND " + other
}

func (f *applier) isOwn() string {
	return fmt.Sprintf("EXISTS (SELECT FROM (SELECT s.*) AS %s WHERE (%s\n))", pg.Ident(f.t.Final.Name), f.t.Own)
}

// isTaken: production has a row like s, by key, among those of a group, or by content.
func (f *applier) isTaken(g group) string {
	if f.byImage() {
		return fmt.Sprintf("EXISTS (SELECT FROM %s AS %s_g WHERE %[2]s_g.image = %s)", f.images(g), f.own, f.shadowImage("s"))
	}
	return fmt.Sprintf("EXISTS (SELECT FROM %s WHERE %s)", f.keysWithin(g), f.sameShadowKey("s", f.own+"_g"))
}

// takenSets are what [applier.isTaken] reads.
func (f *applier) takenSets(g group) []set {
	switch {
	case f.t.Own == "":
		return nil
	case f.byImage():
		return []set{f.imageSet(g)}
	}
	return []set{f.keysWithinSet(g)}
}
