package reverse

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Conversion is what happens to values of one type that are assigned to a column
// of another. The zero value: each of them fits, and stays what it is.
type Conversion struct {
	// Refused is a condition over the value, {}, that is true where the server
	// refuses it; empty: none is refused, or it is not known which.
	Refused string
	// Unknown: some values may be refused, and the types do not tell which.
	Unknown bool
	// Altered: a value may silently become another one, by rounding or cutting.
	Altered bool
	// Loss says it in words, after "values that"; empty: nothing is lost.
	Loss string
	// Alters says of Loss what the server takes, and holds otherwise; empty where it is
	// all of it.
	Alters string
}

// Lossless reports whether every value comes back as it is.
func (c Conversion) Lossless() bool { return c.Refused == "" && !c.Unknown && !c.Altered }

// Changed says after "values that" which of those that fit become other ones; empty:
// none does.
func (c Conversion) Changed() string {
	if !c.Altered {
		return ""
	}
	return cmp.Or(c.Alters, c.Loss)
}

// Refuses is the condition with the value in it.
func (c Conversion) Refuses(value string) string { return strings.ReplaceAll(c.Refused, "{}", value) }

// Server says what the conditions may call.
type Server int

// HasInputCheck is the first server, by server_version_num, that can be asked
// whether a text is a value of some type without failing where it is none.
const HasInputCheck Server = 160000

// Of says what becomes of values of type from in a column of type to, both as
// format_type spells them, on a server of that version.
func Of(from, to string, server Server) Conversion {
	f, t := parse(from), parse(to)
	switch {
	case f == t:
		return Conversion{}
	case f.array || t.array:
		return byArrays(f, t, server)
	case f.whole() && t.whole():
		return wholeToWhole(f, t)
	case f.whole() && t.name == "numeric", f.name == "numeric" && t.name == "numeric":
		return toNumeric(f, t)
	case (f.name == "numeric" || f.float()) && t.whole():
		return toWhole(f, t)
	case t.float() && (f.whole() || f.name == "numeric" || f.float()), f.float() && t.name == "numeric":
		return byFloat(f, t)
	case f.text() && t.text():
		return toText(t)
	case f.text():
		return fromText(t, to, server)
	case t.text():
		return shownAs(f, t)
	case f.time() && t.time():
		return byTime(f, t)
	}
	return others(f, t)
}

// typ is a type's name without its modifiers, and these.
type typ struct {
	name  string
	first int // modifiers; -1: none
	scale int // of numeric(p,s); -1000: none
	array bool
}

const noScale = -10_000 // numeric's own goes down to -1000

var typeText = regexp.MustCompile(`^(.*?)(?:\((\d+)(?:,(-?\d+))?\))?( with(?:out)? time zone)?((?:\[\])*)$`)

func parse(text string) typ {
	m := typeText.FindStringSubmatch(text)
	t := typ{name: m[1] + m[4], first: -1, scale: noScale, array: m[5] != ""}
	if m[2] != "" {
		t.first, _ = strconv.Atoi(m[2])
	}
	switch {
	case m[3] != "":
		t.scale, _ = strconv.Atoi(m[3])
	case t.name == "numeric" && t.first >= 0:
		t.scale = 0
	case t.name == "character" && t.first < 0:
		t.first = 1
	case t.name == "bpchar":
		t.name = "character"
	case strings.HasSuffix(t.name, ".citext"), t.name == "citext", t.name == "name":
		t.name = "text"
	}
	return t
}

var wholes = []string{"smallint", "integer", "bigint"}

func (t typ) whole() bool { return slices.Contains(wholes, t.name) }
func (t typ) float() bool { return t.name == "real" || t.name == "double precision" }
func (t typ) text() bool {
	return t.name == "text" || t.name == "character varying" || t.name == "character"
}

func (t typ) time() bool {
	return t.name == "date" || strings.HasPrefix(t.name, "timestamp") || strings.HasPrefix(t.name, "time ")
}

// limits of an integer type, and how many digits hold each of its values.
func (t typ) limits() (lowest, highest string, digits int) {
	switch t.name {
	case "smallint":
		return "-32768", "32767", 5
	case "integer":
		return "-2147483648", "2147483647", 10
	}
	return "-9223372036854775808", "9223372036854775807", 19
}

func wholeToWhole(f, t typ) Conversion {
	if slices.Index(wholes, f.name) <= slices.Index(wholes, t.name) {
		return Conversion{}
	}
	lowest, highest, _ := t.limits()
	return Conversion{Refused: "{} NOT BETWEEN " + lowest + " AND " + highest, Loss: "are beyond the range of " + t.name}
}

