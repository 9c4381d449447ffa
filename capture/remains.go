package capture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Remain is something about a captured table that is otherwise than when its
// capture began, and that no undoing of the run brings back: others did it.
type Remain struct {
	What string // for people
	Type string // the statement that mends it; empty: nothing has to be mended
}

// Remains compares the captured tables with the record of them, for whoever
// undoes the run: to be asked before [Remove] takes the record away. Indexes
// that are not valid and partitions that are detached by half are what a
// statement with CONCURRENTLY leaves when it fails or is broken off. Reads
// catalogs only. What was never captured is not looked at.
func Remains(ctx context.Context, db pg.Querier, run *control.Run) (all []Remain, looked int, err error) {
	for i := range run.Plan.Sources {
		src := &run.Plan.Sources[i]
		some, err := remainsOf(ctx, db, run, src)
		if errors.Is(err, ErrNotInstalled) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		all = append(all, some...)
		looked++
	}
	return all, looked, nil
}

func remainsOf(ctx context.Context, db pg.Querier, run *control.Run, src *plans.Source) ([]Remain, error) {
	changes, err := Check(ctx, db, run, src)
	if err != nil {
		return nil, err
	}
	var all []Remain
	for _, c := range changes {
		if c.Kind == Structure || c.Kind == States {
			all = append(all, Remain{What: fmt.Sprintf("%s was changed by others since the run began, and stays so:\n%s", src.Name, c.Detail)})
		}
	}
	indexes, err := unfinishedIndexes(ctx, db, run, src)
	if err != nil {
		return nil, err
	}
	for _, i := range indexes {
		all = append(all, Remain{What: i + " of " + src.Name.String() + " is not valid: making or dropping it was broken off",
			Type: "DROP INDEX CONCURRENTLY " + i[len("index "):]})
	}
	detached, err := detachedByHalf(ctx, db, src)
	return append(all, detached...), err
}

// unfinishedIndexes are those that were not there, or whole, when capture began.
func unfinishedIndexes(ctx context.Context, db pg.Querier, run *control.Run, src *plans.Source) ([]string, error) {
	var was, is []byte
	err := db.QueryRow(ctx, `SELECT coalesce(fingerprint->'unfinished', '[]')::text, coalesce(`+fingerprintFunction(run.ID).Quoted()+`($4)->'unfinished', '[]')::text`+control.CapturedRow,
		run.ID, ToShadow, src.N, src.OID).Scan(&was, &is)
	var before, now []string
	if err == nil {
		err = errors.Join(json.Unmarshal(was, &before), json.Unmarshal(is, &now))
	}
	if err != nil {
		return nil, fmt.Errorf("look for indexes of %s that are not valid: %w", src.Name, err)
	}
	return slices.DeleteFunc(now, func(i string) bool { return slices.Contains(before, i) }), nil
}

func detachedByHalf(ctx context.Context, db pg.Querier, src *plans.Source) ([]Remain, error) {
	var oids []uint32
	for _, m := range src.Members {
		oids = append(oids, m.OID)
	}
	rows, err := db.Query(ctx, `SELECT pn.nspname, p.relname, cn.nspname, c.relname FROM pg_catalog.pg_inherits i
		JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
		JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
		WHERE i.inhdetachpending AND i.inhparent = ANY ($1) ORDER BY 3, 4`, oids)
	if err != nil {
		return nil, fmt.Errorf("look for partitions of %s that are detached by half: %w", src.Name, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Remain, error) {
		var parent, child pg.Name
		err := row.Scan(&parent.Schema, &parent.Name, &child.Schema, &child.Name)
		return Remain{What: fmt.Sprintf("%s is detached from %s by half: its rows are in the partition and not in the table", child, parent),
			Type: fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s FINALIZE", parent.Quoted(), child.Quoted())}, err
	})
}
