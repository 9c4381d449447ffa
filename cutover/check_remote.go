package cutover

import (
	"context"
	"fmt"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// checkShadow asks the shadow's own server, and whether the two belong together still.
func (c *Cutover) checkShadow(ctx context.Context) ([]Blocker, error) {
	name := "the shadow"
	if c.backwards() {
		name = "the old side"
	}
	found, err := c.onSide(ctx, c.Sides.Shadow, func(s side) bool { return s == ofShadow })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for i := range found {
		found[i].Message = "on " + name + ": " + found[i].Message
	}
	return found, control.CheckOrigin(ctx, c.Sides.Production, c.Sides.Shadow, c.Upgrade)
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

// checkTraffic looks whether clients can be redirected.
func (c *Cutover) checkTraffic(ctx context.Context, _ pg.Querier) ([]Blocker, error) {
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
