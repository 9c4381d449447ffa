package planner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/pgdump"
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
	final    *catalog.Catalog   // of scratch, under the shadow's names
	relation map[pg.Name]uint32 // tables and indexes of the shadow by name
	indexes  map[uint32]*catalog.Index
	cons     map[uint32]*catalog.Constraint
	stages   map[int]plans.Stage // of earlier entries, by TOC number
	tables   map[int]pg.Name     // likewise
	postData bool                // an index, constraint or the like has come
	parts    map[address]uint32
}

// address of an object: its catalog and its oid there.
type address struct{ class, oid uint32 }

// partsSQL lists what hangs on relations, with these. A dump's entry names the
// two in one, and both may hold spaces.
const partsSQL = `
	SELECT 'pg_trigger'::regclass::oid, oid, tgrelid FROM pg_trigger
	UNION ALL SELECT 'pg_rewrite'::regclass, oid, ev_class FROM pg_rewrite WHERE ev_class >= 16384
	UNION ALL SELECT 'pg_policy'::regclass, oid, polrelid FROM pg_policy
	UNION ALL SELECT 'pg_attrdef'::regclass, oid, adrelid FROM pg_attrdef
	UNION ALL SELECT 'pg_statistic_ext'::regclass, oid, stxrelid FROM pg_statistic_ext`

func readParts(ctx context.Context, db pg.Querier) (map[address]uint32, error) {
	rows, err := db.Query(ctx, partsSQL)
	if err != nil {
		return nil, fmt.Errorf("read what hangs on tables: %w", err)
	}
	parts := map[address]uint32{}
	var at address
	var relation uint32
	_, err = pgx.ForEachRow(rows, []any{&at.class, &at.oid, &relation}, func() error {
		parts[at] = relation
		return nil
	})
	return parts, err
}

func newStager(final *catalog.Catalog, parts map[address]uint32) *stager {
	s := &stager{final: final, parts: parts, relation: map[pg.Name]uint32{}, indexes: map[uint32]*catalog.Index{},
		cons: map[uint32]*catalog.Constraint{}, stages: map[int]plans.Stage{}, tables: map[int]pg.Name{}}
	for _, t := range final.Tables {
		s.relation[t.Name] = t.OID
	}
	for _, i := range final.Indexes {
		s.relation[i.Name] = i.Table
		s.indexes[i.OID] = i
	}
	for _, k := range final.Constraints {
		s.cons[k.OID] = k
	}
	return s
}

func (s *stager) entry(e pgdump.Entry) plans.Entry {
	out := plans.Entry{TOC: e.TOC, Class: e.Class, OID: e.OID, Tag: e.Tag, Name: entryName(e), Owner: e.Owner, SQL: e.SQL}
	out.Table = s.table(e)
	out.Root = s.root(out.Table)
	out.Stage = s.stage(e)
	s.stages[e.TOC], s.tables[e.TOC] = out.Stage, out.Table
	return out
}

func entryName(e pgdump.Entry) pg.Name {
	return pg.Name{Schema: e.Schema, Name: e.Name}
}

// stage decides when an entry is run. pg_dump's order holds within a stage.
func (s *stager) stage(e pgdump.Entry) plans.Stage {
	switch e.Tag {
	case "INDEX", "CONSTRAINT", "STATISTICS", "INDEX ATTACH":
		s.postData = true
		return plans.StageIndex
	case "CHECK CONSTRAINT":
		s.postData = true
		if k := s.cons[e.OID]; k != nil && k.Validated {
			return plans.StageIndex
		}
		return plans.StageSwap
	case "TRIGGER", "FK CONSTRAINT":
		s.postData = true
		return plans.StageSwap
	case "RULE":
		s.postData = true
		if strings.HasSuffix(e.Name, " _RETURN") {
			return plans.StageLate
		}
		return plans.StageSwap
	case "ROW SECURITY":
		// Enabled in the swap: before it, it would stand in our own way.
		return plans.StageSwap
	case "POLICY", "DEFAULT ACL", "PUBLICATION TABLE":
		return plans.StageLate
	}
	return s.follow(e)
}

// follow: comments, privileges and what pg_dump put behind indexes because it
// needs them run no earlier than what they hang on.
func (s *stager) follow(e pgdump.Entry) plans.Stage {
	order := []plans.Stage{plans.StageBuild, plans.StageKey, plans.StageIndex, plans.StageLate, plans.StageSwap}
	at := 0
	if s.postData && e.Class != 0 {
		at = 3
	}
	for _, d := range e.Deps {
		at = max(at, slices.Index(order, s.stages[d]))
	}
	if stage := order[at]; stage != plans.StageIndex && stage != plans.StageKey {
		return stage
	}
	return plans.StageLate
}

// table is the relation that an entry belongs to.
func (s *stager) table(e pgdump.Entry) pg.Name {
	switch e.Class {
	case pgClass:
		if i := s.indexes[e.OID]; i != nil {
			return s.name(i.Table)
		}
		if t := s.final.ByOID(e.OID); t != nil {
			return t.Name
		}
	case pgConstraint:
		if k := s.cons[e.OID]; k != nil {
			return s.name(k.Table)
		}
	case pgTrigger, pgRewrite, pgPolicy, pgAttrdef, pgStatistic:
		return s.name(s.parts[address{e.Class, e.OID}])
	}
	if e.Tag == "TABLE ATTACH" || e.Tag == "INDEX ATTACH" {
		return s.name(s.relation[pg.Name{Schema: e.Schema, Name: e.Name}])
	}
	for _, d := range e.Deps {
		if t, ok := s.tables[d]; ok && !t.IsZero() {
			return t
		}
	}
	return pg.Name{}
}

func (s *stager) name(oid uint32) pg.Name {
	if t := s.final.ByOID(oid); t != nil {
		return t.Name
	}
	return pg.Name{}
}

func (s *stager) root(n pg.Name) pg.Name {
	t := s.final.ByName(n)
	if t == nil {
		return n
	}
	return s.final.Root(t).Name
}
