package syntax

import (
	"slices"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// Shaping is a statement that says what rows of one table must be like, and nothing else:
// a constraint, NOT NULL, a default, an index, a further column, that there is a column no more, or
// by another name.
// It may run later than it stands, if nothing in between has to do with that.
type Shaping struct {
	Target *pgq.RangeVar
	Made   []string        // names of what it makes
	Gone   []string        // and of constraints that it drops
	Lost   []string        // columns that it drops
	Added  []string        // and adds
	Named  bool            // the one that it drops goes by the added one's name, and is there
	Leads  []*pgq.RangeVar // tables that its foreign keys lead to
	Unique bool            // it makes a unique index
	Calls  []*pgq.FuncCall // of what it makes
}

// ShapingOf reads a statement as one. why: it is none, or does more than that.
func ShapingOf(n *pgq.Node) (s Shaping, why string) {
	switch x := n.GetNode().(type) {
	case *pgq.Node_IndexStmt:
		s.Target, s.Unique = x.IndexStmt.GetRelation(), x.IndexStmt.GetUnique()
		if why = s.made(x.IndexStmt.GetIdxname()); x.IndexStmt.GetConcurrent() {
			why = "it makes an index beside others"
		}
	case *pgq.Node_AlterTableStmt:
		s.Target = x.AlterTableStmt.GetRelation()
		for _, c := range x.AlterTableStmt.GetCmds() {
			if why == "" {
				why = s.command(c.GetAlterTableCmd())
			}
		}
	case *pgq.Node_RenameStmt:
		s.Target, s.Named = x.RenameStmt.GetRelation(), true
		if s.Lost, s.Added = []string{x.RenameStmt.GetSubname()}, []string{x.RenameStmt.GetNewname()}; !renamesColumn(x.RenameStmt) {
			why = "it renames more than a column"
		}
	default:
		why = "it does not say what rows must be like"
	}
	if why == "" {
		why = s.expressions(n)
	}
	return s, why
}

func (s *Shaping) made(name string) (why string) {
	if name == "" {
		return "what it makes has no name"
	}
	s.Made = append(s.Made, name)
	return ""
}

func (s *Shaping) command(c *pgq.AlterTableCmd) (why string) {
	switch c.GetSubtype() {
	case pgq.AlterTableType_AT_SetNotNull, pgq.AlterTableType_AT_DropNotNull, pgq.AlterTableType_AT_ColumnDefault:
		return ""
	case pgq.AlterTableType_AT_AddColumn:
		return s.column(c.GetDef().GetColumnDef())
	case pgq.AlterTableType_AT_DropConstraint:
		s.Gone = append(s.Gone, c.GetName())
		if c.GetBehavior() == pgq.DropBehavior_DROP_CASCADE {
			return "it drops what depends on a constraint"
		}
		return ""
	case pgq.AlterTableType_AT_DropColumn:
		s.Lost = append(s.Lost, c.GetName())
		if c.GetBehavior() == pgq.DropBehavior_DROP_CASCADE {
			return "it drops what depends on a column"
		}
		return ""
	case pgq.AlterTableType_AT_AddConstraint:
		return s.constraint(c.GetDef().GetConstraint())
	}
	return "it alters more than what rows must be like"
}

// column reads a further one: its value is a literal, or NULL.
func (s *Shaping) column(c *pgq.ColumnDef) (why string) {
	s.Added = append(s.Added, c.GetColname())
	if strings.Contains(ast.Last(ast.Strings(c.GetTypeName().GetNames())), "serial") {
		return "it adds a column of numbers"
	}
	for _, n := range c.GetConstraints() {
		k := n.GetConstraint()
		switch k.GetContype() {
		case pgq.ConstrType_CONSTR_NULL, pgq.ConstrType_CONSTR_NOTNULL:
		case pgq.ConstrType_CONSTR_DEFAULT:
			if ast.Uncast(k.GetRawExpr()).GetAConst() == nil {
				return "it adds a column that is computed"
			}
		case pgq.ConstrType_CONSTR_FOREIGN:
			k = proto.Clone(k).(*pgq.Constraint)
			k.FkAttrs = []*pgq.Node{pgq.MakeStrNode(c.GetColname())}
			if why := s.constraint(k); why != "" {
				return why
			}
		default:
			return "it adds a column that is more than a value"
		}
	}
	return ""
}

func (s *Shaping) constraint(k *pgq.Constraint) (why string) {
	name := k.GetConname()
	switch k.GetContype() {
	case pgq.ConstrType_CONSTR_CHECK:
	case pgq.ConstrType_CONSTR_FOREIGN:
		s.Leads = append(s.Leads, k.GetPktable())
		if name == "" {
			name = strings.Join(slices.Concat([]string{s.Target.GetRelname()}, ast.Strings(k.GetFkAttrs()), []string{"fkey"}), "_")
		}
	case pgq.ConstrType_CONSTR_UNIQUE:
		s.Unique = true
		if name == "" {
			name = strings.Join(slices.Concat([]string{s.Target.GetRelname()}, ast.Strings(k.GetKeys()), []string{"key"}), "_")
		}
	default:
		return "it adds another kind of constraint"
	}
	if k.GetSkipValidation() || k.GetIndexname() != "" || len(name) > longestName {
		return "its constraint is not validated, takes an index over, or has a long name"
	}
	return s.made(name)
}

const longestName = 63

// expressions looks into those of checks and indexes.
func (s *Shaping) expressions(n *pgq.Node) (why string) {
	ast.Visit(n, func(m proto.Message) bool {
		switch m := m.(type) {
		case *pgq.FuncCall:
			s.Calls = append(s.Calls, m)
		case *pgq.AlterTableStmt, *pgq.AlterTableCmd, *pgq.IndexStmt, *pgq.Constraint, *pgq.ColumnDef, *pgq.RenameStmt:
			return true
		}
		if why == "" {
			why = whyNotElsewhere(m)
		}
		return why == ""
	})
	return why
}
