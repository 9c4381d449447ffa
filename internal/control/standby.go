package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Standby is a process that waits to lead a run.
type Standby struct {
	Host    string
	PID     int
	Since   time.Time
	Program string // its version
	// Problems are what would keep it from leading, or make it lead otherwise than
	// the leader does, a sentence each.
	Problems []string
}

// NoteStandby says that a standby lives, by the server's clock. False: the control
// schema is older than standbys, and nobody sees it.
func NoteStandby(ctx context.Context, db pg.Querier, run *Run, s Standby) (noted bool, err error) {
	there, err := knowsStandbys(ctx, db)
	if err != nil || !there {
		return false, err
	}
	problems, err := pg.JSON(append([]string{}, s.Problems...))
	if err != nil {
		return false, err
	}
	_, err = db.Exec(ctx, `INSERT INTO pgumbra.standby (run_id, host, pid, seen, program, problems) VALUES ($1, $2, $3, clock_timestamp(), $4, $5)
		ON CONFLICT (run_id, host, pid) DO UPDATE SET (seen, program, problems) = (EXCLUDED.seen, EXCLUDED.program, EXCLUDED.problems)`,
		run.ID, pg.ASCII(s.Host), s.PID, pg.ASCII(s.Program), problems)
	if err != nil {
		return false, fmt.Errorf("say that this standby is there: %w", err)
	}
	return true, nil
}

// ForgetStandby removes a standby that leads or ends, and those that were not seen
// for so long.
func ForgetStandby(ctx context.Context, db pg.Querier, run *Run, s Standby, unseen time.Duration) error {
	there, err := knowsStandbys(ctx, db)
	if err != nil || !there {
		return err
	}
	_, err = db.Exec(ctx, `DELETE FROM pgumbra.standby WHERE run_id = $1
		AND (host = $2 AND pid = $3 OR seen < clock_timestamp() - make_interval(secs => $4))`, run.ID, pg.ASCII(s.Host), s.PID, unseen.Seconds())
	if err != nil {
		return fmt.Errorf("forget a standby: %w", err)
	}
	return nil
}

// Standbys are those that said within so long that they live.
func Standbys(ctx context.Context, db pg.Querier, run *Run, within time.Duration) ([]Standby, error) {
	there, err := knowsStandbys(ctx, db)
	if err != nil || !there {
		return nil, err
	}
	rows, err := db.Query(ctx, `SELECT host, pid, since, program, problems FROM pgumbra.standby
		WHERE run_id = $1 AND seen > clock_timestamp() - make_interval(secs => $2) ORDER BY since, host, pid`, run.ID, within.Seconds())
	if err != nil {
		return nil, fmt.Errorf("read the standbys: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Standby, error) {
		var s Standby
		err := row.Scan(&s.Host, &s.PID, &s.Since, &s.Program, &s.Problems)
		s.Host, s.Program = pg.FromASCII(s.Host), pg.FromASCII(s.Program)
		return s, err
	})
}

func knowsStandbys(ctx context.Context, db pg.Querier) (there bool, err error) {
	err = db.QueryRow(ctx, `SELECT pg_catalog.to_regclass('pgumbra.standby') IS NOT NULL`).Scan(&there)
	if err != nil {
		return false, fmt.Errorf("look for standbys: %w", err)
	}
	return there, nil
}

// Program is what the leader says of itself: its version, and what its plan file
// says by key, which holds no connection strings.
type Program struct {
	Version string
	File    map[string]string
}

// NoteProgram records what leads a run.
func NoteProgram(ctx context.Context, db pg.Querier, run *Run, p Program) error {
	file, err := pg.JSON(p.File)
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, `UPDATE pgumbra.leader SET program = $2, file = $3, trying_since = NULL WHERE run_id = $1`, run.ID, pg.ASCII(p.Version), file)
	if err != nil {
		return fmt.Errorf("note what leads the run: %w", err)
	}
	return nil
}

// ReadProgram reads what [NoteProgram] recorded; a zero Program where an older
// pgumbra leads.
func ReadProgram(ctx context.Context, db pg.Querier, run *Run) (p Program, err error) {
	there, err := knowsStandbys(ctx, db)
	if err != nil || !there {
		return p, err
	}
	var file []byte
	err = db.QueryRow(ctx, `SELECT program, file FROM pgumbra.leader WHERE run_id = $1`, run.ID).Scan(&p.Version, &file)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, nil
	}
	if err == nil && len(file) > 0 {
		err = json.Unmarshal(file, &p.File)
	}
	if err != nil {
		return p, fmt.Errorf("read what leads the run: %w", err)
	}
	p.Version = pg.FromASCII(p.Version)
	return p, nil
}
