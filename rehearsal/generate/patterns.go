package generate

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// shape is a text of places, each of which takes one of some signs. Numbered ones are as
// many texts as there are ways to fill the places, all different.
type shape struct {
	places []string // the signs that each may be; anySign: whichever
	open   int      // place before which more of class may stand; -1: none
	class  string
	room   int // how many at most
}

const (
	anySign = "\x00"
	digits  = "0123456789"
	letters = digits + "abcdefghijklmnopqrstuvwxyz"
	enough  = 10_000_000 // different texts of a shape
	longest = 200
	most    = 64 // signs of a class that are used
)

// shapeOfLike reads a pattern of LIKE. Of several % the last one is filled.
func shapeOfLike(pattern string) shape {
	s := shape{open: -1}
	runes := []rune(pattern)
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; {
		case r == '\\' && i+1 < len(runes):
			i++
			s.places = append(s.places, string(runes[i]))
		case r == '%':
			s.goOn(anySign, longest)
		case r == '_':
			s.places = append(s.places, anySign)
		default:
			s.places = append(s.places, string(r))
		}
	}
	return s
}

// goOn: more of a class may stand here.
func (s *shape) goOn(class string, room int) { s.open, s.class, s.room = len(s.places), class, room }

// shapeOf reads a regular expression that is a row of signs and classes, repeated or
// not; none: it is not so plain, or Go reads it otherwise than PostgreSQL.
func shapeOf(pattern string) []shape {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	s := shape{open: -1}
	if !s.add(parsed) || len(s.places) > longest {
		return nil
	}
	if !strings.HasSuffix(pattern, "$") && s.open < 0 {
		s.goOn(anySign, longest)
	}
	return []shape{s}
}

func (s *shape) add(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginText, syntax.OpEndText, syntax.OpBeginLine, syntax.OpEndLine:
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			s.places = append(s.places, string(r))
		}
	case syntax.OpCharClass:
		s.places = append(s.places, signsOf(re.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		s.places = append(s.places, anySign)
	case syntax.OpCapture, syntax.OpAlternate:
		return s.add(re.Sub[0])
	case syntax.OpConcat:
		return !slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return !s.add(sub) })
	case syntax.OpQuest:
		return s.repeat(re.Sub[0], 0, 1)
	case syntax.OpStar:
		return s.repeat(re.Sub[0], 0, longest)
	case syntax.OpPlus:
		return s.repeat(re.Sub[0], 1, longest)
	case syntax.OpRepeat:
		return s.repeat(re.Sub[0], re.Min, re.Max)
	default:
		return false
	}
	return true
}

// repeat writes the least, and remembers where there may be more. High -1: any.
func (s *shape) repeat(re *syntax.Regexp, low, high int) bool {
	one := shape{open: -1}
	if !one.add(re) || low*len(one.places) > longest {
		return false
	}
	for range low {
		s.places = append(s.places, one.places...)
	}
	if high < 0 {
		high = longest
	}
	if len(one.places) == 1 && len([]rune(one.places[0])) > 1 || slices.Equal(one.places, []string{anySign}) {
		if high-low > s.room || s.open < 0 {
			s.goOn(one.places[0], high-low)
		}
	}
	return true
}

// signsOf are some of a class: letters and digits first, which every type of text and
// every other condition takes.
func signsOf(ranges []rune) string {
	var plain, other strings.Builder
	for i := 0; i+1 < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1] && plain.Len()+other.Len() < 4*most; r++ {
			switch {
			case r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z':
				plain.WriteRune(r)
			case r > ' ' && r < 0xD800:
				other.WriteRune(r)
			}
		}
	}
	all := []rune(plain.String())
	if len(all) == 0 {
		all = []rune(other.String())
	}
	return string(all[:min(len(all), most)])
}

// sql is the text of a number, of a length where one is asked for (0: any), and of at
// most so many signs.
func (s shape) sql(length, limit int, d draw) string {
	places := s.filled(digits, length, limit)
	if waysOf(places) < enough/100 {
		places = s.filled(letters, length, limit)
	}
	if length > 0 && len(places) != length || len(places) > limit || slices.Contains(places, "") {
		return ""
	}
	var parts []string
	for radix, i := int64(1), len(places)-1; i >= 0; i-- { // the last place counts fastest
		n := int64(len([]rune(places[i])))
		if n == 1 {
			parts = append(parts, pg.Literal(places[i]))
			continue
		}
		parts = append(parts, fmt.Sprintf("substr(%s, 1 + ((%s) / %d %% %d)::int, 1)", pg.Literal(places[i]), d.number(), radix, n))
		if radix < enough {
			radix *= n
		}
	}
	slices.Reverse(parts)
	return "(" + strings.Join(parts, " || ") + ")"
}

// filled are the places with more of them where there may be more, until there are
// texts enough.
func (s shape) filled(whichever string, length, limit int) []string {
	places, class := slices.Clone(s.places), s.class
	if class == anySign {
		class = whichever
	}
	for i := range places {
		if places[i] == anySign {
			places[i] = whichever
		}
	}
	for room := s.room; s.open >= 0 && room > 0 && len(places) < limit && (len(places) < length || length == 0 && waysOf(places) < enough); room-- {
		places = slices.Insert(places, s.open, class)
	}
	return places
}

