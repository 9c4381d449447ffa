package plans

import (
	"regexp"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// Catalogs' own oids, as pg_dump writes them; fixed since they were made.
const (
	pgClass      = 1259
	pgConstraint = 2606
	pgNamespace  = 2615
	pgTrigger    = 2620
	pgRewrite    = 2618
	pgPolicy     = 3256
	pgStatistic  = 3381
	pgAttrdef    = 2604
	pgType       = 1247
	pgProc       = 1255
)

// stager sorts a dump's entries into stages.
type stager struct {
	m        *maker
	relation map[pg.Name]uint32 // tables and indexes of the shadow by name
	indexes  map[uint32]*catalog.Index
	cons     map[uint32]*catalog.Constraint
	stages   map[int]Stage   // of earlier entries, by TOC number
	tables   map[int]pg.Name // likewise
	postData bool            // an index, constraint or the like has come
}

func newStager(m *maker) *stager {
	s := &stager{m: m, relation: map[pg.Name]uint32{}, indexes: map[uint32]*catalog.Index{},
		cons: map[uint32]*catalog.Constraint{}, stages: map[int]Stage{}, tables: map[int]pg.Name{}}
	for _, t := range m.final.Tables {
		s.relation[t.Name] = t.OID
	}
	for _, i := range m.final.Indexes {
		s.relation[i.Name] = i.Table
		s.indexes[i.OID] = i
	}
	for _, k := range m.final.Constraints {
		s.cons[k.OID] = k
	}
	return s
}

func (s *stager) entry(e dumpEntry) Entry {
	out := Entry{TOC: e.toc, Class: e.class, OID: e.oid, Tag: e.tag, Name: entryName(e), Owner: e.owner, SQL: e.sql}
	out.Table = s.table(e)
	out.Root = s.root(out.Table)
	out.Stage = s.stage(e)
	s.stages[e.toc], s.tables[e.toc] = out.Stage, out.Table
	return out
}

func entryName(e dumpEntry) pg.Name {
	if e.schema == "-" {
		return pg.Name{Name: e.name}
	}
	return pg.Name{Schema: e.schema, Name: e.name}
}

// stage decides when an entry is run. pg_dump's order holds within a stage.
func (s *stager) stage(e dumpEntry) Stage {
	switch e.tag {
	case "INDEX", "CONSTRAINT", "STATISTICS", "INDEX ATTACH":
		s.postData = true
		return StageIndex
	case "CHECK CONSTRAINT":
		s.postData = true
		if k := s.cons[e.oid]; k != nil && k.Validated {
			return StageIndex
		}
		return StageSwap
	case "TRIGGER", "FK CONSTRAINT":
		s.postData = true
		return StageSwap
	case "RULE":
		s.postData = true
		if strings.HasSuffix(e.name, " _RETURN") {
			return StageLate
		}
		return StageSwap
	case "ROW SECURITY":
		// Enabled in the swap: before it, it would stand in our own way.
		return StageSwap
	case "POLICY", "DEFAULT ACL", "PUBLICATION TABLE":
		return StageLate
	}
	return s.follow(e)
}

// follow: comments, privileges and what pg_dump put behind indexes because it
// needs them run no earlier than what they hang on.
func (s *stager) follow(e dumpEntry) Stage {
	order := []Stage{StageBuild, StageKey, StageIndex, StageLate, StageSwap}
	at := 0
	if s.postData && e.class != 0 {
		at = 3
	}
	for _, d := range e.deps {
		at = max(at, slices.Index(order, s.stages[d]))
	}
	if stage := order[at]; stage != StageIndex && stage != StageKey {
		return stage
	}
	return StageLate
}

// table is the relation that an entry belongs to.
func (s *stager) table(e dumpEntry) pg.Name {
	switch e.class {
	case pgClass:
		if i := s.indexes[e.oid]; i != nil {
			return s.name(i.Table)
		}
		if t := s.m.final.ByOID(e.oid); t != nil {
			return t.Name
		}
	case pgConstraint:
		if k := s.cons[e.oid]; k != nil {
			return s.name(k.Table)
		}
	case pgTrigger, pgRewrite, pgPolicy, pgAttrdef:
		return s.longestTable(e)
	case pgStatistic:
		return s.statisticsTable(e)
	}
	if e.tag == "TABLE ATTACH" || e.tag == "INDEX ATTACH" {
		return s.name(s.relation[pg.Name{Schema: e.schema, Name: e.name}])
	}
	for _, d := range e.deps {
		if t, ok := s.tables[d]; ok && !t.IsZero() {
			return t
		}
	}
	return pg.Name{}
}

// longestTable reads the table out of an entry's name: "table trigger". Both
// may hold spaces; the longest name of a table that fits is taken, since the
// dump says no more.
func (s *stager) longestTable(e dumpEntry) pg.Name {
	for at := len(e.name) - 1; at > 0; at-- {
		if e.name[at] != ' ' {
			continue
		}
		n := pg.Name{Schema: e.schema, Name: e.name[:at]}
		if oid, ok := s.relation[n]; ok {
			return s.name(oid)
		}
	}
	return pg.Name{}
}

var statisticsFrom = regexp.MustCompile(`(?s) FROM ((?:"(?:[^"]|"")*"|[^\s".;]+)\.(?:"(?:[^"]|"")*"|[^\s".;]+));`)

func (s *stager) statisticsTable(e dumpEntry) pg.Name {
	found := statisticsFrom.FindStringSubmatch(e.sql)
	if found == nil {
		return pg.Name{}
	}
	n, err := pg.ParseName(found[1])
	if err != nil {
		return pg.Name{}
	}
	return n
}

func (s *stager) name(oid uint32) pg.Name {
	if t := s.m.final.ByOID(oid); t != nil {
		return t.Name
	}
	return pg.Name{}
}

func (s *stager) root(n pg.Name) pg.Name {
	t := s.m.final.ByName(n)
	if t == nil {
		return n
	}
	return s.m.final.Root(t).Name
}
