package pg_test

import (
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// However the environment and the connection string spell a setting, the server is sent
// it once, as we want it: a session in another time zone showed equal rows as others.
func TestEachSettingIsSentOnce(t *testing.T) {
	t.Setenv("PGTZ", "Asia/Tokyo")
	const dsn = "postgres://h/d?datestyle=SQL&SEARCH_PATH=x&Statement_Timeout=1000&intervalstyle=iso_8601"
	config, err := pg.Config(dsn, pg.Options{Component: "test", Settings: map[string]string{"intervalstyle": "sql_standard"}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"timezone": "UTC", "datestyle": "ISO, YMD", "search_path": "pg_catalog", "statement_timeout": "0", "intervalstyle": "sql_standard"}
	for name, value := range want {
		var got []string
		for there, v := range config.RuntimeParams {
			if strings.EqualFold(there, name) {
				got = append(got, v)
			}
		}
		if len(got) != 1 || got[0] != value {
			t.Errorf("%s: %q", name, got)
		}
	}
	client, err := pg.ClientConfig(dsn, "test")
	if err != nil {
		t.Fatal(err)
	}
	if client.RuntimeParams["timezone"] != "Asia/Tokyo" {
		t.Errorf("a client's session is not its own: %q", client.RuntimeParams)
	}
}
