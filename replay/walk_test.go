package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

func TestRangesAreRecordedWithoutAGap(t *testing.T) {
	t.Parallel()
	w := &walk{over: true, pass: 3}
	for _, upper := range []string{"10", "20", ""} {
		one := &span{verdict: Verdict{Rows: 7}}
		if upper != "" {
			one.upper = []string{upper}
		}
		w.ranges = append(w.ranges, one)
	}
	first, second, last := w.ranges[0], w.ranges[1], w.ranges[2]
	if got := w.proved(second); got != nil {
		t.Errorf("the second range was recorded before the first: %+v", got)
	}
	if got := w.proved(first); got == nil || !slices.Equal(got.UpTo, []string{"20"}) || got.Rows != 14 || got.Done || got.Pass != 3 {
		t.Errorf("after the first: %+v", got)
	}
	if got := w.proved(last); got == nil || got.UpTo != nil || got.Rows != 21 || !got.Done {
		t.Errorf("after the last: %+v", got)
	}
}

func TestRangesAdaptToTheTimeTheyTake(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size, want int64
		took       time.Duration
	}{
		{1000, 1000, groupTime},
		{1000, 16000, 0},        // no more than so many times larger
		{1000, 250, time.Hour},  // nor smaller
		{2, 1, 100 * groupTime}, // at least one key
		{1000, 500, 2 * groupTime},
	} {
		if got := adapted(c.size, c.took); got != c.want {
			t.Errorf("%d keys took %s: the next range has %d, want %d", c.size, c.took, got, c.want)
		}
	}
	w := &walk{size: 1000}
	w.took(&span{keys: 1000}, time.Millisecond) // the last range: it may hold anything
	if w.size != 1000 {
		t.Errorf("the last range made the others %d keys large", w.size)
	}
	for range 10 {
		w.giveBack(&span{})
	}
	if w.size != 1 || len(w.free) != 10 {
		t.Errorf("after ten ranges that were given back: %d keys, %d ranges", w.size, len(w.free))
	}
	w.stop()
	w.giveBack(&span{})
	if w.more() || len(w.free) != 0 {
		t.Error("a walk that was stopped goes on")
	}
}

// Where touched keys become more from one round to the next, batches of the table
// wait for the round; of others, and where they become fewer, they go on.
func TestBatchesWaitWhereTheProofFallsBehind(t *testing.T) {
	t.Parallel()
	r := new(Replayer)
	for _, round := range []struct {
		changes int64
		held    bool
	}{{mostTouched + 1, false}, {mostTouched + 2, true}, {mostTouched + 1, false}, {10, false}, {mostTouched * 5, false}, {mostTouched * 6, true}} {
		release := r.holdBack(1, round.changes)
		if r.heldBack(1) != round.held || r.heldBack(2) {
			t.Errorf("at %d changes held back: %t", round.changes, r.heldBack(1))
		}
		release()
		if r.heldBack(1) {
			t.Error("held back after the round")
		}
	}
	before := r.provedIn(1, assumedRate)
	if before < time.Second || before > time.Second+leastRound {
		t.Errorf("before anything was measured: %s", before)
	}
	r.noteRate(1, tellingRound-1, time.Nanosecond) // says nothing
	r.noteRate(1, 10*assumedRate, time.Second)
	if now := r.provedIn(1, assumedRate); now >= before/5 || now < leastRound {
		t.Errorf("ten times as fast as was assumed: %s", now)
	}
}

func TestTablesTakeTurnsAtTheProof(t *testing.T) {
	t.Parallel()
	p := NewProver(new(Replayer), time.Minute)
	for n := range 3 {
		p.tables[n] = &proving{t: &plans.Table{N: n}, f: new(applier), proof: control.Proof{N: n, State: control.FollowingState}}
	}
	p.LeaveOut(map[int]bool{2: true})
	var turns []int
	for range 4 {
		turns = append(turns, p.pick(ranges, func(*proving) bool { return true }).t.N)
	}
	if !slices.Equal(turns, []int{0, 1, 0, 1}) {
		t.Errorf("turns %v", turns)
	}
	if got := p.pick(touches, func(*proving) bool { return true }).t.N; got != 0 {
		t.Errorf("turns at ranges count for touched keys: %d", got)
	}
	p.tables[0].not, p.tables[1].proof.State = time.Now().Add(time.Hour), control.Indexing
	if got := p.pick(ranges, func(*proving) bool { return true }); got != nil {
		t.Errorf("table %d was picked", got.t.N)
	}
}

