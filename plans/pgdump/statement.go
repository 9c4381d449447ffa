package pgdump

import (
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Closing is where the bracket that opens at a token is closed; below 0: nowhere.
func Closing(tokens []Token, open int) int {
	depth := 0
	for i := open; i >= 0 && i < len(tokens); i++ {
		switch {
		case tokens[i].Is("("), tokens[i].Is("["):
			depth++
		case tokens[i].Is(")"), tokens[i].Is("]"):
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// Items splits what is in the brackets that open at a token at its commas.
func Items(tokens []Token, open int) (items [][]Token, closing int) {
	if closing = Closing(tokens, open); closing < 0 {
		return nil, -1
	}
	start, depth := open+1, 0
	for i := open + 1; i <= closing; i++ {
		switch {
		case i == closing, depth == 0 && tokens[i].Is(","):
			if i > start {
				items = append(items, tokens[start:i])
			}
			start = i + 1
		case tokens[i].Is("("), tokens[i].Is("["):
			depth++
		case tokens[i].Is(")"), tokens[i].Is("]"):
			depth--
		}
	}
	return items, closing
}

// Text is what tokens that follow each other stand for in their text.
func Text(sql string, tokens []Token) string {
	if len(tokens) == 0 {
		return ""
	}
	return sql[tokens[0].Start:tokens[len(tokens)-1].End]
}

// words takes keywords and symbols off the beginning.
func words(tokens []Token, all string) (rest []Token, ok bool) {
	for _, w := range strings.Fields(all) {
		if len(tokens) == 0 || !tokens[0].Is(w) {
			return nil, false
		}
		tokens = tokens[1:]
	}
	return tokens, true
}

// maybe takes them off if they are there.
func maybe(tokens []Token, all string) []Token {
	if rest, ok := words(tokens, all); ok {
		return rest
	}
	return tokens
}

// qualified takes a name with its schema off the beginning.
func qualified(tokens []Token) (n pg.Name, rest []Token, ok bool) {
	if len(tokens) < 3 || !tokens[1].Is(".") {
		return n, nil, false
	}
	var schema, name bool
	n.Schema, schema = tokens[0].Name()
	n.Name, name = tokens[2].Name()
	return n, tokens[3:], schema && name
}

// single is a text of one statement, without the semicolon behind it.
func single(sql string) (tokens []Token, ok bool) {
	tokens, ok = Lex(sql)
	if n := len(tokens); n > 0 && tokens[n-1].Is(";") {
		tokens = tokens[:n-1]
	}
	for _, t := range tokens {
		ok = ok && !t.Is(";")
	}
	return tokens, ok
}

// CreateTable is the statement that makes a table, taken apart.
type CreateTable struct {
	Name        string    // as the text spells it
	Head        string    // all before the bracket that opens the columns
	Items       [][]Token // columns and constraints
	Tail        string    // from the bracket that closes them, with the statements that follow
	Partitioned bool

	inherits [2]int // where INHERITS (…) stands in Tail
}

// ParseTable reads an entry of the tag TABLE. ok: it is written as expected.
func ParseTable(sql string) (t CreateTable, ok bool) {
	tokens, ok := Lex(sql)
	if !ok {
		return t, false
	}
	for len(tokens) > 0 && tokens[0].Is("SET") {
		end := 0
		for end < len(tokens) && !tokens[end].Is(";") {
			end++
		}
		tokens = tokens[min(end+1, len(tokens)):]
	}
	if tokens, ok = words(tokens, "CREATE"); !ok {
		return t, false
	}
	if tokens, ok = words(maybe(tokens, "UNLOGGED"), "TABLE"); !ok {
		return t, false
	}
	_, rest, ok := qualified(tokens)
	if !ok || len(rest) == 0 || !rest[0].Is("(") {
		return t, false
	}
	t.Name, t.Head = Text(sql, tokens[:3]), sql[:rest[0].Start]
	var closing int
	if t.Items, closing = Items(rest, 0); closing < 0 {
		return t, false
	}
	t.behind(sql, rest[closing:])
	return t, true
}

func (t *CreateTable) behind(sql string, tokens []Token) {
	start := tokens[0].Start
	t.Tail = sql[start:]
	_, t.Partitioned = words(tokens[1:], "PARTITION BY")
	if _, found := words(tokens[1:], "INHERITS ("); found {
		if closing := Closing(tokens, 2); closing > 0 {
			t.inherits = [2]int{tokens[1].Start - start, tokens[closing].End - start}
		}
	}
}

// WithoutParents is the tail of a table that inherits from none.
func (t CreateTable) WithoutParents() string {
	return strings.TrimRight(t.Tail[:t.inherits[0]], "\n") + t.Tail[t.inherits[1]:]
}

// ForeignKey is an entry that adds one, taken apart.
type ForeignKey struct {
	Table      pg.Name
	Name       string
	References pg.Name
	Definition string // FOREIGN KEY …, without NOT VALID
	NotValid   bool
}

// ParseForeignKey reads an entry of the tag FK CONSTRAINT.
func ParseForeignKey(sql string) (k ForeignKey, ok bool) {
	tokens, ok := single(sql)
	if !ok {
		return k, false
	}
	if tokens, ok = words(tokens, "ALTER TABLE"); !ok {
		return k, false
	}
	if k.Table, tokens, ok = qualified(maybe(tokens, "ONLY")); !ok {
		return k, false
	}
	if tokens, ok = words(tokens, "ADD CONSTRAINT"); !ok || len(tokens) == 0 {
		return k, false
	}
	if k.Name, ok = tokens[0].Name(); !ok {
		return k, false
	}
	tokens = tokens[1:]
	if _, ok = words(tokens, "FOREIGN KEY"); !ok {
		return k, false
	}
	if n := len(tokens); n > 2 && tokens[n-2].Is("NOT") && tokens[n-1].Is("VALID") {
		k.NotValid, tokens = true, tokens[:n-2]
	}
	k.Definition = Text(sql, tokens)
	for i := range tokens { // a column of that name stands in quotes
		if tokens[i].Is("REFERENCES") {
			k.References, _, ok = qualified(tokens[i+1:])
			return k, ok
		}
	}
	return k, false
}

// ParseAttach reads an entry of the tag TABLE ATTACH.
func ParseAttach(sql string) (parent, child pg.Name, ok bool) {
	tokens, ok := single(sql)
	if !ok {
		return parent, child, false
	}
	if tokens, ok = words(tokens, "ALTER TABLE ONLY"); !ok {
		return parent, child, false
	}
	if parent, tokens, ok = qualified(tokens); !ok {
		return parent, child, false
	}
	if tokens, ok = words(tokens, "ATTACH PARTITION"); !ok {
		return parent, child, false
	}
	child, _, ok = qualified(tokens)
	return parent, child, ok
}

// ConstraintComment is a comment on a constraint of a table.
type ConstraintComment struct {
	Name  string
	Table pg.Name
	Text  string // as a literal
}

// ParseConstraintComment reads an entry of the tag COMMENT; ok: it is on a
// constraint of a table.
func ParseConstraintComment(sql string) (c ConstraintComment, ok bool) {
	tokens, ok := single(sql)
	if !ok {
		return c, false
	}
	if tokens, ok = words(tokens, "COMMENT ON CONSTRAINT"); !ok || len(tokens) == 0 {
		return c, false
	}
	if c.Name, ok = tokens[0].Name(); !ok {
		return c, false
	}
	if tokens, ok = words(tokens[1:], "ON"); !ok {
		return c, false
	}
	if c.Table, tokens, ok = qualified(tokens); !ok {
		return c, false
	}
	if tokens, ok = words(tokens, "IS"); !ok || len(tokens) != 1 || tokens[0].Kind != String {
		return c, false
	}
	c.Text = tokens[0].Text
	return c, true
}
