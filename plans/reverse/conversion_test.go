package reverse

import "testing"

func TestConversionsByType(t *testing.T) {
	t.Parallel()
	cases := []struct {
		from, to         string
		refused, altered bool
		unknown          bool
	}{
		{"bigint", "bigint", false, false, false},
		{"integer", "bigint", false, false, false},
		{"bigint", "integer", true, false, false},
		{"numeric", "integer", true, true, false},
		{"numeric(5,2)", "integer", false, true, false},
		{"numeric(5,0)", "integer", false, false, false},
		{"bigint", "numeric", false, false, false},
		{"bigint", "numeric(10,2)", true, false, false},
		{"numeric(12,2)", "numeric(10,2)", true, false, false},
		{"numeric(10,4)", "numeric(12,2)", false, true, false},
		{"integer", "double precision", false, false, false},
		{"bigint", "double precision", true, true, false},
		{"double precision", "integer", true, true, false},
		{"text", "character varying(3)", true, true, false},
		{"character varying(3)", "text", false, false, false},
		{"character varying(5)", "character(5)", true, true, false},
		{"text", "integer", true, true, false},
		{"text", "shop.mood", false, true, true},
		{"integer", "text", false, false, false},
		{"timestamp with time zone", "timestamp without time zone", false, true, false},
		{"timestamp(6) with time zone", "timestamp(3) with time zone", false, true, false},
		{"timestamp without time zone", "date", false, true, false},
		{"date", "timestamp without time zone", false, false, false},
		{"bigint[]", "integer[]", false, false, true},
		{"integer[]", "integer[]", false, false, false},
		{"jsonb", "json", false, false, false},
		{"json", "jsonb", false, true, true},
		{"boolean", "integer", false, false, false},
		{"public.citext", "text", false, false, false},
		{"point", "text", false, false, false},
		{"uuid", "character varying(36)", false, false, false},
		{"uuid", "character varying(35)", true, false, false},
		{"integer", "character varying(11)", false, false, false},
		{"numeric(10,2)", "character varying(12)", false, false, false},
		{"numeric", "character varying(12)", true, false, false},
	}
	for _, c := range cases {
		got := Of(c.from, c.to, 140000)
		if (got.Refused != "") != c.refused || got.Altered != c.altered || got.Unknown != c.unknown {
			t.Errorf("%s in %s: %+v", c.from, c.to, got)
		}
		if got.Lossless() != (got.Loss == "") {
			t.Errorf("%s in %s: what is lost is not said, or nothing is: %+v", c.from, c.to, got)
		}
	}
}

func TestInverses(t *testing.T) {
	t.Parallel()
	cases := []struct{ expression, from, to, back string }{
		{"total + 5", "integer", "integer", "(n::numeric - 5)"},
		{"(total - 0.5)", "numeric(10,2)", "numeric", "(n::numeric + 0.5)"},
		{"(total * 100)::bigint", "numeric(10,2)", "bigint", "(n::numeric * 0.01)"},
		{"100 * total", "numeric(10,2)", "bigint", "(n::numeric * 0.01)"},
		{"(total * 100)::bigint", "numeric(10,3)", "bigint", ""}, // rounds
		{"total * 100", "numeric", "bigint", ""},                 // may round
		{"total * 3", "integer", "bigint", ""},                   // a third has no end
		{"total * 0", "integer", "bigint", ""},
		{"total / 100.0", "integer", "numeric", "(n::numeric * 100.0)"},
		{"total / 100.0", "integer", "numeric(12,2)", "(n::numeric * 100.0)"},
		{"total / 100.0", "integer", "numeric(12,1)", ""},
		{"total / 100.0", "bigint", "numeric", ""}, // a quotient has sixteen digits
		{"total / 100", "integer", "integer", ""},
		{"total * 1.5", "double precision", "double precision", ""},
		{"NOT total", "boolean", "boolean", "NOT n"},
		{"-total", "integer", "integer", "(-n::numeric)"},
		{"upper(total)", "text", "text", ""},
		{"total || 'x'", "text", "text", ""},
		{"other + 5", "integer", "integer", ""},
		{"(total + 1) * (total - 1)", "integer", "integer", ""},
		{"(total * 100)::smallint", "numeric(10,2)", "numeric", ""},
	}
	for _, c := range cases {
		got, ok := Invert(c.expression, "total", c.from, "n", c.to)
		if ok != (c.back != "") || got.Expression != c.back {
			t.Errorf("%s of %s into %s: %q %v, want %q", c.expression, c.from, c.to, got.Expression, ok, c.back)
		}
	}
	back, _ := Invert("(total * 100)::bigint", "total", "numeric(10,2)", "n", "bigint")
	if loss := Of(back.Type, "numeric(10,2)", 140000).Loss; loss != "have more than 8 digits before the point" {
		t.Errorf("what is lost of %+v: %s", back, loss)
	}
	if got, ok := Invert(`"To tal" + 1`, "To tal", "integer", `"n"`, "bigint"); !ok || got.Expression != `("n"::numeric - 1)` {
		t.Errorf("%+v", got)
	}
}
