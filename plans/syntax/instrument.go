package syntax

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax/parser"
)

// Instrumented is a migration file as scratch should run it.
type Instrumented struct {
	// SQL has the lines of the original.
	SQL     string
	Facts   []Fact
	Notices []Notice
	// Statements in the order of the file.
	Statements []Statement
}

// Statement is where a statement stands.
type Statement struct {
	Line, EndLine int // from 1, of its first and last token
	SQL           string
	LeftOut       bool // of scratch's text: it acts on the whole server
	Liftable      bool // may run with rights that the others lack: it runs nobody's code
	Sets          bool // sets a parameter of the session
}

// Statement finds what an error in a line is about: the statement there, else
// the last one that begins before it. Not ok: the file holds none.
func (i Instrumented) Statement(line int) (s Statement, ok bool) {
	for _, candidate := range i.Statements {
		if candidate.Line > line && ok {
			break
		}
		s, ok = candidate, true
		if line <= candidate.EndLine {
			break
		}
	}
	return s, ok
}

// Instrument prepares one migration file for scratch: marks around what changes
// data, and without what would act on the whole server. Facts are numbered from
// nextID on, which must be above 0. A file that cannot be parsed is left as it
// is and reported; the error is one of the parser process.
func Instrument(file, sql string, nextID int) (Instrumented, error) {
	return InstrumentAs(Manners{}, file, sql, nextID)
}

// Manners are how a file's statements run, where that is not as one text.
type Manners struct {
	// Each is sent by itself, a transaction of its own: what must be alone there, is.
	Each bool
	// Deferred run in the swap: marked, and left out of scratch's text.
	Deferred []Place
}

// InstrumentAs is [Instrument] for a file that does not run as one text.
func InstrumentAs(m Manners, file, sql string, nextID int) (Instrumented, error) {
	return instrument(&instrumentation{file: file, sql: sql, nextID: nextID, leftOut: map[int]bool{}, each: m.Each, deferred: m.Deferred})
}

func instrument(f *instrumentation) (Instrumented, error) {
	file, sql, nextID := f.file, f.sql, f.nextID
	err := f.read()
	if refused := new(parser.Refusal); errors.As(err, &refused) {
		return Instrumented{SQL: sql, Notices: []Notice{unparsed(file, sql, refused)},
			Facts:      []Fact{{ID: nextID, File: file, Line: 1, SQL: sql, Kind: Unread}},
			Statements: []Statement{{Line: 1, EndLine: 1 + strings.Count(sql, "\n"), SQL: sql}}}, nil
	}
	if err != nil {
		return Instrumented{}, fmt.Errorf("read %s: %w", file, err)
	}
	if err := f.lay(); err != nil {
		return Instrumented{}, fmt.Errorf("read %s: %w", file, err)
	}
	return Instrumented{SQL: f.apply(), Facts: f.facts, Notices: f.notices, Statements: f.statements()}, nil
}

func unparsed(file, sql string, why *parser.Refusal) Notice {
	n := Notice{Level: Warning, Code: CodeUnparsed, Object: file, Where: file + ":1",
		Message: "the parser cannot read this file (" + why.Message + "); it runs in scratch as it is"}
	if dataWords(sql) {
		n.Level, n.Opaque = Blocker, true
		n.Message += ", and what it does to rows cannot be inferred"
		n.Fix = "if the file runs on the server as it is, write what it does to rows in the plan file under tables (columns, where or from), and move its data changes to a file of their own in plain SQL"
	}
	return n
}

// piece is one statement of the file with its place: byte offsets of its first
// token, behind its last one, and behind its semicolon.
type piece struct {
	node               *pgq.Node
	tokens             []*pgq.ScanToken
	start, end, behind int
}

// edit replaces bytes [start, end) of the file.
type edit struct {
	start, end int
	text       string
}

type instrumentation struct {
	file, sql string
	nextID    int
	each      bool // statements are sent one by one
	deferred  []Place
	pieces    []piece
	facts     []Fact
	notices   []Notice
	edits     []edit
	leftOut   map[int]bool // by where the statement begins
}

func (f *instrumentation) read() error {
	tree, err := parser.Parse(f.sql)
	if err != nil {
		return err
	}
	tokens, err := parser.Scan(f.sql)
	if err != nil {
		return err
	}
	for _, s := range tree.GetStmts() {
		from, to := int(s.GetStmtLocation()), len(f.sql)
		if s.GetStmtLen() > 0 {
			to = from + int(s.GetStmtLen())
		}
		if p, ok := f.piece(tokens, from, to); ok {
			p.node = s.GetStmt()
			f.pieces = append(f.pieces, p)
		}
	}
	return nil
}

func (f *instrumentation) piece(tokens []*pgq.ScanToken, from, to int) (piece, bool) {
	var p piece
	first := sort.Search(len(tokens), func(i int) bool { return int(tokens[i].GetStart()) >= from })
	for _, t := range tokens[first:] {
		if int(t.GetStart()) >= to {
			break
		}
		if t.GetToken() != pgq.Token_SQL_COMMENT && t.GetToken() != pgq.Token_C_COMMENT && t.GetToken() != pgq.Token_ASCII_59 {
			p.tokens = append(p.tokens, t)
		}
	}
	if len(p.tokens) == 0 {
		return p, false
	}
	p.start, p.end = int(p.tokens[0].GetStart()), int(p.tokens[len(p.tokens)-1].GetEnd())
	p.behind = -1
	for _, t := range tokens[first:] {
		if int(t.GetStart()) >= p.end && t.GetToken() == pgq.Token_ASCII_59 {
			p.behind = int(t.GetEnd())
			break
		}
	}
	return p, true
}

