package traffic

import (
	"fmt"
	"strings"
)

// visitor is told what stands in a configuration, in order. Places are byte
// offsets in the scanned text.
type visitor struct {
	section func(name string)
	include func(path string) error
	item    func(key string, start, end, line int) error // start:end is the value
}

// syntaxError is a place where PgBouncer stops reading.
type syntaxError struct {
	file    string
	line    int
	message string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%s:%d: %s", e.file, e.line, e.message) }

// scanner reads a configuration exactly as PgBouncer does (cfparser.c of its
// libusual): by bytes, lines mattering only where a value or a comment ends.
type scanner struct {
	file, text string
	at         int
}

// scan calls v for what stands in text, and fails where PgBouncer would.
func scan(file, text string, v visitor) error {
	if end := strings.IndexByte(text, 0); end >= 0 {
		text = text[:end] // PgBouncer's ends there
	}
	s := &scanner{file: file, text: text}
	for s.skip(isSpace); s.at < len(s.text); s.skip(isSpace) {
		if err := s.element(v); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) element(v visitor) error {
	rest := s.text[s.at:]
	switch {
	case strings.HasPrefix(rest, "%include") && len(rest) > 8 && isBlank(rest[8]):
		s.at += 8
		s.skip(isBlank)
		start, end := s.restOfLine()
		return v.include(s.text[start:end])
	case rest[0] == '#' || rest[0] == ';':
		s.restOfLine()
		return nil
	case rest[0] == '[':
		return s.section(v)
	}
	return s.item(v)
}

func (s *scanner) section(v visitor) error {
	rest := s.text[s.at+1:]
	end := strings.IndexAny(rest, "]\n")
	if end < 0 || rest[end] != ']' {
		return s.fail("a section's name is not closed by ]")
	}
	s.at += 1 + end + 1
	v.section(rest[:end])
	return nil
}

func (s *scanner) item(v visitor) error {
	line := s.line()
	key, err := s.key()
	if err != nil {
		return err
	}
	s.skip(isBlank)
	if s.at == len(s.text) || s.text[s.at] != '=' {
		return s.fail("a name is not followed by =")
	}
	s.at++
	s.skip(isBlank)
	start, end := s.restOfLine()
	return v.item(key, start, end, line)
}

// key may stand in single quotes: newer PgBouncers allow it, older ones (1.18
// is one) say syntax error, so no file they have loaded holds one.
func (s *scanner) key() (string, error) {
	if s.text[s.at] != '\'' {
		start := s.at
		s.skip(isKey)
		return s.text[start:s.at], nil
	}
	rest := s.text[s.at+1:]
	end := strings.IndexByte(rest, '\'')
	if end <= 0 {
		return "", s.fail("a quoted name is not closed, or empty")
	}
	s.at += 1 + end + 1
	return rest[:end], nil
}

// restOfLine goes to the line's end and gives what stands before it, without
// the spaces at its end.
func (s *scanner) restOfLine() (start, end int) {
	start = s.at
	s.skip(func(c byte) bool { return c != '\n' })
	for end = s.at; end > start && isSpace(s.text[end-1]); end-- {
	}
	return start, end
}

func (s *scanner) skip(class func(byte) bool) {
	for s.at < len(s.text) && class(s.text[s.at]) {
		s.at++
	}
}

func (s *scanner) line() int { return 1 + strings.Count(s.text[:s.at], "\n") }

func (s *scanner) fail(message string) error {
	return &syntaxError{file: s.file, line: s.line(), message: message}
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func isSpace(c byte) bool { return isBlank(c) || c >= '\n' && c <= '\r' }

func isKey(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("_.-*", c) >= 0
}
