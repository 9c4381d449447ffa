package reverse

import (
	"regexp"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// token matches what must be skipped or seen in SQL text: string constants of all
// kinds, comments, names, and single signs.
var token = regexp.MustCompile(`(?s)(?:[eE]'(?:[^'\\]|\\.|'')*')|'(?:[^']|'')*'|\$\$.*?\$\$|--[^\n]*|/\*.*?\*/|"(?:[^"]|"")*"|[A-Za-z_\x{80}-\x{10ffff}][A-Za-z0-9_$\x{80}-\x{10ffff}]*|::|\s+|.`)

// Words are the names in an expression, as the catalogs hold them.
func Words(expression string) (names []string) {
	for _, word := range token.FindAllString(expression, -1) {
		if name, ok := name(word); ok {
			names = append(names, name)
		}
	}
	return names
}

func name(word string) (string, bool) {
	switch first := word[0]; {
	case first == '"' && len(word) > 1:
		return strings.ReplaceAll(word[1:len(word)-1], `""`, `"`), true
	case first == '_' || first >= 'a' && first <= 'z' || first >= 'A' && first <= 'Z' || first >= 0x80:
		return strings.ToLower(word), !strings.Contains(word, "'")
	}
	return "", false
}

// Respell gives the schemas of qualified names in SQL text other names, all at
// once. schemaOf says which: it returns schema itself for what stays. What stands in
// constants and comments stays. table is a name that qualifies columns, and is no
// schema where it does.
func Respell(sql, table string, schemaOf func(schema, object string) string) string {
	words := token.FindAllString(sql, -1)
	var b strings.Builder
	for i, word := range words {
		schema, ok := name(word)
		if !ok || schema == table || i+2 >= len(words) || words[i+1] != "." || i > 0 && words[i-1] == "." {
			b.WriteString(word)
			continue
		}
		object, _ := name(words[i+2])
		if to := schemaOf(schema, object); to != schema {
			word = pg.Ident(to)
		}
		b.WriteString(word)
	}
	return b.String()
}
