package replay

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Conflict is a row that the shadow refuses, or that a transform fails on. It
// matches [ErrConflict], and the server's error stays in the chain.
type Conflict struct {
	Table   pg.Name // in the shadow
	Action  string  // what the statement does
	State   string  // SQLSTATE; empty: found by ourselves
	Message string  // the server's
	Detail  string  // the server's: the key, where it knows it
	Key     string  // of the production row, "id=7, line=2"; empty: not found, or several
	// Column of the shadow whose expression fails; empty: none does alone.
	Column     string
	Expression string
	Statement  string
	cause      error
}

func (c *Conflict) Error() string {
	text := fmt.Sprintf("%s: %s: %s", c.Table, c.Action, c.Message)
	if c.Key != "" {
		text += ", at the row with " + c.Key
	}
	if c.Column != "" {
		text += fmt.Sprintf(", column %s (%s)", c.Column, c.Expression)
	}
	if c.Detail != "" {
		text += " (" + c.Detail + ")"
	}
	if c.State != "" {
		text += " (SQLSTATE " + c.State + ")"
	}
	return text
}

// Unwrap lets errors.Is find [ErrConflict] and the server's error.
func (c *Conflict) Unwrap() []error {
	if c.cause == nil {
		return []error{ErrConflict}
	}
	return []error{ErrConflict, c.cause}
}

// refused tells errors that the data causes from all others: cardinality,
// data, integrity, WITH CHECK OPTION, and what functions raise.
func (f *applier) refused(s statement, err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) || !strings.Contains("21 22 23 44 P0", e.Code[:2]) {
		return fmt.Errorf("%s: %s: %w", f.t.Shadow, s.what, err)
	}
	detail := e.Detail
	if e.Where != "" {
		detail = strings.TrimSpace(detail + " " + e.Where)
	}
	return &Conflict{Table: f.t.Shadow, Action: s.what, State: e.Code, Message: e.Message,
		Detail: detail, Statement: s.sql, cause: err}
}

// exec runs statements one after another.
func (f *applier) exec(ctx context.Context, tx pgx.Tx, todo []statement) error {
	for _, s := range todo {
		if _, err := tx.Exec(ctx, s.sql, s.args...); err != nil {
			return f.refused(s, err)
		}
	}
	return nil
}
