package planner

import (
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/plans/pgdump"
)

// rolesNamed are the roles that migrations make owners of something, or act as.
func rolesNamed(texts map[int64]string) []string {
	var names []string
	for _, text := range texts {
		tokens, _ := pgdump.Lex(text)
		for _, i := range rolePlaces(tokens) {
			names = append(names, roleName(tokens[i]))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// renameRoles writes stand-ins for the roles that they replace, where statements
// name a role. The body of a function or of a DO block is text, and stays.
func (m *trial) renameRoles(texts map[int64]string) {
	for version := range m.trace.statements {
		texts[version] = m.scratch.guest.masked(texts[version])
		for i := range m.trace.statements[version] {
			m.trace.statements[version][i].SQL = m.scratch.guest.masked(m.trace.statements[version][i].SQL)
		}
	}
}

func (g *guest) masked(text string) string {
	tokens, _ := pgdump.Lex(text)
	var b strings.Builder
	at := 0
	for _, i := range rolePlaces(tokens) {
		if standIn, there := g.standIns[roleName(tokens[i])]; there {
			b.WriteString(text[at:tokens[i].Start] + standIn)
			at = tokens[i].End
		}
	}
	return b.String() + text[at:]
}

// roleName is the role that a token names: without quotes it is in lower case.
func roleName(t pgdump.Token) string {
	name, _ := t.Name()
	if t.Kind == pgdump.Word {
		return strings.ToLower(name)
	}
	return name
}

// rolePlaces finds the tokens that are names of roles: of owners, of those that a
// statement acts as or for, and of whom privileges are given to or taken from.
func rolePlaces(tokens []pgdump.Token) (places []int) {
	is := func(i int, word string) bool {
		return i >= 0 && i < len(tokens) && (tokens[i].Kind == pgdump.Word || tokens[i].Kind == pgdump.Symbol) && strings.EqualFold(tokens[i].Text, word)
	}
	list := func(i int) { // one or more names
		for ; i < len(tokens); i += 2 {
			if _, name := tokens[i].Name(); !name {
				return
			}
			places = append(places, i)
			if !is(i+1, ",") {
				return
			}
		}
	}
	privileges := false // the statement gives or takes them
	for i := range tokens {
		begins := i == 0 || is(i-1, ";")
		switch {
		case begins:
			privileges = is(i, "GRANT") || is(i, "REVOKE") || is(i, "ALTER") && is(i+1, "DEFAULT") && is(i+2, "PRIVILEGES")
			if is(i, "SET") && (is(i+1, "LOCAL") || is(i+1, "SESSION")) && is(i+2, "ROLE") {
				list(i + 3)
			} else if is(i, "SET") && is(i+1, "ROLE") {
				list(i + 2)
			}
		case is(i-1, "OWNER") && is(i, "TO"):
			list(i + 1)
		case is(i, "AUTHORIZATION") && !is(i-1, "SESSION"):
			list(i + 1)
		case privileges && (is(i, "TO") || is(i, "FROM") || is(i-1, "FOR") && (is(i, "ROLE") || is(i, "USER"))):
			list(i + 1)
		}
	}
	return places
}
