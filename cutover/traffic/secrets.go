package traffic

import (
	"fmt"
	"os"
	"strings"
)

// secretKind is what a server or PgBouncer has of a user's password.
type secretKind string

const (
	nothing secretKind = "no password"
	plain   secretKind = "a password"
	md5     secretKind = "an md5 hash"
	scram   secretKind = "a SCRAM secret"
)

// kindOf tells what a text in auth_file or rolpassword is.
func kindOf(secret string) secretKind {
	switch {
	case secret == "":
		return nothing
	case strings.HasPrefix(secret, "SCRAM-SHA-256$"):
		return scram
	case strings.HasPrefix(secret, "md5") && len(secret) == 35:
		return md5
	}
	return plain
}

// authFile reads PgBouncer's auth_file: secrets by user. A relative path is taken
// to start at the main file's folder, as for included files.
func (i *inspection) authFile() (map[string]string, error) {
	path := i.settings["auth_file"]
	if path == "" {
		return map[string]string{}, nil
	}
	text, err := os.ReadFile(beside(i.config, path))
	if err != nil {
		return nil, fmt.Errorf("read PgBouncer's auth_file: %w", err)
	}
	return parseAuthFile(string(text)), nil
}

// parseAuthFile reads "user" "secret" lines as PgBouncer does (loader.c of 1.18):
// a quote inside quotes is doubled, what stands behind is passed over, a line that
// begins with a semicolon is a comment, and at the first line that is none of it
// PgBouncer stops reading. Of two lines of a user the last counts.
func parseAuthFile(text string) map[string]string {
	users := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == ';' {
			continue
		}
		user, rest, ok := quotedWord(line)
		if !ok {
			break
		}
		secret, _, ok := quotedWord(rest[len(before(rest, '"')):])
		if !ok {
			break
		}
		users[user] = secret
	}
	return users
}

// quotedWord reads a word in double quotes from the beginning of a text.
func quotedWord(s string) (word, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		return "", s, false
	}
	var b strings.Builder
	for at := 1; at < len(s); at++ {
		if s[at] == '"' {
			if at+1 == len(s) || s[at+1] != '"' {
				return b.String(), s[at+1:], true
			}
			at++
		}
		b.WriteByte(s[at])
	}
	return "", s, false
}