// A pause waits for what is under way, ends it when that takes too long, and holds
// until everybody who asked for it is done.
func TestProverIsPausedUntilAllWhoAskedAreDone(t *testing.T) {
	t.Parallel()
	p := NewProver(new(Replayer), time.Minute)
	ctx, end, err := p.enter(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	go func() { // a comparison that ends only when it is told to
		<-ctx.Done()
		end()
	}()
	first, second := p.Pause(), p.Pause()
	if ctx.Err() == nil {
		t.Error("the pause began while something was under way")
	}
	went := make(chan func(), 1)
	go func() {
		_, end, _ := p.enter(context.Background())
		went <- end
	}()
	first()
	select {
	case <-went:
		t.Error("the prover went on within another pause")
	case <-time.After(20 * time.Millisecond):
	}
	second()
	(<-went)()
}

// keysOfAllKinds: many rows at one end of the keys' order, keys of several columns of
// which the first ones are alike, texts as a locale and as bytes order them, and the
// last values that a type has.
const keysOfAllKinds = `
	CREATE TABLE skewed (id bigint PRIMARY KEY);
	INSERT INTO skewed SELECT i FROM generate_series(1, 40) i UNION ALL VALUES (-9223372036854775808), (9223372036854775807), (0), (4611686018427387904);
	CREATE TABLE several (a int, b text, c uuid, PRIMARY KEY (a, b, c));
	INSERT INTO several SELECT i / 20, CASE i % 3 WHEN 0 THEN '' WHEN 1 THEN 'ä' ELSE 'Z' END, md5(i::text)::uuid FROM generate_series(1, 60) i;
	CREATE TABLE worded (w text COLLATE "und-x-icu" PRIMARY KEY);
	INSERT INTO worded SELECT w || s FROM unnest(ARRAY['', 'a', 'A', 'ä', 'b', 'B', 'ß', 'zz', E'\\', '''', E'\n', ' ']) w, unnest(ARRAY['', '-', '1', 'ü']) s ON CONFLICT DO NOTHING;
	CREATE TABLE bytes (w varchar(20) COLLATE "C" PRIMARY KEY);
	INSERT INTO bytes SELECT * FROM worded;
	CREATE TABLE numbers (n numeric PRIMARY KEY);
	INSERT INTO numbers VALUES ('NaN'), ('Infinity'), ('-Infinity'), (0), (1e-30), (1e30), (-1.50), (2), (3), (4);
	CREATE TABLE moments (at timestamptz PRIMARY KEY);
	INSERT INTO moments SELECT v::timestamptz FROM unnest(ARRAY['infinity', '-infinity', '0044-03-15 00:00 BC', '2026-11-26 10:00+05:45', '2026-11-26 10:00:00.000001', 'epoch']) v;
	CREATE TABLE one_row (id int PRIMARY KEY);
	INSERT INTO one_row VALUES (1);
	CREATE TABLE no_row (id int PRIMARY KEY);
	CREATE TABLE twin.skewed (id bigint PRIMARY KEY); CREATE TABLE twin.several (a bigint, b text, c uuid, PRIMARY KEY (a, b, c));
	CREATE TABLE twin.worded (w text COLLATE "und-x-icu" PRIMARY KEY); CREATE TABLE twin.bytes (w text COLLATE "C" PRIMARY KEY);
	CREATE TABLE twin.numbers (n numeric PRIMARY KEY); CREATE TABLE twin.moments (at timestamptz PRIMARY KEY);
	CREATE TABLE twin.one_row (id bigint PRIMARY KEY); CREATE TABLE twin.no_row (id bigint PRIMARY KEY)`

// Whatever the keys, each row is in one range and in no other, on both sides, also
// where ranges are given back and cut.
func TestEachKeyIsInOneRange(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		columns := map[string]string{"id": "bigint", "a": "bigint", "b": "text", "c": "uuid", "w": "text", "n": "numeric", "at": "timestamp with time zone"}
		w := newWorld(t, keysOfAllKinds, func(w *world, p *plans.Plan) {
			for _, table := range []string{"skewed id", "several a b c", "worded w", "bytes w", "numbers n", "moments at", "one_row id", "no_row id"} {
				key := strings.Fields(table)
				s := w.source(key[0], plans.RecordRow, key[1:]...)
				var carried []string
				for _, k := range key[1:] {
					carried = append(carried, fmt.Sprintf("%s %s = %[1]s", k, columns[k]))
				}
				w.add(p, s, carried...)
			}
		})
		for n := range w.run.Plan.Tables {
			table := w.table(n)
			f, err := w.r.applier(w.ctx, table)
			w.must(err)
			if !f.ranged() {
				t.Errorf("%s is not divided", table.Shadow)
			}
			for _, size := range []int64{1, 3, 7, 1000} {
				w.wholeBy(f, size)
			}
		}
	})
}

