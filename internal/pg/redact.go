package pg

import (
	"regexp"
	"slices"
	"strings"
)

const hidden = "***"

var (
	urlSecret     = regexp.MustCompile(`(?i)([?&](?:ssl)?password=)[^&]*`)
	keywordSecret = regexp.MustCompile(`(?i)((?:^|\s)(?:ssl)?password\s*=\s*)('(?:[^'\\]|\\.)*(?:'|$)|(?:[^\s\\]|\\.)*)`)
)

// RedactDSN is a connection string as it may be shown: passwords replaced by
// ***. Where it is malformed it rather hides too much.
func RedactDSN(dsn string) string {
	if scheme, rest, ok := cutScheme(dsn); ok {
		return redactURL(scheme, rest)
	}
	return keywordSecret.ReplaceAllString(dsn, "${1}"+hidden)
}

var (
	urlInText     = regexp.MustCompile("postgres(?:ql)?://[^\\s\"'`<>]+")
	keywordInText = regexp.MustCompile("(?i)([\\s\"'`(,](?:ssl)?password\\s*=\\s*)('(?:[^'\\\\]|\\\\.)*(?:'|$)|[^\\s\"'`),]*)")
)

// Redact hides the passwords of connection strings inside any text, for
// messages that came from elsewhere.
func Redact(text string) string {
	text = urlInText.ReplaceAllStringFunc(text, RedactDSN)
	return keywordInText.ReplaceAllString(" "+text, "${1}"+hidden)[1:]
}

func cutScheme(dsn string) (scheme, rest string, ok bool) {
	scheme, rest, ok = strings.Cut(dsn, "://")
	return scheme + "://", rest, ok && (scheme == "postgres" || scheme == "postgresql")
}

func redactURL(scheme, rest string) string {
	at := endOfUser(rest)
	after := urlSecret.ReplaceAllString(rest[at:], "${1}"+hidden)
	name, _, password := strings.Cut(rest[:at], ":")
	if password {
		name += ":" + hidden
	}
	return scheme + name + after
}

var plainQuery = regexp.MustCompile(`^[a-z_]+=[^&]*(&[a-z_]+=[^&]*)*$`)

// endOfUser is where user:password ends in what follows the scheme: at the @
// before the host. A password that was not percent-encoded may hold @, / or ?,
// so unless all the rest is sound it ends at the last @ there is.
func endOfUser(rest string) int {
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	path, query, _ := strings.Cut(rest[end:], "?")
	if !strings.ContainsAny(path, "@#") && (!strings.Contains(query, "@") || plainQuery.MatchString(query)) {
		return max(0, strings.LastIndexByte(rest[:end], '@'))
	}
	return max(0, strings.LastIndexByte(rest, '@'))
}

// WithoutPassword is a connection string with no password in it, for writing
// down, and whether it had one. Meant for strings that did connect.
func WithoutPassword(dsn string) (clean string, had bool) {
	if RedactDSN(dsn) == dsn {
		return dsn, false
	}
	scheme, rest, isURL := cutScheme(dsn)
	if !isURL {
		return strings.TrimSpace(keywordSecret.ReplaceAllString(dsn, "")), true
	}
	at := endOfUser(rest)
	name, _, _ := strings.Cut(rest[:at], ":")
	base, query, _ := strings.Cut(rest[at:], "?")
	kept := slices.DeleteFunc(strings.Split(query, "&"), func(part string) bool {
		return part == "" || urlSecret.MatchString("?"+part)
	})
	if len(kept) > 0 {
		base += "?" + strings.Join(kept, "&")
	}
	return scheme + name + base, true
}
