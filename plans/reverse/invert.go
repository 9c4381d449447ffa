package reverse

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Inverse is the way back of an expression over one column.
type Inverse struct {
	Expression string
	// Type is the expression's own, from which the old column's is assigned.
	Type string
}

var (
	wrappedCast  = regexp.MustCompile(`^\((.*)\)::([a-z ]+(?:\(\d+(?:,\d+)?\))?)$`)
	withConstant = regexp.MustCompile(`^("(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)\s*([-+*/])\s*(\d+(?:\.\d+)?)$`)
	fromConstant = regexp.MustCompile(`^(\d+(?:\.\d+)?)\s*([+*])\s*("(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)$`)
	negated      = regexp.MustCompile(`^(-|(?i:NOT)\s)\s*("(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)$`)
)

// Invert finds the way back of an expression over the old column (its name and type) that fills the new one: only where each old value has
// one new value of its own, by what the expression and the types are, and the way
// back gives it exactly. Sums, differences, products and quotients with a
// constant; signs; NOT.
func Invert(expression, column, from, newColumn, to string) (Inverse, bool) {
	text := bare(expression)
	if m := wrappedCast.FindStringSubmatch(text); m != nil && balanced(m[1]) {
		if m[2] != to && (!parse(m[2]).whole() || !parse(to).whole()) && parse(m[2]) != parse(to) {
			return Inverse{}, false // a type in between may round
		}
		text = bare(m[1])
	}
	if m := negated.FindStringSubmatch(text); m != nil && pg.Unquoted(m[2]) == column {
		return invertSign(strings.TrimSpace(strings.ToUpper(m[1])), from, newColumn, to)
	}
	m := withConstant.FindStringSubmatch(text)
	if m == nil {
		if m = fromConstant.FindStringSubmatch(text); m != nil {
			m[1], m[3] = m[3], m[1]
		}
	}
	if m == nil || pg.Unquoted(m[1]) != column {
		return Inverse{}, false
	}
	constant, ok := new(big.Rat).SetString(m[3])
	if !ok || constant.Sign() == 0 {
		return Inverse{}, false
	}
	return invertArithmetic(m[2], m[3], constant, parse(from), parse(to), newColumn)
}

func invertSign(sign, from, newColumn, to string) (Inverse, bool) {
	f, t := parse(from), parse(to)
	switch {
	case sign == "NOT" && from == "boolean" && to == "boolean":
		return Inverse{Expression: "NOT " + newColumn, Type: "boolean"}, true
	case sign == "-" && (f.whole() && (t.whole() || t.name == "numeric" && t.first < 0) || f.name == "numeric" && f == t):
		return Inverse{Expression: "(-" + newColumn + "::numeric)", Type: "numeric"}, true
	}
	return Inverse{}, false
}

// invertArithmetic reckons in numeric: sums and products are exact there.
func invertArithmetic(operator, text string, c *big.Rat, f, t typ, newColumn string) (Inverse, bool) {
	digits, exact := c.FloatPrec()
	if !exact || !f.whole() && (f.name != "numeric" || f.first < 0) || !t.whole() && t.name != "numeric" {
		return Inverse{}, false
	}
	scale := 0 // digits behind the point that the old value has
	if !f.whole() {
		scale = max(f.scale, 0)
	}
	needs, back := 0, ""
	returns := func(digits int) int { return digits } // digits behind the point that come back
	switch operator {
	case "+", "-":
		needs = max(scale, digits)
		back = map[string]string{"+": " - ", "-": " + "}[operator] + text
		returns = func(given int) int { return max(given, digits) }
	case "*":
		inverse := new(big.Rat).Inv(c)
		places, finite := inverse.FloatPrec()
		if !finite {
			return Inverse{}, false
		}
		needs = afterProduct(scale, c)
		back = " * " + inverse.FloatString(places)
		returns = func(given int) int { return afterProduct(given, inverse) }
	case "/":
		places, finite := new(big.Rat).Inv(c).FloatPrec()
		// Integers are divided without a rest, and a quotient has sixteen digits.
		if whole := f.whole() && !strings.Contains(text, "."); whole || !finite || quotientDigits(f)+places > 16 {
			return Inverse{}, false
		}
		needs = scale + places
		back = " * " + text
		returns = func(given int) int { return afterProduct(given, c) }
	}
	if holds := t.name == "numeric" && t.first < 0; !holds && needs > max(0, targetScale(t)) {
		return Inverse{}, false // rounded on the way there
	}
	out := Inverse{Expression: "(" + newColumn + "::numeric" + back + ")", Type: "numeric"}
	if t.whole() || t.first >= 0 {
		behind := returns(max(0, targetScale(t)))
		out.Type = fmt.Sprintf("numeric(%d,%d)", behind+mostBefore, behind)
	}
	return out, true
}

// mostBefore is more digits than an integer has before the point.
const mostBefore = 40

// afterProduct is how many digits behind the point a value with so many has once
// it is multiplied.
func afterProduct(scale int, c *big.Rat) int {
	unit := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
	places, _ := unit.Mul(unit, c).FloatPrec()
	return places
}

func quotientDigits(f typ) int {
	if f.whole() {
		_, _, digits := f.limits()
		return digits
	}
	return f.first
}

func targetScale(t typ) int {
	if t.whole() {
		return 0
	}
	return t.scale
}

// bare takes parentheses off that hold all of an expression.
func bare(text string) string {
	text = strings.TrimSpace(text)
	for len(text) > 1 && text[0] == '(' && text[len(text)-1] == ')' && balanced(text[1:len(text)-1]) {
		text = strings.TrimSpace(text[1 : len(text)-1])
	}
	return text
}

// balanced: no parenthesis is closed that was not opened. A text with quotes is
// not looked into.
func balanced(text string) bool {
	depth := 0
	for _, r := range text {
		switch r {
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return false
			}
		case '\'':
			return false
		}
	}
	return depth == 0 && text != ""
}
