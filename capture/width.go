package capture

import (
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// An image is one value of the table's row type, unpacked and whole: past 1 GB
// PostgreSQL refuses to make it and the client's statement fails, whatever
// column it touches; long before that each small update pays for rewriting all
// of the row. So each row's width is looked at before its image is made, by the
// sizes that TOAST pointers tell, which reads no value. A row that is too wide
// is recorded by its key, and replay reads it from the table.

const (
	// plans.WideRow is what an image may be wide where the row can be read again.
	//
	// mostPacked bytes of values can never unpack to a gigabyte: pglz and lz4 make
	// at most 255 of one.
	mostPacked = 4_000_000
	// mostImage is what an image may hold unpacked, with room for headers.
	mostImage = 1_000_000_000
	// wideSetting is '1' while a statement has met a row that was too wide.
	wideSetting = "pgumbra.wide"
)

// checksWidth reports whether an entry might have an image too wide to make.
func (t *target) checksWidth(op string) bool { return t.carriesImage(op) && len(t.longColumns()) > 0 }

func (t *target) longColumns() []column {
	var all []column
	for _, c := range t.columns {
		for _, name := range t.Image {
			if c.long && c.name == name {
				all = append(all, c)
			}
		}
	}
	return all
}

// fits is a condition: the row's image may be made.
func (t *target) fits(row string) string {
	var sizes, lengths []string
	for _, c := range t.longColumns() {
		value := row + "." + pg.Ident(c.name)
		size := "coalesce(pg_catalog.pg_column_size(" + value + "), 0)"
		sizes = append(sizes, size)
		if c.text {
			lengths = append(lengths, "coalesce(pg_catalog.octet_length("+value+lengthType(c)+"), 0)::bigint")
		} else {
			lengths = append(lengths, "CASE WHEN pg_catalog.pg_column_compression("+value+") IS NULL THEN "+size+" ELSE least(255 * "+size+"::bigint, 1073741824) END")
		}
	}
	packed := strings.Join(sizes, " + ")
	if t.rereadable(OpUpdate) {
		return fmt.Sprintf("(%s < %d)", packed, plans.WideRow)
	}
	return fmt.Sprintf("(%s < %d OR %s < %d)", packed, mostPacked, strings.Join(lengths, " + "), mostImage)
}

// lengthType makes the value's type one that octet_length takes, by a cast that
// only relabels.
func lengthType(c column) string {
	switch {
	case strings.HasPrefix(c.typ, "bytea"), strings.HasPrefix(c.typ, "character("), strings.HasPrefix(c.typ, "bpchar"):
		return ""
	}
	return "::text"
}

// narrow leaves wide rows out of a transition table, and notes that there are
// some: for a statement without any, that costs no second look at it.
func (t *target) narrow(op string) string {
	if !t.checksWidth(op) {
		return ""
	}
	return fmt.Sprintf(" WHERE %s OR pg_catalog.set_config('%s', '1', true) = ''", t.fits("n"), wideSetting)
}

// wide records the rows that narrow left out.
func (t *target) wide(op, transition string, active pg.Name) string {
	if !t.checksWidth(op) {
		return ""
	}
	record := t.gap()
	if t.Record != plans.RecordImage {
		record = t.takeNumber() + t.keysOnly(op, transition+" AS n WHERE NOT "+t.fits("n"), active)
	}
	return fmt.Sprintf("; IF pg_catalog.current_setting('%[1]s', true) = '1' THEN PERFORM pg_catalog.set_config('%[1]s', '', true); %[2]s; END IF",
		wideSetting, record)
}

// withoutImage records one row that is too wide.
func (t *target) withoutImage(op, row string, active pg.Name) string {
	if t.Record == plans.RecordImage {
		return t.gap()
	}
	into, values := t.keyEntry(op, row)
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", active.Quoted(), into, values)
}

// gap closes the journals: of a table without a key there is no other way to
// tell of a row than its image, and the client's change must not fail for that.
func (t *target) gap() string {
	return fmt.Sprintf("PERFORM pg_catalog.setval(%s, pg_catalog.extract('epoch', pg_catalog.clock_timestamp())::bigint), pg_catalog.setval(%s, %d)",
		regclass(fullName(t.Run, t.Direction)), regclass(lookName(t.Run, t.Direction)), closedByRow)
}
