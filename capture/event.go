package capture

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

//go:embed freeze.sql
var freezeSQL string

func freezeFunction(run int64) pg.Name { return own(fmt.Sprintf("freeze_%d", run)) }

func eventTriggers(run int64) [3]string {
	return [3]string{fmt.Sprintf("pgumbra_%d_end", run), fmt.Sprintf("pgumbra_%d_drop", run), fmt.Sprintf("pgumbra_%d_rewrite", run)}
}

// freshFingerprint is of a table whose partitions have changed, with what was known
// of it when capture began.
const freshFingerprint = `({fingerprint}(source.root)
                || jsonb_build_object('key', source.was->'key', 'states', source.was->'states', 'unfinished', source.was->'unfinished'))::json`

// freezeHints say what whoever is refused may do instead.
var freezeHints = map[Direction]string{
	ToShadow: "Change it after the upgrade, or abort the upgrade first: pgumbra abort.",
	ToOld:    "A rollback is being prepared: change it once that is done, or given up.",
}

// freezeScript is of the tables that a direction captures. Partitions may come and go on
// the way there alone: the old side has no place for rows of new ones.
func freezeScript(run *control.Run, d Direction) string {
	triggers := eventTriggers(run.ID)
	return strings.NewReplacer(
		"{function}", freezeFunction(run.ID).Quoted(),
		"{fingerprint}", fingerprintFunction(run.ID).Quoted(),
		"{run}", fmt.Sprint(run.ID),
		"{captured}", control.Captured(run.ID, d),
		"{set_fingerprint}", control.SetFingerprint(run.ID, d, "source.n", strings.ReplaceAll(freshFingerprint, "{fingerprint}", fingerprintFunction(run.ID).Quoted())),
		"{ours}", control.Ours(run),
		"{name}", pg.Literal(run.Name),
		"{prefix}", pg.Literal(triggerPrefix(run.ID)),
		"{hint}", pg.Literal(freezeHints[d]),
		"{partitions_may_change}", strconv.FormatBool(d == ToShadow),
		"{end_trigger}", pg.Ident(triggers[0]),
		"{drop_trigger}", pg.Ident(triggers[1]),
		"{rewrite_trigger}", pg.Ident(triggers[2]),
	).Replace(freezeSQL)
}

// FreezeNewSide refuses changes of the new tables' structure, and of no row, while a
// rollback is prepared: such a change would close the way back. Where only a superuser
// may make an event trigger, and we are none, it is found as ever, by the attempt. Until
// [UnfreezeNewSide], by whichever process.
func FreezeNewSide(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	return newInstaller(pool, run, slog.New(slog.DiscardHandler)).eventTrigger(ctx, ToOld)
}

// UnfreezeNewSide ends what [FreezeNewSide] began. Idempotent.
func UnfreezeNewSide(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	if _, err := pool.Exec(ctx, dropEventTriggers(run.ID)+dropFreezeFunction(run.ID)); err != nil {
		return fmt.Errorf("end the structure freeze: %w", err)
	}
	return nil
}

// eventTrigger makes the structure freeze, where the role is a superuser.
// Without it a change is detected by [Check] all the same, only later.
func (in *installer) eventTrigger(ctx context.Context, d Direction) error {
	var super bool
	err := in.pool.QueryRow(ctx, `SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user`).Scan(&super)
	if err != nil {
		return fmt.Errorf("look up our role: %w", err)
	}
	if !super {
		in.log.Info("structure changes are detected but not refused: only a superuser may make an event trigger")
		return nil
	}
	err = in.tx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, dropEventTriggers(in.run.ID)+freezeScript(in.run, d))
		return err
	})
	if err != nil {
		return fmt.Errorf("freeze the structure: %w", err)
	}
	return nil
}

func dropEventTriggers(run int64) string {
	var b strings.Builder
	for _, name := range eventTriggers(run) {
		fmt.Fprintf(&b, "DROP EVENT TRIGGER IF EXISTS %s;\n", pg.Ident(name))
	}
	return b.String()
}
