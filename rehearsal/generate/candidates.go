package generate

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// tried is how many rows a candidate is tried on.
const tried = 64

// candidate is SQL that may make values which a column's constraints take.
type candidate struct {
	sql  string
	rate float64 // share of the tried rows that the constraints took
}

var (
	quotedText = regexp.MustCompile(`'((?:[^']|'')*)'`)
	bareNumber = regexp.MustCompile(`(?:^|[^\w.])(-?\d+(?:\.\d+)?)\b`)
	matching   = regexp.MustCompile(`(^|[^!~])~\*? '((?:[^']|'')*)'`)
	liking     = regexp.MustCompile(`(^|[^!~])~~\*? '((?:[^']|'')*)'`)
	nothing    = regexp.MustCompile(`!~{1,2}\*? '(?:[^']|'')*'`)
)

// hints are what a condition's text says of the values that it takes.
type hints struct {
	texts   []string // literals, and what patterns ask for
	shapes  []shape  // of patterns whose texts can be numbered
	numbers []float64
}

func readHints(conditions []string, d draw) hints {
	var h hints
	for _, c := range conditions {
		c = nothing.ReplaceAllString(c, "")
		for _, m := range matching.FindAllStringSubmatch(c, -1) {
			pattern := strings.ReplaceAll(m[2], "''", "'")
			h.texts, h.shapes = append(h.texts, matchesOf(pattern, d)...), append(h.shapes, shapeOf(pattern)...)
		}
		for _, m := range liking.FindAllStringSubmatch(c, -1) {
			h.shapes = append(h.shapes, shapeOfLike(strings.ReplaceAll(m[2], "''", "'")))
		}
		rest := liking.ReplaceAllString(matching.ReplaceAllString(c, ""), "")
		for _, m := range quotedText.FindAllStringSubmatch(rest, -1) {
			text := strings.ReplaceAll(m[1], "''", "'")
			h.texts = append(h.texts, text)
			if f, err := strconv.ParseFloat(text, 64); err == nil {
				h.numbers = append(h.numbers, f)
			}
		}
		for _, m := range bareNumber.FindAllStringSubmatch(quotedText.ReplaceAllString(rest, ""), -1) {
			if f, err := strconv.ParseFloat(m[1], 64); err == nil {
				h.numbers = append(h.numbers, f)
			}
		}
	}
	slices.Sort(h.numbers)
	h.numbers = slices.Compact(h.numbers)
	return h
}

// candidates are ways to make a column's values, the plainest first.
func (all types) candidates(c *Column, conditions []string, d draw) []string {
	t, typmod, _ := all.base(c.typeOID, c.typmod)
	tries := all.value(c.typeOID, c.typmod, d)
	if t == nil || len(conditions) == 0 {
		return tries
	}
	h := readHints(conditions, d)
	switch t.Category {
	case "N":
		tries = append(tries, between(h.numbers, d)...)
		if len(h.numbers) > 1 {
			tries = append(tries, oneOfNumbers(h.numbers, d))
		}
	case "D":
		tries = append(tries, around(t, h.texts, d)...)
	case "S":
		tries = append(tries, shaped(h.numbers, d)...)
		tries = append(tries, formed(h, t, typmod, d)...)
		tries = append(tries, cased(tries[:1], conditions)...)
	}
	if len(h.texts) > 0 {
		tries = append(tries, oneOf(h.texts, t.Name, d))
	}
	return tries
}

func oneOf(texts []string, as string, d draw) string {
	var list []string
	for _, t := range texts {
		list = append(list, pg.Literal(t))
	}
	return fmt.Sprintf("(ARRAY[%s]::text[])[1 + ((%s) %% %d)::int]::%s", strings.Join(list, ", "), d.number(), len(list), as)
}

// oneOfNumbers is for a list of them.
func oneOfNumbers(numbers []float64, d draw) string {
	var list []string
	for _, f := range numbers {
		list = append(list, strconv.FormatFloat(f, 'f', -1, 64))
	}
	return fmt.Sprintf("(ARRAY[%s]::numeric[])[1 + ((%s) %% %d)::int]", strings.Join(list, ", "), d.number(), len(list))
}