func waysOf(places []string) int {
	n := 1
	for _, p := range places {
		if n *= len([]rune(p)); n >= enough {
			return n
		}
	}
	return n
}

// formed are texts of the patterns in conditions, numbered, and such that begin or end
// with what the conditions name.
func formed(h hints, t *typ, typmod int32, d draw) []string {
	longestOf := limit(t, typmod)
	if longestOf == 0 {
		longestOf = longest
	}
	lengths := []int{0}
	for _, f := range h.numbers {
		if n := int(f); float64(n) == f && n >= 1 && n <= longest {
			lengths = append(lengths, n)
		}
	}
	var tries []string
	for _, s := range h.shapes[:min(len(h.shapes), 8)] {
		for _, length := range lengths[:min(len(lengths), 8)] {
			if sql := s.sql(length, longestOf, d); sql != "" {
				tries = append(tries, sql+"::"+t.Name)
			}
		}
	}
	if len(h.shapes) > 0 {
		return tries
	}
	for _, text := range h.texts[:min(len(h.texts), 8)] {
		tries = append(tries, fmt.Sprintf("(%s || (%s))::%s", pg.Literal(text), d.number(), t.Name), fmt.Sprintf("((%s) || %s)::%s", d.number(), pg.Literal(text), t.Name))
	}
	return tries
}

// cased are texts all of whose letters are large or small, where a condition speaks of it.
func cased(plain, conditions []string) []string {
	var tries []string
	for _, f := range []string{"upper(", "lower("} {
		if slices.ContainsFunc(conditions, func(c string) bool { return strings.Contains(c, f) }) {
			for _, sql := range plain {
				tries = append(tries, f+sql+")")
			}
		}
	}
	return tries
}

const (
	patterns   = 512 // texts made of a regular expression
	repeatedly = 6   // more than the least, where it says "or more"
)

// matchesOf are texts that a regular expression matches; none where Go reads
// it otherwise than PostgreSQL.
func matchesOf(pattern string, d draw) []string {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	var texts []string
	r := &dice{state: uint64(d.part("pattern").constant())}
	for range patterns {
		texts = append(texts, expand(parsed.Simplify(), r))
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}

// dice is a small generator whose numbers are the same everywhere.
type dice struct{ state uint64 }

func (r *dice) roll(sides int) int {
	r.state = r.state*6364136223846793005 + 1442695040888963407
	return int(r.state >> 33 % uint64(max(sides, 1)))
}

func expand(re *syntax.Regexp, r *dice) string {
	several := func(low, high int) string {
		var b strings.Builder
		for range low + r.roll(high-low+1) {
			b.WriteString(expand(re.Sub[0], r))
		}
		return b.String()
	}
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		pair := 2 * r.roll(len(re.Rune)/2)
		return string(re.Rune[pair] + rune(r.roll(min(int(re.Rune[pair+1]-re.Rune[pair])+1, 90))))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return string(rune('a' + r.roll(26)))
	case syntax.OpStar:
		return several(0, repeatedly)
	case syntax.OpPlus:
		return several(1, 1+repeatedly)
	case syntax.OpQuest:
		return several(0, 1)
	case syntax.OpRepeat:
		high := re.Max
		if high < 0 {
			high = re.Min + repeatedly
		}
		return several(re.Min, high)
	case syntax.OpCapture:
		return expand(re.Sub[0], r)
	case syntax.OpAlternate:
		return expand(re.Sub[r.roll(len(re.Sub))], r)
	case syntax.OpConcat:
		var b strings.Builder
		for _, s := range re.Sub {
			b.WriteString(expand(s, r))
		}
		return b.String()
	}
	return ""
}

// example is a rule for a column as a plan file has it: what its type takes, beginning as
// its constraints have it.
func (m *Model) example(t *Table, c *Column) string {
	base, _, _ := m.types.base(c.typeOID, c.typmod)
	if base == nil {
		return "'…'"
	}
	switch base.Category {
	case "N":
		return "n"
	case "B":
		return "n % 2 = 0"
	case "D":
		return "\"date '2026-01-01' + (n % 365)::int\""
	case "S":
		return `"'` + strings.NewReplacer("'", "''", `\`, `\\`, `"`, `\"`).Replace(t.prefix(c)) + `' || n"`
	}
	return "'…'"
}

// prefix is what texts of a column begin with, by what speaks of it.
func (t *Table) prefix(c *Column) string {
	conditions := slices.Clone(c.domains)
	for _, k := range t.checks {
		if mentions(c, k.condition) {
			conditions = append(conditions, k.condition)
		}
	}
	h := readHints(conditions, draw{})
	for _, s := range h.shapes {
		text := ""
		for i, p := range s.places {
			if len([]rune(p)) > 1 || p == anySign || i == s.open {
				break
			}
			text += p
		}
		if text != "" {
			return text
		}
	}
	if len(h.shapes) == 0 && len(h.texts) > 0 {
		return h.texts[0]
	}
	return "text "
}
