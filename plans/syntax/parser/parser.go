// Package parser is PostgreSQL's own parser: libpg_query, in this process or in a
// child that ends with its memory ([Subprocess], [Serve], [Close]). Trees come and go
// as pg_query's protobuf messages.
//
// A text that PostgreSQL would not read is a [*Refusal]; every other error means that
// the parser itself broke, and says nothing about the text.
package parser

import (
	"fmt"
	"strings"
	"sync"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// Requests to a parser and the answers: protobuf of a parse result, of a scan
// result, JSON of a PL/pgSQL body, SQL text.
type request byte

const (
	parseRequest   request = 'p'
	scanRequest    request = 's'
	plpgsqlRequest request = 'l'
	deparseRequest request = 'd'
)

// backend answers requests: in this process or in a child.
type backend interface {
	answer(r request, payload []byte) ([]byte, error)
	close() error
}

// The parser of this process. Only its place can be chosen, by Subprocess.
var current = struct {
	sync.Mutex
	backend backend
}{backend: inProcess{}}

// ask is the one way to the parser.
func ask(r request, payload []byte) ([]byte, error) {
	current.Lock()
	defer current.Unlock()
	return current.backend.answer(r, payload)
}

// Refusal is the parser's own error: the text is not SQL of the version that it
// knows. The server may still read it.
type Refusal struct{ Message string }

func (r *Refusal) Error() string { return r.Message }

// Parse reads a text of any number of statements.
func Parse(sql string) (*pgq.ParseResult, error) {
	if strings.IndexByte(sql, 0) >= 0 {
		return nil, &Refusal{"the text holds a zero byte"}
	}
	tree := new(pgq.ParseResult)
	if err := read(parseRequest, sql, tree); err != nil {
		return nil, err
	}
	return tree, nil
}

// Scan are the tokens of a text, comments among them.
func Scan(sql string) ([]*pgq.ScanToken, error) {
	result := new(pgq.ScanResult)
	if err := read(scanRequest, sql, result); err != nil {
		return nil, err
	}
	return result.GetTokens(), nil
}

// read asks about a text, and reads the answer.
func read(what request, sql string, into proto.Message) error {
	raw, err := ask(what, []byte(sql))
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(raw, into); err != nil {
		return &Refusal{err.Error()}
	}
	return nil
}

// PLpgSQL reads the bodies of a DO block or of a CREATE FUNCTION, as libpg_query's JSON.
func PLpgSQL(sql string) ([]byte, error) { return ask(plpgsqlRequest, []byte(sql)) }

// Deparse writes a tree as SQL. It does not always write the parentheses that the tree
// needs: who relies on the text parses it again.
func Deparse(tree *pgq.ParseResult) (string, error) {
	raw, err := proto.Marshal(tree)
	if err != nil {
		return "", fmt.Errorf("encode a syntax tree: %w", err)
	}
	text, err := ask(deparseRequest, raw)
	return string(text), err
}

// inProcess runs libpg_query in this process: 250 MB from the first parse on.
type inProcess struct{}

func (inProcess) close() error { return nil }

// answer survives a parser that gives up (a tree too deep for its stack): that
// text is not readable, no more. A stack that overflows may also damage the module's
// memory and go on, and what it reads afterwards it refuses, or reads as something else:
// so after each long request, and before a refusal is believed, it is asked for
// something known, and where that goes wrong the request goes to a new module.
func (p inProcess) answer(r request, payload []byte) ([]byte, error) {
	oneAtATime.Lock()
	defer oneAtATime.Unlock()
	for range 2 {
		out, err := p.once(r, payload)
		if err == nil && len(payload) < longRequest || sound() {
			return out, err
		}
		unloadParser()
	}
	return nil, &Refusal{"the parser gave up: its memory was damaged, by a text that is nested too deeply"}
}

// oneAtATime: the module is not for several goroutines at once.
var oneAtATime sync.Mutex

// longRequest is from how many bytes on a text or a tree may be nested deeply enough:
// some 200 levels, of which none takes fewer than five.
const longRequest = 1 << 10

// sound: the module reads what it has always read. A module that is not loaded is.
func sound() bool {
	const known = "WITH a AS (SELECT 1 AS b) UPDATE t SET c = (SELECT b FROM a), d = CASE WHEN e > 7 THEN 'f' ELSE g END WHERE h IN (2, 3)"
	if !parserLoaded() {
		return true
	}
	tree, err := inProcess{}.once(parseRequest, []byte(known))
	if err != nil {
		return false
	}
	text, err := inProcess{}.once(deparseRequest, tree)
	return err == nil && string(text) == known
}

// once is one call, after a panic to a module that is loaded anew.
func (inProcess) once(r request, payload []byte) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			unloadParser() // its memory is in no known state
			out, err = nil, &Refusal{fmt.Sprintf("the parser gave up: %v", p)}
		}
	}()
	lib, err := loadedParser()
	if err != nil {
		return nil, err
	}
	switch r {
	case parseRequest:
		return lib.call(lib.parse, payload)
	case scanRequest:
		return lib.call(lib.scan, payload)
	case plpgsqlRequest:
		return lib.call(lib.plpgsql, payload)
	case deparseRequest:
		return lib.call(lib.deparse, payload)
	}
	return nil, fmt.Errorf("the parser knows no request %q", r)
}
