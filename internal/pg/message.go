package pg

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// Message is what the server said, with its SQLSTATE; of an error of another
// kind its own text.
func Message(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Message + " (" + e.Code + ")"
	}
	return err.Error()
}
