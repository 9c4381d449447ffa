package pg

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestConnectionErrorsSayTheCauseFirst: and each once.
func TestConnectionErrorsSayTheCauseFirst(t *testing.T) {
	t.Parallel()
	_, err := pgx.Connect(t.Context(), "postgres://clerk@127.0.0.1:1/shop")
	if got, want := CauseFirst(fmt.Errorf("production: %w", err)), "production: connection refused (127.0.0.1:1, user clerk, database shop)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := CauseFirst(errors.New("anything: else")); got != "anything: else" {
		t.Error(got)
	}
}