// between are numbers near those that a condition names.
func between(numbers []float64, d draw) []string {
	if len(numbers) == 0 {
		return nil
	}
	text := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	low, high := numbers[0], numbers[len(numbers)-1]
	tries := []string{fmt.Sprintf("(%s + 1 + %s)", text(high), d.number()), fmt.Sprintf("(%s - 1 - %s)", text(low), d.number()),
		fmt.Sprintf("(%s + %s / 100.0)", text(low), d.dice(100))}
	if span := int64(high - low); span > 0 {
		tries = append(tries, fmt.Sprintf("(%s + %s)", text(low), d.dice(span+1)))
	}
	return tries
}

// around are moments near those that a condition names, and between them.
func around(t *typ, texts []string, d draw) []string {
	var tries []string
	hours := d.number() + " * interval '1 hour'"
	if t.Bare == "date" {
		hours = "(" + d.number() + " % 100000)::int"
	}
	for _, text := range texts[:min(len(texts), 20)] {
		moment := pg.Literal(text) + "::" + t.Name
		tries = append(tries, fmt.Sprintf("(%s + %s)", moment, hours), fmt.Sprintf("(%s - %s)", moment, hours))
	}
	if len(texts) > 1 && t.Bare != "date" {
		first, last := pg.Literal(texts[0])+"::"+t.Name, pg.Literal(texts[1])+"::"+t.Name
		tries = append(tries, fmt.Sprintf("(%s + (%s - %s) * (%s / 1000000.0))", first, last, first, d.dice(1000000)))
	}
	return tries
}

// shaped are texts as long as the numbers in a condition say.
func shaped(numbers []float64, d draw) []string {
	var tries []string
	for _, f := range numbers {
		length := int64(f)
		if length < 1 || length > 200 {
			continue
		}
		digits := fmt.Sprintf("right(lpad((%s)::text, %d, '0'), %[2]d)", d.number(), length)
		tries = append(tries, digits, fmt.Sprintf("upper(translate(%s, '0123456789', 'abcdefghij'))", digits))
	}
	return tries
}

// try asks the server how many of a candidate's values the conditions take, of a
// distinct column how many different ones; they speak of the column by its name.
func (c *Column) try(ctx context.Context, tx pgx.Tx, sql string, conditions []string) (candidate, error) {
	point, err := tx.Begin(ctx)
	if err != nil {
		return candidate{}, err
	}
	defer func() { _ = point.Rollback(ctx) }()
	var taken int
	counted := "*"
	if c.distinct {
		counted = "DISTINCT s." + pg.Ident(c.Name) + "::text"
	}
	err = point.QueryRow(ctx, fmt.Sprintf("SELECT count(%s) FILTER (WHERE %s AND s.%[4]s IS NOT NULL) FROM (SELECT (%[3]s)::%[5]s AS %[4]s FROM generate_series(1, %[6]d) AS g(n)) s",
		counted, all(conditions), sql, pg.Ident(c.Name), c.baseName, tried)).Scan(&taken)
	if pg.State(err) != "" {
		return candidate{sql: sql}, nil // it makes no such values
	}
	return candidate{sql: sql, rate: float64(taken) / tried}, err
}

// all is the conjunction of conditions, none of which is false.
func all(conditions []string) string {
	var parts []string
	for _, c := range conditions {
		parts = append(parts, "("+c+") IS NOT FALSE")
	}
	if len(parts) == 0 {
		return "true"
	}
	return strings.Join(parts, " AND ")
}

// choose tries the candidates. Those that the constraints take are used in
// turn; with none of them good, the best one and some patience will do.
func (c *Column) choose(ctx context.Context, tx pgx.Tx, candidates, conditions []string, d draw) error {
	var good []string
	var best candidate
	for _, sql := range candidates {
		one, err := c.try(ctx, tx, sql, conditions)
		if err != nil {
			return err
		}
		if one.rate > best.rate {
			best = one
		}
		if one.rate > 0.4 {
			good = append(good, sql)
		}
	}
	switch {
	case len(good) == 0:
		c.sql = best.sql // empty: there is no way
	case len(good) == 1 || d.distinct:
		c.sql = good[0]
	default:
		c.sql = "CASE " + d.part("choice").dice(int64(len(good)))
		for i, sql := range good {
			c.sql += fmt.Sprintf(" WHEN %d THEN (%s)::%s", i, sql, c.baseName)
		}
		c.sql += " END"
	}
	return nil
}