// toNumeric: a numeric of so many digits before the point refuses what has more,
// and rounds what has more behind it.
func toNumeric(f, t typ) Conversion {
	if t.first < 0 {
		return Conversion{}
	}
	room, before, behind := t.first-t.scale, 1_000_000, 1_000_000 // digits before the point, and those that may come
	switch {
	case f.whole():
		_, _, before = f.limits()
		behind = 0
	case f.first >= 0:
		before, behind = f.first-f.scale, f.scale
	}
	var out Conversion
	var loss []string
	if before > room || before == room && behind > t.scale { // rounding may add a digit
		out.Refused = fmt.Sprintf("{} <> 'NaN' AND pg_catalog.abs(pg_catalog.round({}, %d)) >= 1e%d::numeric", t.scale, room)
		if f.whole() {
			out.Refused = fmt.Sprintf("pg_catalog.abs({}::numeric) >= 1e%d::numeric", room)
		}
		loss = append(loss, fmt.Sprintf("have more than %d digits before the point", max(room, 0)))
	}
	if behind > t.scale {
		out.Altered, out.Alters = true, fmt.Sprintf("have more than %d digits behind the point (rounded)", t.scale)
		loss = append(loss, out.Alters)
	}
	out.Loss = strings.Join(loss, " or ")
	return out
}

func toWhole(f, t typ) Conversion {
	lowest, highest, digits := t.limits()
	out := Conversion{Altered: true, Loss: "are no whole numbers (rounded)", Alters: "are no whole numbers (rounded)"}
	fits := false
	switch {
	case f.float():
		// 2^63 is a double, 2^63 - 1 is none.
		out.Refused = fmt.Sprintf("({} = 'NaN' OR pg_catalog.round({}::double precision) NOT BETWEEN %s AND %s OR pg_catalog.round({}::double precision) >= -(%s::double precision))", lowest, highest, lowest)
	default:
		fits = f.first >= 0 && f.first-f.scale < digits-1
		out.Altered = f.first < 0 || f.scale > 0
		out.Refused = fmt.Sprintf("pg_catalog.round({}) NOT BETWEEN %s AND %s", lowest, highest)
	}
	switch {
	case fits:
		out.Refused = ""
	case out.Altered:
		out.Loss += " or are beyond the range of " + t.name
	default:
		out.Loss = "are beyond the range of " + t.name
	}
	if out.Refused == "" && !out.Altered {
		out.Loss = ""
	}
	return out
}

func byFloat(f, t typ) Conversion {
	out := Conversion{Altered: true, Loss: "have more digits than " + t.name + " holds (rounded)"}
	out.Alters = out.Loss
	switch {
	case t.float() && f.whole():
		exact := t.name == "double precision" && f.name != "bigint" || f.name == "smallint"
		if exact {
			return Conversion{}
		}
		if f.name == "bigint" { // what is rounded up to 2^63 leads back to no bigint
			out.Refused = "{} > " + map[string]string{"real": "9223371487098961920", "double precision": "9223372036854774784"}[t.name]
		}
	case f.name == "real" && t.name == "double precision":
		return Conversion{}
	case f.name == "double precision" && t.name == "real", t.name == "numeric" && t.first >= 0, f.name == "numeric" && f.first < 0:
		out.Unknown = true
		out.Loss += " or are beyond its range"
	}
	return out
}

// toText: an assignment refuses a text that is too long, unless what is too much
// are blanks: these it cuts.
func toText(t typ) Conversion {
	if t.first < 0 {
		return Conversion{}
	}
	return Conversion{
		Refused: fmt.Sprintf("pg_catalog.rtrim(pg_catalog.substr({}::text, %d), ' ') <> ''", t.first+1),
		Altered: true, Loss: fmt.Sprintf("are longer than %d characters", t.first),
	}
}

// lengths are how long the texts of types are at the most.
var lengths = map[string]int{"boolean": 5, "smallint": 6, "integer": 11, "bigint": 20, "uuid": 36, "date": 13, "macaddr": 17}

// shownAs: a value of any type has a text.
func shownAs(f, t typ) Conversion {
	longest := lengths[f.name]
	if f.name == "numeric" && f.first >= 0 && f.scale >= 0 { // a sign, a point, a zero before it
		longest = max(f.first, f.scale+1) + 2
	}
	if t.first < 0 || longest > 0 && longest <= t.first && t.name != "character" {
		return Conversion{}
	}
	out := toText(t)
	out.Altered = false
	return out
}