// wholeBy walks a table in ranges of so many keys, every second of which is given back
// once.
func (w *world) wholeBy(f *applier, size int64) {
	w.t.Helper()
	p := w.r.newWalk(f, nil)
	p.size = size
	total, parts := nothing(), 0
	w.must(w.r.begin(w.ctx, func(e ends) error {
		if _, err := w.r.look(w.ctx, e, nil); err != nil {
			return err
		}
		for taken := 0; ; taken++ {
			one, err := p.take(w.ctx, e.production)
			if err != nil || one == nil {
				return err
			}
			if taken%2 == 1 && one.keys > 1 && taken < 10 {
				p.giveBack(one)
				continue
			}
			c, err := f.sumUp(w.ctx, e, one.group)
			if err != nil {
				return err
			}
			if !c.equal() || c.production.rows > one.keys && one.upper != nil {
				w.t.Errorf("%s, %d keys: %v < key <= %v holds %d rows of production's, %d of the shadow's",
					f.t.Shadow, one.keys, one.lower, one.upper, c.production.rows, c.shadow.rows)
			}
			total, parts = total.plus(c), parts+1
		}
	}))
	var whole comparison
	w.must(w.r.begin(w.ctx, func(e ends) (err error) {
		whole, err = f.sumUp(w.ctx, e, group{})
		return err
	}))
	if !total.production.equal(whole.production) || !total.shadow.equal(whole.shadow) {
		w.t.Errorf("%s in %d ranges: %d rows of %d", f.t.Shadow, parts, total.production.rows, whole.production.rows)
	}
}

func (c comparison) plus(other comparison) comparison {
	return c.minus(nothing().minus(other))
}

// A range that was compared before a TRUNCATE is recorded after the batch that proved
// all there is: it must not be taken for a proof of what came after.
func TestRangeFromBeforeATruncateProvesNothingAfterIt(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(`INSERT INTO items SELECT i, 'n' || i, i FROM generate_series(1, 300) i`), items)
		w.r.RangeRows = 100
		f, err := w.r.applier(w.ctx, w.table(0))
		w.must(err)
		pass, err := w.r.beginProof(w.ctx, f)
		w.must(err)
		walk := w.r.carriedOn(f, control.Proof{Pass: pass})
		one, err := walk.take(w.ctx, w.pool)
		w.must(err)
		found, err := w.r.compareInTime(w.ctx, f, one)
		w.must(err)
		one.verdict = Verdict{Rows: found.rows, Equal: found.equal()}
		w.exec(`TRUNCATE shop.items; INSERT INTO shop.items SELECT i, 'again', i FROM generate_series(50, 250) i`)
		w.batch(0)
		w.must(w.r.recordRanges(w.ctx, walk, one, found))
		if p := w.proofs()[0]; !p.Complete || !p.Current {
			t.Errorf("after the late range: %+v", p)
		}
		w.exec(`UPDATE shop.items SET price = 0 WHERE id = 60; UPDATE twin.items SET title = 'damaged' WHERE id = 60`)
		w.proved() // the batch has mended it
		w.exec(`UPDATE shop.items SET price = 1 WHERE id = 60`)
		w.batch(0)
		w.exec(`UPDATE twin.items SET title = 'damaged' WHERE id = 60`)
		if verdict, err := w.r.Verify(w.ctx, w.table(0)); err != nil || verdict.Equal {
			t.Errorf("%+v %v", verdict, err)
		}
	})
}

// Room is given by proofs that keep entries for long, and by no others; a renewal
// that is under way stays.
func TestRoomIsGivenByOldProofsOnly(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, newWorld maker) {
		w := newWorld(t, itemsStructure(manyItems), items)
		w.proved()
		give := func(age string) control.Proof {
			w.script(w.sides.Shadow, `UPDATE pgumbra.shadow_table SET proved_at = clock_timestamp() - interval '`+age+`'`)
			w.must(w.r.GiveRoom(w.ctx))
			return w.proofs()[0]
		}
		if p := give("1 hour"); !p.Complete {
			t.Errorf("nothing was touched: %+v", p)
		}
		w.exec(`UPDATE shop.items SET price = price + 1`)
		w.batch(0)
		if p := give("1 second"); !p.Complete {
			t.Errorf("a young proof was taken back: %+v", p)
		}
		f, err := w.r.applier(w.ctx, w.table(0))
		w.must(err)
		w.must(w.r.renew(w.ctx, f, pending{changes: 6000}))
		w.r.RangeRows = 10
		w.provingPart()
		renewal := w.proofs()[0]
		if p := give("1 hour"); !p.Begun || p.Complete || !slices.Equal(p.UpTo, renewal.UpTo) {
			t.Errorf("a renewal %+v became %+v", renewal, p)
		}
		w.proved()
		w.exec(`UPDATE shop.items SET price = price + 1`)
		w.batch(0)
		if p := give("1 hour"); p.Begun {
			t.Errorf("an old proof stands: %+v", p)
		}
		w.proved()
	})
}

// What a prover says in the midst of a comparison is no verdict.
func TestErrorsThatAnotherLookDoesAwayWith(t *testing.T) {
	t.Parallel()
	for _, err := range []error{errBehind, errMoved, errGone, errSlow, errOvertaken, ErrRecopy} {
		if unlessLater(fmt.Errorf("table: %w", err)) != nil {
			t.Errorf("%v ends the prover", err)
		}
	}
	for _, err := range []error{ErrConflict, control.ErrFencedOff, errors.New("anything")} {
		if unlessLater(fmt.Errorf("table: %w", err)) == nil {
			t.Errorf("%v is swallowed", err)
		}
	}
}
