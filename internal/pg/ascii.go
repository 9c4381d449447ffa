package pg

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// What we write into a database must be something that its encoding holds, and
// a database may be in LATIN1. Names and rows came from there; text of our own
// is ASCII, in every statement, comment and file of SQL. Text that was put together
// of anything else (an error's words, a migration's line, a path) goes through
// [JSON] or [ASCII].

// JSON is a value as JSON in ASCII, other signs as \u escapes, for columns of
// type json. PostgreSQL reads such escapes only where it must: by -> and ->>,
// which fail on a sign that the database's encoding lacks. Select the column
// whole and decode it here.
func JSON(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return []byte(ASCII(string(text))), nil
}

// ASCII writes every other sign of a text as JSON does, \u20ac, for columns of
// type text. [FromASCII] reads it.
func ASCII(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch first, second := utf16.EncodeRune(r); {
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case first == utf8.RuneError:
			escape(&b, r)
		default:
			escape(&b, first)
			escape(&b, second)
		}
	}
	return b.String()
}

func escape(b *strings.Builder, r rune) {
	b.WriteString(`\u`)
	b.WriteString(strconv.FormatInt(int64(r)+0x10000, 16)[1:])
}

// FromASCII reads what [ASCII] wrote. A text that held such an escape before is
// read as the sign that it stands for.
func FromASCII(text string) string {
	var b strings.Builder
	for text != "" {
		at := strings.Index(text, `\u`)
		if at < 0 {
			break
		}
		b.WriteString(text[:at])
		sign, length := escaped(text[at:])
		b.WriteString(sign)
		text = text[at+length:]
	}
	return b.String() + text
}

// escaped reads the sign at the beginning of a text, and how many bytes it
// takes; what is none stays as it is.
func escaped(text string) (sign string, length int) {
	first, ok := unit(text)
	if !ok {
		return text[:2], 2
	}
	if !utf16.IsSurrogate(first) {
		return string(first), 6
	}
	if second, ok := unit(text[6:]); ok {
		if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
			return string(r), 12
		}
	}
	return text[:6], 6
}

func unit(text string) (rune, bool) {
	if len(text) < 6 || text[:2] != `\u` {
		return 0, false
	}
	n, err := strconv.ParseUint(text[2:6], 16, 16)
	return rune(n), err == nil
}
