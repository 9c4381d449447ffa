package planner

import (
	"regexp"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/plans/catalog"
)

var reference = regexp.MustCompile(`^\(*("(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)\)*((?:::[a-zA-Z0-9_ ."$,()\[\]]+?)\)*)*$`)

// plainReference is the one column that an expression names, cast at most; ""
// if the expression is more than that.
func plainReference(expression string) string {
	found := reference.FindStringSubmatch(strings.TrimSpace(expression))
	if found == nil {
		return ""
	}
	name := found[1]
	switch {
	case strings.HasPrefix(name, `"`):
		return strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)
	case slices.Contains([]string{"null", "true", "false", "current_timestamp", "current_date", "current_user", "localtimestamp", "current_time", "localtime", "session_user", "user", "current_role"}, name):
		return ""
	}
	return name
}

// token matches what must be skipped or seen in an expression: string
// constants of all kinds, names, and single signs.
var token = regexp.MustCompile(`(?s)(?:[eE]'(?:[^'\\]|\\.|'')*')|'(?:[^']|'')*'|\$\$.*?\$\$|"(?:[^"]|"")*"|[A-Za-z_\x{80}-\x{10ffff}][A-Za-z0-9_$\x{80}-\x{10ffff}]*|::|\s+|.`)

// columnsRead lists the columns of a table that an expression names, as far as
// its words tell: more rather than fewer.
func columnsRead(expression string, t *catalog.Table) []string {
	var read []string
	for _, word := range token.FindAllString(expression, -1) {
		name := strings.ToLower(word)
		if strings.HasPrefix(word, `"`) && len(word) > 1 {
			name = strings.ReplaceAll(word[1:len(word)-1], `""`, `"`)
		}
		if _, ok := t.ColumnNamed(name); ok && !strings.HasPrefix(word, "'") && !slices.Contains(read, name) {
			read = append(read, name)
		}
	}
	return read
}
