package planner

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/pgdump"
)

// Regroup takes partitions that came and went into what [Drift] compares with:
// the tables, with their bounds, keys, indexes and privileges, which the shadow
// has got too. What else was made of them (comments, triggers, policies) still
// is a change. db is production, as is dsn.
func Regroup(ctx context.Context, p *plans.Plan, db pg.Querier, dsn string, came, went []plans.Member) error {
	if p.Structure == nil {
		return nil
	}
	program, there := pgDumpOf(ctx, p.Structure.Dump)
	if !there {
		return nil // Drift says so
	}
	entries, err := dumpProduction(ctx, program, dsn, "--lock-wait-timeout=2s")
	if err != nil {
		return fmt.Errorf("read production's structure: %w", err)
	}
	indexes, err := indexesOf(ctx, db, came)
	if err != nil {
		return err
	}
	noteIndexes(p, indexes)
	p.Structure.Objects = regrouped(p, entries, came, went, indexes)
	return nil
}

// noteIndexes notes at the members what is to go with them.
func noteIndexes(p *plans.Plan, indexes map[uint32][]pg.Name) {
	for i := range p.Sources {
		for j := range p.Sources[i].Members {
			if m := &p.Sources[i].Members[j]; indexes[m.OID] != nil {
				m.Indexes = indexes[m.OID]
			}
		}
	}
}

func regrouped(p *plans.Plan, entries []pgdump.Entry, came, went []plans.Member, indexes map[uint32][]pg.Name) map[string]string {
	now, objects := objects(p, entries), maps.Clone(p.Structure.Objects)
	for _, e := range entries {
		if slices.ContainsFunc(came, func(m plans.Member) bool {
			return makes(e, m.Name) || (e.Tag == "INDEX" || e.Tag == "INDEX ATTACH") && slices.Contains(indexes[m.OID], pg.Name{Schema: e.Schema, Name: e.Name})
		}) {
			if hash, concerned := now[label(e)]; concerned {
				objects[label(e)] = hash
			}
		}
	}
	maps.DeleteFunc(objects, func(name, _ string) bool {
		_, there := now[name]
		return !there && slices.ContainsFunc(went, func(m plans.Member) bool { return wentWith(p, name, m) })
	})
	return objects
}

// makes reports whether an entry makes a table, or what the shadow's partition
// has of its own accord.
func makes(e pgdump.Entry, table pg.Name) bool {
	if e.Schema != table.Schema {
		return false
	}
	switch e.Tag {
	case "TABLE", "TABLE ATTACH":
		return e.Name == table.Name
	case "CONSTRAINT":
		return strings.HasPrefix(e.Name, table.Name+" ")
	case "ACL":
		return e.Name == "TABLE "+table.Name || e.Name == "TABLE "+pg.Ident(table.Name)
	}
	return false
}

// wentWith reports whether an object, by its label, was a partition's: its own,
// or an index that the shadow's partition has under the same name.
func wentWith(p *plans.Plan, object string, member plans.Member) bool {
	if slices.ContainsFunc(member.Indexes, func(index pg.Name) bool {
		name := index.Schema + "." + index.Name
		return object == "index "+name || object == "index attach "+name
	}) {
		return true
	}
	table := member.Name
	of := table.Schema + "." + table.Name
	if strings.HasSuffix(object, " "+of) || strings.Contains(object, " "+of+" ") || strings.Contains(object, " "+of+".") {
		return true
	}
	return slices.ContainsFunc(p.Entries, func(e plans.Entry) bool {
		s, _ := p.SchemaFor(table.Schema)
		return e.Tag == "INDEX" && e.Table == pg.Name{Schema: s.Shadow, Name: table.Name} &&
			(object == "index "+table.Schema+"."+e.Name.Name || object == "index attach "+table.Schema+"."+e.Name.Name)
	}) || strings.HasPrefix(object, "index attach "+table.Schema+".") && strings.HasPrefix(strings.TrimPrefix(object, "index attach "+table.Schema+"."), table.Name+"_")
}

// indexesOf are the indexes of tables, by their OID, that are attached to one of the
// partitioned table's.
func indexesOf(ctx context.Context, db pg.Querier, tables []plans.Member) (map[uint32][]pg.Name, error) {
	var oids []uint32
	for _, m := range tables {
		oids = append(oids, m.OID)
	}
	rows, err := db.Query(ctx, `SELECT i.indrelid, n.nspname, c.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE i.indrelid = ANY ($1) AND EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = c.oid)`, oids)
	if err != nil {
		return nil, fmt.Errorf("read the indexes of new partitions: %w", err)
	}
	all := map[uint32][]pg.Name{}
	var table uint32
	var index pg.Name
	_, err = pgx.ForEachRow(rows, []any{&table, &index.Schema, &index.Name}, func() error {
		all[table] = append(all[table], index)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the indexes of new partitions: %w", err)
	}
	return all, nil
}
