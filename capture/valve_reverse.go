package capture

import (
	"fmt"
	"math"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// After the swap no process of ours has to be there to look after the reverse
// journals' size, so that their triggers do. Journals of that kind never shrink:
// their sum at the limit is also the record of the gap, over which there is no
// way back.

// share is what a reverse journal may hold without a look at the others: as long
// as none holds more, all of them together are below the limit.
func share(run *control.Run) int64 {
	n := int64(0)
	for i := range run.Plan.Tables {
		if reversed(&run.Plan.Tables[i]) {
			n++
		}
	}
	return run.Plan.Settings.Capture.MaxJournal / max(n, 1)
}

// entriesUnseen is how many entries are written to all journals between two
// looks at their sum. To add up a thousand files takes milliseconds, too much
// for each statement of a client's.
func entriesUnseen(run *control.Run) int { return max(100, 2*len(run.Plan.Tables)) }

// fullName is that of a function and of its sequence, which holds the number of
// the journals' entries at the last look, or [closed].
func fullName(run int64) pg.Name { return own(fmt.Sprintf("full_%d", run)) }

const closed = math.MaxInt64

// fullScript makes what a trigger asks whose own journal, of the given size in
// bytes, is past its share. A sequence remembers across sessions, whatever
// becomes of their transactions. One that looks while another one closes may
// open them again, until the next look.
func fullScript(run *control.Run) string {
	return fmt.Sprintf(`CREATE SEQUENCE IF NOT EXISTS %[1]s CACHE 1;
CREATE OR REPLACE FUNCTION %[1]s(size bigint) RETURNS boolean LANGUAGE plpgsql AS $pgumbra$
<<own>> DECLARE
    looked bigint := coalesce(pg_catalog.pg_sequence_last_value(%[2]s), 0);
    entries bigint := coalesce(pg_catalog.pg_sequence_last_value(%[3]s), 0);
BEGIN
    IF own.looked = %[4]d THEN
        RETURN true;
    ELSIF size < %[5]d AND own.entries < own.looked + %[6]d THEN
        RETURN false;
    ELSIF size >= %[5]d OR (SELECT pg_catalog.sum(pg_catalog.pg_relation_size(c.oid)) >= %[5]d FROM pg_catalog.pg_class c
            WHERE c.relnamespace = 'pgumbra'::pg_catalog.regnamespace AND c.relkind = 'r' AND c.relname ~ '^%[7]s[0-9]+_a$') THEN
        PERFORM pg_catalog.setval(%[2]s, %[4]d);
        RETURN true;
    END IF;
    PERFORM pg_catalog.setval(%[2]s, own.entries);
    RETURN false;
END
$pgumbra$;
REVOKE ALL ON FUNCTION %[1]s(bigint) FROM PUBLIC`, fullName(run.ID).Quoted(), regclass(fullName(run.ID)), regclass(sequence(run.ID)), int64(closed),
		run.Plan.Settings.Capture.MaxJournal, entriesUnseen(run), Journal{Run: run.ID, Direction: ToOld}.viewPrefix())
}

func regclass(n pg.Name) string { return pg.Literal(n.Quoted()) + "::pg_catalog.regclass" }

// valve ends the recording of a reverse journal once all of them together
// reached their limit. Forward journals are looked after by the leader.
func (t *target) valve(active pg.Name) string {
	if t.share <= 0 {
		return ""
	}
	size := "pg_catalog.pg_relation_size(" + regclass(active) + ")"
	return fmt.Sprintf("IF pg_catalog.pg_sequence_last_value(%s) = %d OR %[3]s >= %[4]d AND %[5]s(%[3]s) THEN RETURN NULL; END IF; ",
		regclass(fullName(t.Run)), int64(closed), size, t.share, fullName(t.Run).Quoted())
}
