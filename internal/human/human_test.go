package human

import (
	"slices"
	"testing"
	"time"
)

func TestNumbersAndTexts(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		Bytes(0): "0 bytes", Bytes(1023): "1023 bytes", Bytes(1536): "1.5 kB", Bytes(10 << 30): "10 GB", Bytes(640<<20 + 7): "640 MB",
		Count(0): "0", Count(999): "999", Count(1000): "1,000", Count(-1234567): "-1,234,567",
		Seconds(0.2): "under a second", Seconds(90): "90 s", Seconds(600): "10 min", Seconds(9000): "2.5 h",
		Duration(time.Second): "1 s", Duration(2 * time.Minute): "2 min", Duration(1500 * time.Millisecond): "1.5 s", Duration(200 * time.Millisecond): "200 ms",
		Plural(1, "blocker"): "1 blocker", Plural(1200, "warning"): "1,200 warnings", OneLine("a\n\tb\x1b"): `a b\x1b`,
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestFoldBreaksBetweenWordsUnderTheText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, want string
		width      int
	}{
		{"short", "short", 10},
		{"wide enough for no terminal", "wide enough for no terminal", 0},
		{"phase    following since long ago", "phase    following\n         since\n         long ago", 18},
		{"  a b c d e", "  a b\n  c d\n  e", 6},
		{"pgumbra_a_long_name_without_a_blank x", "pgumbra_a_long_name_without_a_blank\nx", 10},
		{"Next: pgumbra run goes on", "Next: pgumbra run\n      goes on", 18},
		{"   7. make the triggers of a table", "   7. make the\n      triggers of\n      a table", 18},
		{"  time to ready   some seconds of the sample", "  time to ready   some seconds of\n                  the sample", 36},
		{"it took 0.6 ms, and then 12 s more", "it took\n0.6 ms, and\nthen 12 s\nmore", 11},
		{"  ~ column id integer → bigint", "  ~ column id\n    integer →\n    bigint", 13},
	} {
		if got := Fold(c.text, c.width); got != c.want {
			t.Errorf("%q at %d:\n%s\nwant\n%s", c.text, c.width, got, c.want)
		}
	}
}

func TestTogetherGroupsByText(t *testing.T) {
	t.Parallel()
	got := Together([]string{"a.x: gone: at once", "a.y: kept", "b.z: gone: at once", "alone", "alone too"})
	if want := []string{"a.x, b.z: gone: at once", "a.y: kept", "alone", "alone too"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
