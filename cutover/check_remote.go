package cutover

import (
	"context"
	"fmt"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// checkRemote asks each side for what the cutover needs there. Old snapshots are
// no hindrance to it, and what depends on production's tables stays with them.
func (c *Cutover) checkRemote(ctx context.Context) ([]Blocker, error) {
	production, shadow := schemaNames(c.Upgrade.Plan)
	asksHere := []question{c.checkPrivileges, c.checkPrepared, c.checkLocksOf(production), c.checkLockers, c.checkConditions, c.checkVersion}
	asksThere := []question{c.checkTables, c.checkPrepared, c.checkLocksOf(shadow), c.checkShadowConditions}
	name := "the shadow"
	if c.backwards() {
		name, asksHere = "the old side", append(asksHere, c.checkMadeSince)
	} else {
		asksThere = append(asksThere, c.checkCreate, c.checkIndexes, c.checkWriteBlock)
	}
	here, err := checked(ctx, c.Sides.Production, asksHere...)
	if err != nil {
		return nil, err
	}
	there, err := checked(ctx, c.Sides.Shadow, asksThere...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for i := range there {
		there[i].Message = "on " + name + ": " + there[i].Message
	}
	if err := control.CheckOrigin(ctx, c.Sides.Production, c.Sides.Shadow, c.Upgrade); err != nil {
		return nil, err
	}
	all := append(here, there...)
	for _, check := range []func(context.Context) ([]Blocker, error){c.checkTotal, c.checkLag, c.checkStructure, c.checkTraffic} {
		found, err := check(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// checkCreate: renaming a schema takes CREATE on the database.
func (c *Cutover) checkCreate(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	var may bool
	var database, user string
	err := db.QueryRow(ctx, `SELECT has_database_privilege(current_database(), 'CREATE'), current_database()::text, current_user::text`).
		Scan(&may, &database, &user)
	if err != nil {
		return nil, fmt.Errorf("check privileges: %w", err)
	}
	if may {
		return nil, nil
	}
	return []Blocker{{Code: "privilege", Message: "without CREATE on database " + database + " its schemas cannot be renamed",
		Fix: "GRANT CREATE ON DATABASE " + pg.Ident(database) + " TO " + pg.Ident(user)}}, nil
}

// checkTraffic looks whether clients can be led over.
func (c *Cutover) checkTraffic(ctx context.Context) ([]Blocker, error) {
	if c.Traffic == nil {
		return nil, nil
	}
	findings, err := c.Traffic.Inspect(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at the way that clients are led: %w", err)
	}
	all, err := c.unfinished(ctx, c.Sides.Production)
	if err != nil {
		return nil, err
	}
	for _, f := range findings {
		if f.Level == plans.Blocker {
			all = append(all, Blocker{Code: f.Code, Message: f.Object + ": " + f.Message, Fix: f.Fix})
		}
	}
	return all, nil
}

// checkLockers names sessions that would keep the fence from standing.
func (c *Cutover) checkLockers(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	production, _ := schemaNames(c.Upgrade.Plan)
	pids, started := c.own().Columns()
	found, err := sessions(ctx, db, inWaySQL, production, c.settings().MaxStall.Seconds(), false, pids, started)
	if err != nil {
		return nil, fmt.Errorf("look for open transactions: %w", err)
	}
	return blockersOf("lock", found), nil
}
