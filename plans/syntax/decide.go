package syntax

import (
	"regexp"
	"slices"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// What code decides by must be the same in scratch, which has production's
// structure and none of its rows. The structure itself may be read there; what
// the catalogs tell of rows, files and sessions may not.
var (
	// Relations of the system that tell of rows, sessions or files.
	liveCatalogs = regexp.MustCompile(`^(pg_stat|pg_statio|pg_statistic|pg_largeobject|pg_replication_|pg_prepared_|pg_shmem|pg_subscription_rel$|pg_sequences$|pg_locks$|pg_cursors$|pg_backend_|pg_file_settings$|pg_hba_|pg_ident_|pg_wait_|pg_aios$)`)
	// Columns likewise, in catalogs that are otherwise structure.
	liveColumns = map[string]bool{
		"reltuples": true, "relpages": true, "relallvisible": true, "relallfrozen": true, "relfilenode": true, "relfrozenxid": true, "relminmxid": true,
		"relispopulated": true, "ispopulated": true, "attmissingval": true, "atthasmissing": true, "indisvalid": true, "datfrozenxid": true,
	}
	// Functions of the system that tell of rows, files, sequences or the
	// transaction, or read tables that a text names.
	liveFunctions = regexp.MustCompile(`^(nextval|currval|lastval|setval|pg_sequence_last_value|pg_get_sequence_data|pg_stat_.*|pg_statio_.*|pg_(table|total_relation|relation|indexes|database|tablespace)_size` +
		`|pg_relation_file(node|path)|pg_filenode_relation|(query|table|cursor|schema|database)_to_xml.*|query_to_xml.*|ts_stat|ts_rewrite|lo_.*|lowrite|loread|pg_read_.*|pg_ls_.*|pg_stat_file` +
		`|pg_current_wal_.*|pg_current_xact_id.*|pg_current_snapshot|txid_.*|pg_export_snapshot|pg_visible_in_snapshot|pg_backend_pid|inet_(client|server)_(addr|port)|pg_is_in_recovery` +
		`|brin_summarize.*|gin_clean_pending_list|pg_relation_is_updatable)$`)
	// Volatile or stable functions of extensions that neither read tables nor
	// change anything.
	harmlessFunctions = regexp.MustCompile(`^(uuid_.*|gen_random_(uuid|bytes)|gen_salt|crypt|digest|hmac|armor|dearmor|pgp_.*|encrypt.*|decrypt.*|unaccent|similarity|word_similarity|strict_word_similarity|show_trgm|set_limit|show_limit|levenshtein.*|soundex|metaphone|dmetaphone.*|normal_rand|postgis_.*version)$`)
	// Executed texts that read tables. GRANT SELECT and the like are told apart by
	// what the statement was seen to lock.
	readWords = regexp.MustCompile(`(?i)\b(select|copy|perform|call|execute|merge|refresh)\b`)
	// Such words inside of these are only stored.
	storedWords = regexp.MustCompile(`(?is)^\s*create\s+(or\s+replace\s+)?(temp\w*\s+|recursive\s+|constraint\s+)*(view|function|procedure|rule|trigger|event|policy)\b`)
)

// action is what code does beyond changing rows, as far as its text tells.
type action struct {
	rows     []*pgq.RangeVar // relations whose rows it reads or writes
	executes bool            // runs texts put together at run time
	reading  bool            // such texts may read tables
	raises   bool            // may fail on purpose
	settles  bool            // calls what changes sequences or settings
	live     []string        // parts of the catalogs that tell of rows
	database bool            // compares the database's name with something else than a catalog's
}

func (a *action) include(b action) {
	a.rows = append(a.rows, b.rows...)
	a.live = append(a.live, b.live...)
	a.executes, a.reading, a.raises = a.executes || b.executes, a.reading || b.reading, a.raises || b.raises
	a.settles, a.database = a.settles || b.settles, a.database || b.database
}

// statement notes what a statement's tree reads. The tables that a definition
// names are not read: a view's or a function's body only later.
func (a *action) statement(n *pgq.Node) {
	if touchesRows(n) {
		ast.Visit(n, func(m proto.Message) bool {
			if r, ok := m.(*pgq.RangeVar); ok {
				a.rows = append(a.rows, r)
			}
			return true
		})
	}
	a.decidedByDatabase(n)
	ast.Visit(n, func(m proto.Message) bool {
		switch m := m.(type) {
		case *pgq.RangeVar:
			if (m.GetSchemaname() == "" || ast.SystemSchema(m.GetSchemaname())) && liveCatalogs.MatchString(m.GetRelname()) {
				a.live = append(a.live, m.GetRelname())
			}
		case *pgq.ColumnRef:
			if name := ast.Last(ast.Strings(m.GetFields())); liveColumns[name] {
				a.live = append(a.live, name)
			}
		}
		return true
	})
}

func touchesRows(n *pgq.Node) bool {
	switch s := n.GetNode().(type) {
	case *pgq.Node_SelectStmt, *pgq.Node_InsertStmt, *pgq.Node_UpdateStmt, *pgq.Node_DeleteStmt, *pgq.Node_MergeStmt, *pgq.Node_TruncateStmt,
		*pgq.Node_CopyStmt, *pgq.Node_DeclareCursorStmt, *pgq.Node_ExplainStmt, *pgq.Node_CallStmt, *pgq.Node_PrepareStmt:
		return true
	case *pgq.Node_CreateTableAsStmt:
		return !s.CreateTableAsStmt.GetInto().GetSkipData()
	}
	return false
}

// decidedByDatabase: scratch has another name, so only the comparison with what
// a catalog says of itself (table_catalog = current_database()) gives the same.
func (a *action) decidedByDatabase(n *pgq.Node) {
	total, fine := 0, 0
	ast.Visit(n, func(m proto.Message) bool {
		switch m := m.(type) {
		case *pgq.A_Expr:
			if namesDatabase(m.GetLexpr()) && m.GetRexpr().GetColumnRef() != nil || namesDatabase(m.GetRexpr()) && m.GetLexpr().GetColumnRef() != nil {
				fine++
			}
		case *pgq.FuncCall:
			if ast.Last(ast.Strings(m.GetFuncname())) == "current_database" {
				total++
			}
		case *pgq.SQLValueFunction:
			if m.GetOp() == pgq.SQLValueFunctionOp_SVFOP_CURRENT_CATALOG {
				total++
			}
		}
		return true
	})
	a.database = a.database || total > fine
}

func namesDatabase(n *pgq.Node) bool {
	n = ast.Uncast(n)
	return ast.Last(ast.Strings(n.GetFuncCall().GetFuncname())) == "current_database" ||
		n.GetSqlvalueFunction().GetOp() == pgq.SQLValueFunctionOp_SVFOP_CURRENT_CATALOG
}

// text notes words of a string that may be executed.
func (a *action) text(s string) {
	s = stripComments(s)
	a.reading = a.reading || readWords.MatchString(s) && !storedWords.MatchString(s)
}

// plpgsql notes what the tree of a body holds beside its queries.
func (a *action) plpgsql(tree string) {
	for _, part := range []string{"PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors", `"dynquery"`} {
		a.executes = a.executes || strings.Contains(tree, part)
	}
	a.raises = a.raises || strings.Contains(tree, "PLpgSQL_stmt_raise") || strings.Contains(tree, "PLpgSQL_stmt_assert")
}

// decides is by what code may decide that scratch does not have; nil: by
// nothing, so what it did there it does in production too.
func (s *step) decides(c code) *reason {
	if c.unknown {
		return unsupported("it runs code that cannot be read")
	}
	for _, r := range c.rows {
		if s.isLive(r, nil) {
			return unsupported("it reads rows of %s", nameOf(r))
		}
	}
	if len(c.live) > 0 {
		return unsupported("it reads %s, which tells of production's rows, not of its structure", c.live[0])
	}
	if c.database {
		return unsupported("it decides by the database's name")
	}
	for _, call := range c.calls {
		if r := s.decidesBy(call); r != nil && !setsConstant(call) {
			return r
		}
	}
	if c.executes && c.reading && s.mayRead() {
		return unsupported("it executes statements put together at run time, which read rows")
	}
	return nil
}

func nameOf(r *pgq.RangeVar) string {
	if r.GetSchemaname() == "" {
		return r.GetRelname()
	}
	return r.GetSchemaname() + "." + r.GetRelname()
}

// decidesBy judges one call. Sequences that the migrations made themselves are
// theirs in scratch as in production.
func (s *step) decidesBy(call *pgq.FuncCall) *reason {
	path := ast.Strings(call.GetFuncname())
	name := ast.Last(path)
	candidates := s.functionsOf(call)
	own := anyOwn(candidates)
	switch {
	case !own && sequenceFunctions[name]:
		if s.ownSequence(call) {
			return nil
		}
		return unsupported("it calls %s(), and where production's sequence stands is not known here", name)
	case !own && liveFunctions.MatchString(name):
		return unsupported("it calls %s(), which tells of production's rows or session", name)
	}
	for _, f := range candidates {
		if f.Extension && (f.Volatile || f.Stable) && !harmlessFunctions.MatchString(name) {
			return unsupported("it calls %s() of an extension, which may read or change anything", name)
		}
	}
	return nil
}

// mayRead: no mark tells otherwise. A statement locks what it reads until its
// transaction ends, and scratch's way is production's until something is read.
func (s *step) mayRead() bool {
	if !s.fact.Marked || s.after.Tables == nil {
		return true
	}
	return slices.ContainsFunc(s.after.Read, func(oid uint32) bool {
		t := s.tables[oid]
		return t == nil || t.live() || t.tainted != nil
	})
}

// acts: the code does something that a transform of rows cannot say.
func (c *code) acts() bool {
	return c.defines || c.executes || c.raises || c.settles || c.unknown || !c.changesData()
}

var sequenceFunctions = map[string]bool{"nextval": true, "currval": true, "lastval": true, "setval": true}

// setsConstant: setval to what the text says. Where that leads is read off
// scratch, whose sequences stood where production's do.
func setsConstant(call *pgq.FuncCall) bool {
	if ast.Last(ast.Strings(call.GetFuncname())) != "setval" {
		return false
	}
	for i, a := range call.GetArgs() {
		constant := true
		ast.Visit(a, func(m proto.Message) bool {
			switch m := m.(type) {
			case *pgq.FuncCall:
				constant = constant && i == 0 && ast.Last(ast.Strings(m.GetFuncname())) == "pg_get_serial_sequence"
			case *pgq.ColumnRef, *pgq.SubLink, *pgq.ParamRef, *pgq.SQLValueFunction:
				constant = false
			}
			return constant
		})
		if !constant {
			return false
		}
	}
	return true
}

// ownSequence: the call names a sequence that the migrations made.
func (s *step) ownSequence(call *pgq.FuncCall) bool {
	if len(call.GetArgs()) == 0 {
		return false // lastval()
	}
	name := ast.Uncast(call.GetArgs()[0]).GetAConst().GetSval().GetSval()
	return name != "" && s.madeSequence(name)
}

// madeSequence: production has none of that name, in whatever schema.
func (s *step) madeSequence(name string) bool {
	path := s.splitName(name)
	if len(path) == 0 {
		return false
	}
	for _, q := range s.inference.before.Sequences {
		if q.Name.Name == ast.Last(path) {
			return false
		}
	}
	return true
}

// splitName reads a name as regclass does.
func (s *step) splitName(name string) []string {
	tree, r := s.parse("SELECT FROM " + name)
	if r != nil || len(tree.GetStmts()) != 1 || len(tree.GetStmts()[0].GetStmt().GetSelectStmt().GetFromClause()) != 1 {
		return nil
	}
	v := tree.GetStmts()[0].GetStmt().GetSelectStmt().GetFromClause()[0].GetRangeVar()
	if v == nil {
		return nil
	}
	if v.GetSchemaname() != "" {
		return []string{v.GetSchemaname(), v.GetRelname()}
	}
	return []string{v.GetRelname()}
}