// lay decides what becomes of each statement.
func (f *instrumentation) lay() error {
	alone := len(f.pieces) == 1 || f.each
	for _, p := range f.pieces {
		switch {
		case isCluster(p.node):
			f.blank(p)
		case isConcurrent(p.node):
			if !alone {
				f.dropConcurrently(p)
			}
		case needsNoTransaction(p.node):
			if !alone {
				f.edits = append(f.edits, edit{p.start, p.end, blanks(f.sql[p.start:p.end])})
			}
		default:
			if err := f.fact(p, alone); err != nil {
				return err
			}
		}
	}
	return nil
}

// fact marks a statement that may change data.
func (f *instrumentation) fact(p piece, alone bool) error {
	text := f.sql[p.start:p.end]
	kind := kindOf(p.node)
	if kind == "" {
		return nil
	}
	fact := Fact{ID: f.nextID, File: f.file, Line: f.line(p.start), SQL: text, Kind: kind, Marked: kind != Relabel}
	fact.Deferred = slices.Contains(f.deferred, fact.Place())
	fact.Names.Add(p.node)
	if do := p.node.GetDoStmt(); do != nil {
		block, err := ReadBlock(text, do)
		if err != nil {
			return err
		}
		if block.cluster {
			f.clusterBlock(p, block)
			return nil
		}
		for _, r := range block.Reads {
			fact.Names.Add(r)
		}
		for _, c := range block.Calls {
			fact.Names.Add(c)
		}
		fact.Marked = !alone || !block.commits
	}
	if p.node.GetCallStmt() != nil && alone {
		fact.Marked = false // a procedure that commits must be alone
	}
	f.nextID++
	f.facts = append(f.facts, fact)
	if fact.Marked {
		f.mark(p, fact)
	}
	return nil
}

func (f *instrumentation) mark(p piece, fact Fact) {
	f.edits = append(f.edits, edit{p.start, p.start, markCall(fact, "before") + "; "})
	if fact.Deferred {
		f.leftOut[p.start] = true
		f.edits = append(f.edits, edit{p.start, p.end, blanks(f.sql[p.start:p.end])})
	}
	if p.behind < 0 {
		f.edits = append(f.edits, edit{p.end, p.end, "; " + markCall(fact, "after")})
		return
	}
	f.edits = append(f.edits, edit{p.behind, p.behind, " " + markCall(fact, "after") + ";"})
}

// blank takes a statement out of scratch's text.
func (f *instrumentation) blank(p piece) {
	text := f.sql[p.start:p.end]
	f.leftOut[p.start] = true
	f.edits = append(f.edits, edit{p.start, p.end, blanks(text)})
	f.notices = append(f.notices, Notice{Level: Warning, Code: CodeCluster, Object: firstWords(text), Where: f.where(p),
		Message: "acts on the whole server, not only on this database: it is kept out of scratch and no part of the run",
		Fix:     "run it by hand, before the next plan where later statements need it: " + OneLine(text)})
}

// clusterBlock takes out a DO block that acts on the server. What else it does
// is lost with it, which the user must know.
func (f *instrumentation) clusterBlock(p piece, block Code) {
	f.blank(p)
	if n := &f.notices[len(f.notices)-1]; block.ChangesData() || definesOther(block.Text) {
		n.Level = Blocker
		n.Message = "a DO block acts on the whole server and does other things too: it cannot be run in scratch"
		n.Fix = "split it: a DO block for roles, databases and tablespaces, another one for the rest"
	}
}

func definesOther(text string) bool {
	return defineWords.MatchString(clusterWords.ReplaceAllString(text, " "))
}

func (f *instrumentation) dropConcurrently(p piece) {
	for _, t := range p.tokens {
		if t.GetToken() == pgq.Token_CONCURRENTLY {
			start, end := int(t.GetStart()), int(t.GetEnd())
			f.edits = append(f.edits, edit{start, end, blanks(f.sql[start:end])})
			break
		}
	}
	f.notices = append(f.notices, Notice{Level: Warning, Code: CodeConcurrently, Object: firstWords(f.sql[p.start:p.end]), Where: f.where(p),
		Message: "CONCURRENTLY beside other statements in one file: run in place, PostgreSQL would refuse it; in the shadow it is built without",
		Fix:     "give the statement a file of its own if the migration is also to run in place"})
}

func (f *instrumentation) apply() string {
	var b strings.Builder
	at := 0
	for _, e := range f.edits {
		b.WriteString(f.sql[at:e.start])
		b.WriteString(e.text)
		at = e.end
	}
	b.WriteString(f.sql[at:])
	return b.String()
}

func (f *instrumentation) statements() []Statement {
	var out []Statement
	for _, p := range f.pieces {
		out = append(out, Statement{Line: f.line(p.start), EndLine: f.line(p.end), SQL: f.sql[p.start:p.end],
			LeftOut: f.leftOut[p.start], Liftable: liftable(p.node), Sets: sets(p.node)})
	}
	return out
}

func (f *instrumentation) line(offset int) int { return 1 + strings.Count(f.sql[:offset], "\n") }

func (f *instrumentation) where(p piece) string { return fmt.Sprintf("%s:%d", f.file, f.line(p.start)) }

// blanks is white space of the same lines.
func blanks(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return r
		}
		return ' '
	}, text)
}

// OneLine is a text without its line breaks, for messages.
func OneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func firstWords(text string) string {
	words := strings.Fields(text)
	return strings.Join(words[:min(4, len(words))], " ")
}
