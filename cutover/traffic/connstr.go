package traffic

import (
	"errors"
	"strconv"
	"strings"
)

// pair is one key=value of a database entry and where it stands in it.
type pair struct {
	key, value string
	start, end int // of the value as written, quotes included
	next       int // where the next pair may begin
	quoted     quoting
}

// quoting is how a value is written.
type quoting int

const (
	bare quoting = iota
	quoted
)

var errConnection = errors.New("not a list of key=value")

// parsePairs reads an entry's value exactly as PgBouncer does (loader.c,
// cstr_get_pair): only spaces separate, a quote inside quotes is doubled, and
// whatever sign follows a closing quote is dropped.
func parsePairs(s string) ([]pair, error) {
	var all []pair
	for at := skipSpaces(s, 0); at < len(s); at = skipSpaces(s, at) {
		p, err := parsePair(s, at)
		if err != nil {
			return nil, err
		}
		all, at = append(all, p), p.next
	}
	return all, nil
}

func parsePair(s string, at int) (pair, error) {
	end := at
	for end < len(s) && s[end] != '=' && s[end] != ' ' {
		end++
	}
	equals := skipSpaces(s, end)
	if end == at || equals == len(s) || s[equals] != '=' {
		return pair{}, errConnection
	}
	p := pair{key: s[at:end], start: skipSpaces(s, equals+1), quoted: bare}
	if p.start < len(s) && s[p.start] == '\'' {
		p.quoted = quoted
		p.value, p.end = unquote(s, p.start)
	} else {
		p.end = p.start + len(before(s[p.start:], ' '))
		p.value = s[p.start:p.end]
	}
	p.next = min(p.end+1, len(s))
	if p.value == "" || p.end == 0 {
		return pair{}, errConnection
	}
	return p, nil
}

// unquote reads a quoted value that begins at from; end 0 if it is not closed.
func unquote(s string, from int) (value string, end int) {
	var b strings.Builder
	for i := from + 1; i < len(s); i++ {
		if s[i] == '\'' {
			if i+1 == len(s) || s[i+1] != '\'' {
				return b.String(), i + 1
			}
			i++
		}
		b.WriteByte(s[i])
	}
	return "", 0
}

func skipSpaces(s string, at int) int {
	for at < len(s) && s[at] == ' ' {
		at++
	}
	return at
}

func before(s string, end byte) string {
	if i := strings.IndexByte(s, end); i >= 0 {
		return s[:i]
	}
	return s
}

// addressOf is where an entry leads: the last of each key counts, and what is
// left out is PgBouncer's default.
func addressOf(database string, pairs []pair) Address {
	a := Address{Port: 5432, Database: database}
	for _, p := range pairs {
		switch p.key {
		case "host":
			a.Host = p.value
		case "port":
			a.Port = leadingNumber(p.value)
		case "dbname":
			a.Database = p.value
		}
	}
	return a
}

// leadingNumber is C's atoi.
func leadingNumber(s string) int {
	s = strings.TrimLeft(s, " \t")
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	n, _ := strconv.Atoi(s[:end])
	return n
}

// edit replaces text[start:end].
type edit struct {
	start, end int
	text       string
}

// apply makes edits that do not overlap and are in order.
func apply(text string, edits []edit) string {
	var b strings.Builder
	done := 0
	for _, e := range edits {
		b.WriteString(text[done:e.start] + e.text)
		done = e.end
	}
	return b.String() + text[done:]
}

// redirect is an entry's value with another address; every other byte stays.
// A key that stands there twice is changed twice; what is missing goes behind
// the last that is there.
func redirect(value string, to Address) (string, error) {
	pairs, err := parsePairs(value)
	if err != nil {
		return "", err
	}
	wanted := map[string]string{"host": to.Host, "port": strconv.Itoa(to.Port), "dbname": to.Database}
	var edits []edit
	seen, last := map[string]bool{}, pair{}
	for _, p := range pairs {
		if text, ours := wanted[p.key]; ours {
			edits = append(edits, edit{p.start, p.end, written(text, p.quoted)})
			seen[p.key], last = true, p
		}
	}
	var missing []string
	for _, key := range []string{"host", "port", "dbname"} {
		if !seen[key] {
			missing = append(missing, key+"="+quoteIfNeeded(wanted[key]))
		}
	}
	if len(missing) > 0 {
		edits = append(edits, insertion(value, last, strings.Join(missing, " ")))
	}
	return apply(value, edits), nil
}

// insertion puts text behind a pair, or at the beginning where there is none,
// parted by spaces from what stands around.
func insertion(value string, behind pair, text string) edit {
	at := behind.next
	if at > 0 && at == behind.end { // the value ends with the pair
		text = " " + text
	}
	if at < len(value) {
		text += " "
	}
	return edit{at, at, text}
}

// written is a value in the way the one before it was. What was quoted stays
// so: PgBouncer drops the sign after a closing quote, whatever it is.
func written(value string, before quoting) string {
	if before == quoted {
		return quote(value)
	}
	return quoteIfNeeded(value)
}

// quoteIfNeeded: a tab separates nothing, but at a line's end it is cut off.
func quoteIfNeeded(value string) string {
	if strings.ContainsAny(value, " '\t") {
		return quote(value)
	}
	return value
}

func quote(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }
