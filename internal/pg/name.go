package pg

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Name is a schema-qualified name of an object, unquoted as the catalogs hold it.
type Name struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

// ParseName reads a name as people write it in a plan file: shop.orders,
// shop."Order.Items". Unquoted parts are taken as they stand, not folded to
// lower case, since plan files hold names as the catalogs do.
func ParseName(s string) (Name, error) {
	first, rest, err := namePart(s)
	if err != nil {
		return Name{}, err
	}
	if !strings.HasPrefix(rest, ".") {
		return Name{}, fmt.Errorf("%q is not a schema-qualified name (schema.table)", s)
	}
	second, rest, err := namePart(rest[1:])
	if err != nil {
		return Name{}, err
	}
	if rest != "" || first == "" || second == "" {
		return Name{}, fmt.Errorf("%q is not a schema-qualified name (schema.table)", s)
	}
	return Name{Schema: first, Name: second}, nil
}

func namePart(s string) (part, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		if i := strings.IndexByte(s, '.'); i >= 0 {
			return s[:i], s[i:], nil
		}
		return s, "", nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '"':
			b.WriteByte(s[i])
		case strings.HasPrefix(s[i+1:], `"`):
			b.WriteByte('"')
			i++
		default:
			return b.String(), s[i+1:], nil
		}
	}
	return "", "", fmt.Errorf("%s: a quote is not closed", s)
}

// IsZero reports whether the name is empty.
func (n Name) IsZero() bool { return n == Name{} }

// String is the name as people write it; [ParseName] reads it back.
func (n Name) String() string { return readable(n.Schema) + "." + readable(n.Name) }

func readable(part string) string {
	if strings.ContainsAny(part, `."`) {
		return Ident(part)
	}
	return part
}

// Quoted is the name as SQL text.
func (n Name) Quoted() string { return Ident(n.Schema) + "." + Ident(n.Name) }

// Ident quotes one identifier. Every name in SQL text of ours goes through
// here or through [Name.Quoted].
func Ident(s string) string { return pgx.Identifier{s}.Sanitize() }

// Idents quotes identifiers and joins them with commas.
func Idents(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = Ident(n)
	}
	return strings.Join(quoted, ", ")
}

// Literal quotes a string constant for places where SQL takes no parameter
// (utility statements, trigger arguments). Independent of
// standard_conforming_strings.
func Literal(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

// Unquoted is the name that an identifier of PostgreSQL's own text stands for:
// pg_dump and the catalogs quote what is not in lower case.
func Unquoted(identifier string) string {
	if strings.HasPrefix(identifier, `"`) {
		return strings.ReplaceAll(identifier[1:len(identifier)-1], `""`, `"`)
	}
	return identifier
}

var element = regexp.MustCompile(`"(?:[^"]|"")*"|[^\s,"]+`)

// Elements are those of a setting that is a list (search_path), as they stand
// there: with their quotes.
func Elements(list string) []string { return element.FindAllString(list, -1) }

// Named is the name that an element of a list stands for: case counts in quotes alone.
func Named(element string) string {
	if name := Unquoted(element); name != element {
		return name
	}
	return strings.ToLower(element)
}
