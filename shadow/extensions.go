package shadow

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Extensions are made while the shadow is built, since its tables need their
// types: those that the migrations bring, and in a database of its own all that
// production has. With the schemas that they need they are the only thing of a
// build outside the shadow's schemas. The record in pgumbra.structure says which
// of them this run made: only these does Drop take away again.

const (
	extensionTag       = "EXTENSION"
	extensionSchemaTag = "EXTENSION SCHEMA"
)

// withoutPresent leaves out extensions, and schemas for them, that are there. One
// that somebody else made is not ours, and is not recorded as such. All are
// looked for before the first is made: it may bring others along by CASCADE.
func withoutPresent(ctx context.Context, tx pgx.Tx, entries []*plans.Entry) ([]*plans.Entry, error) {
	var todo []*plans.Entry
	for _, e := range entries {
		there, err := present(ctx, tx, e)
		if err != nil {
			return nil, fmt.Errorf("look for %s: %w", describe(e), err)
		}
		if !there {
			todo = append(todo, e)
		}
	}
	return todo, nil
}

func present(ctx context.Context, tx pgx.Tx, e *plans.Entry) (there bool, err error) {
	switch e.Tag {
	case extensionTag:
		err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = $1)`, e.Name.Name).Scan(&there)
	case extensionSchemaTag:
		err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)`, e.Name.Name).Scan(&there)
	}
	return there, err
}

// installExtension makes one that was absent. Where the CASCADE of another made it
// meanwhile, it may be in that one's schema.
func installExtension(ctx context.Context, tx pgx.Tx, e *plans.Entry) error {
	there, err := present(ctx, tx, e)
	if err != nil {
		return err
	}
	if !there {
		return runEntry(ctx, tx, e)
	}
	var schema string
	err = tx.QueryRow(ctx, `SELECT n.nspname FROM pg_catalog.pg_extension x JOIN pg_catalog.pg_namespace n ON n.oid = x.extnamespace
		WHERE x.extname = $1`, e.Name.Name).Scan(&schema)
	if err != nil || schema == e.Name.Schema {
		return err
	}
	if _, err := tx.Exec(ctx, "ALTER EXTENSION "+pg.Ident(e.Name.Name)+" SET SCHEMA "+pg.Ident(e.Name.Schema)); err != nil {
		return fmt.Errorf("move %s: %w", describe(e), err)
	}
	return nil
}

// dropExtensions drops those that this run made, the last one first, and their
// schemas. One may need another that was made after it, by CASCADE: so again
// until nothing goes any more. What something else uses by now stays.
func dropExtensions(ctx context.Context, tx pgx.Tx, run *control.Run) error {
	made, err := control.Built(ctx, tx, run)
	if err != nil {
		return err
	}
	left := entriesOf(run.Plan, func(e *plans.Entry) bool {
		return made[e.TOC] && (e.Tag == extensionTag || e.Tag == extensionSchemaTag)
	})
	slices.Reverse(left)
	for before := len(left) + 1; len(left) < before; {
		before = len(left)
		if left, err = dropUnused(ctx, tx, left); err != nil {
			return err
		}
	}
	return nil
}

// dropUnused returns those that something needs.
func dropUnused(ctx context.Context, tx pgx.Tx, entries []*plans.Entry) (needed []*plans.Entry, err error) {
	words := map[string]string{extensionTag: "EXTENSION", extensionSchemaTag: "SCHEMA"}
	for _, e := range entries {
		err := pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
			_, err := inner.Exec(ctx, "DROP "+words[e.Tag]+" IF EXISTS "+pg.Ident(e.Name.Name))
			return err
		})
		if err != nil && pg.State(err) != pgerrcode.DependentObjectsStillExist {
			return nil, fmt.Errorf("drop %s: %w", describe(e), err)
		}
		if err != nil {
			needed = append(needed, e)
		}
	}
	return needed, nil
}
