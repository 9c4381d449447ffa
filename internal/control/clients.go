package control

import (
	"context"
	"fmt"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// NoteClients records what stands against leading clients over, for status. Not
// while a cutover is under way, which holds them itself.
func NoteClients(ctx context.Context, db pg.Querier, run *Run, against []string) error {
	text, err := pg.JSON(against)
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, `UPDATE pgumbra.leader l SET clients = $2 FROM pgumbra.run r WHERE r.id = $1 AND l.run_id = r.id AND r.phase = 'following'`, run.ID, text)
	if err != nil {
		return fmt.Errorf("note what stands against leading clients over: %w", err)
	}
	return nil
}

// LastClients is what [NoteClients] recorded last. A control schema of an older
// version knows nothing.
func LastClients(ctx context.Context, db pg.Querier, run *Run) (against []string, err error) {
	err = db.QueryRow(ctx, `SELECT ARRAY (SELECT pg_catalog.json_array_elements_text(pg_catalog.to_json(l) -> 'clients'))
		FROM pgumbra.leader l WHERE run_id = $1 AND pg_catalog.json_typeof(pg_catalog.to_json(l) -> 'clients') = 'array'
		UNION ALL SELECT '{}' LIMIT 1`, run.ID).Scan(&against)
	if err != nil {
		return nil, fmt.Errorf("read what stands against leading clients over: %w", err)
	}
	for i, text := range against {
		against[i] = pg.FromASCII(text)
	}
	return against, nil
}