// shapes of texts that are values of a type. Less than the server takes: a text
// that is spelt in another way would come back otherwise anyway.
var shapes = map[string]string{
	"smallint": `^\s*[-+]?[0-9]{1,18}\s*$`,
	"integer":  `^\s*[-+]?[0-9]{1,18}\s*$`,
	"bigint":   `^\s*[-+]?[0-9]{1,18}\s*$`,
	"numeric":  `^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?\s*$`,
	"boolean":  `^\s*(t|tr|tru|true|f|fa|fal|fals|false|y|ye|yes|n|no|on|of|off|1|0)\s*$`,
	"uuid":     `^(\{[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32})$`,
}

func fromText(t typ, to string, server Server) Conversion {
	out := Conversion{Altered: true, Loss: "are no " + t.name, Alters: "are spelt otherwise than " + t.name + " spells them"}
	shape, known := shapes[t.name]
	switch {
	case server >= HasInputCheck && !strings.Contains(to, "."): // a type of the user's may have another name then
		out.Refused = "NOT pg_catalog.pg_input_is_valid({}::text, '" + to + "')"
	case known && t.whole():
		lowest, highest, _ := t.limits()
		out.Refused = fmt.Sprintf("CASE WHEN {}::text !~ '%s' THEN true ELSE {}::text::numeric NOT BETWEEN %s AND %s END", shape, lowest, highest)
	case known && (t.name != "numeric" || t.first < 0):
		value := "{}::text"
		if t.name == "boolean" {
			value = "pg_catalog.lower({}::text)"
		}
		out.Refused = value + " !~ '" + shape + "'"
	default:
		out.Unknown = true
	}
	return out
}

// byTime: what is finer is rounded, a time of day is cut off, and between times
// with and without a zone the session's zone decides, in which an hour of the year
// is there twice and another one is not.
func byTime(f, t typ) Conversion {
	zoned := func(x typ) bool { return strings.HasSuffix(x.name, "with time zone") }
	out := Conversion{}
	switch {
	case f.name == "date" && strings.HasPrefix(t.name, "timestamp"):
		return Conversion{}
	case (f.name == "date") != (t.name == "date"):
		out = Conversion{Altered: true, Loss: "have a time of day (cut off)"}
	case strings.HasPrefix(f.name, "timestamp") != strings.HasPrefix(t.name, "timestamp"):
		out = Conversion{Altered: true, Loss: "have a date (cut off)"}
	case zoned(f) != zoned(t):
		out = Conversion{Altered: true, Loss: "are in the hour that a change to or from summer time repeats or leaves out"}
	case t.first >= 0 && t.first < 6 && (f.first < 0 || f.first > t.first):
		out = Conversion{Altered: true, Loss: fmt.Sprintf("have more than %d digits of a second (rounded)", t.first)}
	}
	return out
}

func byArrays(f, t typ, server Server) Conversion {
	if f.array != t.array {
		return Conversion{Unknown: true, Altered: true, Loss: "have no counterpart in the old type", Alters: "the new type holds otherwise"}
	}
	one := Of(spelt(f), spelt(t), server)
	if one.Lossless() {
		return one
	}
	return Conversion{Unknown: one.Unknown || one.Refused != "", Altered: one.Altered, Loss: "have elements that " + one.Loss, Alters: "have elements that " + one.Changed()}
}

// spelt is the type of an array's elements, as parse reads it.
func spelt(t typ) string {
	name, zone := t.name, ""
	if i := strings.Index(name, " with"); i >= 0 {
		name, zone = name[:i], name[i:]
	}
	switch {
	case t.first >= 0 && t.scale != noScale:
		return fmt.Sprintf("%s(%d,%d)%s", name, t.first, t.scale, zone)
	case t.first >= 0:
		return fmt.Sprintf("%s(%d)%s", name, t.first, zone)
	}
	return name + zone
}

func others(f, t typ) Conversion {
	switch {
	case f.name == t.name && t.first >= 0 && (f.first < 0 || f.first > t.first): // bit(n), interval(n)
		return Conversion{Unknown: true, Altered: true, Loss: "are longer or finer than the old type holds"}
	case f.name == t.name:
		return Conversion{}
	case f.name == "boolean" && t.whole(), f.name == "jsonb" && t.name == "json":
		return Conversion{}
	case f.whole() && t.name == "boolean":
		return Conversion{Altered: true, Loss: "are neither 0 nor 1"}
	case f.name == "json" && t.name == "jsonb":
		return Conversion{Unknown: true, Altered: true, Loss: "are spelt otherwise than jsonb spells them"}
	}
	return Conversion{Unknown: true, Altered: true, Loss: "have no counterpart in the old type", Alters: "the new type holds otherwise"}
}

// WithoutModifiers is a type's text without length, precision or scale: a cast to
// it cuts nothing.
func WithoutModifiers(text string) string {
	m := typeText.FindStringSubmatch(text)
	return m[1] + m[4] + m[5]
}
