package transforms

import (
	"regexp"
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

var (
	// Functions of the system that tell of rows, files, sequences or the
	// transaction, or read tables that a text names.
	liveFunctions = regexp.MustCompile(`^(nextval|currval|lastval|setval|pg_sequence_last_value|pg_get_sequence_data|pg_stat_.*|pg_statio_.*|pg_(table|total_relation|relation|indexes|database|tablespace)_size` +
		`|pg_relation_file(node|path)|pg_filenode_relation|(query|table|cursor|schema|database)_to_xml.*|query_to_xml.*|ts_stat|ts_rewrite|lo_.*|lowrite|loread|pg_read_.*|pg_ls_.*|pg_stat_file` +
		`|pg_current_wal_.*|pg_current_xact_id.*|pg_current_snapshot|txid_.*|pg_export_snapshot|pg_visible_in_snapshot|pg_backend_pid|inet_(client|server)_(addr|port)|pg_is_in_recovery` +
		`|brin_summarize.*|gin_clean_pending_list|pg_relation_is_updatable)$`)
	// Volatile or stable functions of extensions that neither read tables nor
	// change anything.
	harmlessFunctions = regexp.MustCompile(`^(uuid_.*|gen_random_(uuid|bytes)|gen_salt|crypt|digest|hmac|armor|dearmor|pgp_.*|encrypt.*|decrypt.*|unaccent|similarity|word_similarity|strict_word_similarity|show_trgm|set_limit|show_limit|levenshtein.*|soundex|metaphone|dmetaphone.*|normal_rand|postgis_.*version)$`)
)

// decides is by what code may decide that scratch does not have; nil: by
// nothing, so what it did there it does in production too.
func (s *step) decides(c syntax.Code) *reason {
	if c.Unknown {
		return unsupported("it runs code that cannot be read")
	}
	for _, r := range c.Rows {
		if s.isLive(r, nil) {
			return unsupported("it reads rows of %s", nameOf(r))
		}
	}
	if len(c.Live) > 0 {
		return unsupported("it reads %s, which tells of production's rows, not of its structure", c.Live[0])
	}
	if c.Database {
		return unsupported("it decides by the database's name")
	}
	for _, call := range c.Calls {
		if r := s.decidesBy(call); r != nil && !setsConstant(call) {
			return r
		}
	}
	if c.Executes && c.Reading && s.mayRead() {
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
