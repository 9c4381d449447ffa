package rehearsal

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// Programs from PostgreSQL 17 on begin a dump with a setting that older servers refuse.
// A row that says the same stays.
func TestDumpsOfNewerProgramsGoIntoOlderServers(t *testing.T) {
	t.Parallel()
	dsn := testcontainers.Database(t)
	const dump = "--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\nSET transaction_timeout = 0;\nSET client_encoding = 'UTF8';\n" +
		"SELECT pg_catalog.set_config('search_path', '', false);\n\nCREATE TABLE public.said (\n    words text\n);\n\nCOPY public.said (words) FROM stdin;\nSET transaction_timeout = 0;\n\\.\n"
	if err := restoreText(t.Context(), testcontainers.Bin, strings.NewReader(dump), dsn); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var words string
	if err := conn.QueryRow(t.Context(), "SELECT words FROM public.said").Scan(&words); err != nil || words != "SET transaction_timeout = 0;" {
		t.Errorf("%q, %v", words, err)
	}
}
