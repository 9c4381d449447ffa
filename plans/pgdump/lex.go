package pgdump

import "strings"

// Kind of a token.
type Kind byte

// The kinds that tell structure from content.
const (
	Word   Kind = 'w' // a name or keyword without quotes, a number
	Quoted Kind = 'q' // a name in double quotes
	String Kind = 's' // a literal of any form
	Symbol Kind = '.' // one byte of anything else
)

// Token is a piece of SQL text.
type Token struct {
	Kind       Kind
	Text       string // as it stands there
	Start, End int    // bytes in the whole text
}

// Is reports whether a token is that keyword or symbol: never a literal or a
// name in quotes, whatever these hold.
func (t Token) Is(text string) bool { return (t.Kind == Word || t.Kind == Symbol) && t.Text == text }

// Name is what a token that is a name stands for. ok: it is one.
func (t Token) Name() (name string, ok bool) {
	switch t.Kind {
	case Word:
		return t.Text, true
	case Quoted:
		return strings.ReplaceAll(t.Text[1:len(t.Text)-1], `""`, `"`), true
	}
	return "", false
}

// Lex splits SQL text that pg_dump or the server wrote into tokens by the
// server's lexical rules, where a backslash in a plain literal is one
// (standard_conforming_strings, which our sessions and dumps pin). Spaces and
// comments are left out. ok: it ends outside of literals, names and comments.
func Lex(sql string) (tokens []Token, ok bool) {
	for at := 0; at < len(sql); {
		kind, end := next(sql, at)
		if end < 0 {
			return tokens, false
		}
		if kind != 0 {
			tokens = append(tokens, Token{Kind: kind, Text: sql[at:end], Start: at, End: end})
		}
		at = end
	}
	return tokens, true
}

// next finds the end of what begins at a place; kind 0: nothing that counts, end
// below 0: it has no end.
func next(sql string, at int) (kind Kind, end int) {
	rest := sql[at:]
	switch c := rest[0]; {
	case strings.IndexByte(" \t\n\r\f\v", c) >= 0:
		return 0, at + 1
	case strings.HasPrefix(rest, "--"):
		if line := strings.IndexAny(rest, "\n\r"); line >= 0 {
			return 0, at + line
		}
		return 0, len(sql)
	case strings.HasPrefix(rest, "/*"):
		return 0, commentEnd(sql, at)
	case c == '"':
		return Quoted, quoteEnd(sql, at+1, '"')
	case c == '\'':
		return String, quoteEnd(sql, at+1, '\'')
	case c == '$':
		return dollar(sql, at)
	case inWord(c):
		return word(sql, at)
	}
	return Symbol, at + 1
}

func inWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80
}

// word is a name, a keyword, a number, or the letter before a literal.
func word(sql string, at int) (Kind, int) {
	end := at
	for end < len(sql) && (inWord(sql[end]) || sql[end] == '$') {
		end++
	}
	if end == len(sql) || sql[end] != '\'' || end > at+1 {
		return Word, end
	}
	switch sql[at] {
	case 'e', 'E':
		return String, escapedEnd(sql, end+1)
	case 'b', 'B', 'x', 'X', 'n', 'N':
		return String, quoteEnd(sql, end+1, '\'')
	}
	return Word, end
}

// quoteEnd: a quote within is written twice.
func quoteEnd(sql string, at int, quote byte) int {
	for ; at < len(sql); at++ {
		if sql[at] != quote {
			continue
		}
		if at+1 < len(sql) && sql[at+1] == quote {
			at++
			continue
		}
		return at + 1
	}
	return -1
}

func escapedEnd(sql string, at int) int {
	for ; at < len(sql); at++ {
		switch {
		case sql[at] == '\\', strings.HasPrefix(sql[at:], "''"):
			at++
		case sql[at] == '\'':
			return at + 1
		}
	}
	return -1
}

// commentEnd: comments of this form nest.
func commentEnd(sql string, at int) int {
	depth := 0
	for ; at+1 < len(sql); at++ {
		switch sql[at : at+2] {
		case "/*":
			depth++
			at++
		case "*/":
			depth--
			at++
			if depth == 0 {
				return at + 1
			}
		}
	}
	return -1
}

// dollar is a literal between two tags, or a sign by itself.
func dollar(sql string, at int) (Kind, int) {
	end := at + 1
	for end < len(sql) && inWord(sql[end]) {
		end++
	}
	digit := sql[at+1:end] != "" && sql[at+1] >= '0' && sql[at+1] <= '9'
	if end == len(sql) || sql[end] != '$' || digit {
		return Symbol, at + 1
	}
	tag := sql[at : end+1]
	if size := strings.Index(sql[end+1:], tag); size >= 0 {
		return String, end + 1 + size + len(tag)
	}
	return String, -1
}
