package pg

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestOneHostInPlaceOfSeveral(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://me:p%40ss@a:1,b:2/db?sslmode=prefer&application_name=x",
		"postgresql://me:p%40ss@/db?host=a,b&port=1,2",
		"host=a,b port=1,2 user=me password='p@ss' dbname=db",
	} {
		c, err := pgconn.ParseConfig(dsn)
		if err != nil {
			t.Fatal(err)
		}
		if got := Hosts(c); !slices.Equal(got, []Host{{"a", 1}, {"b", 2}}) {
			t.Errorf("%s: %v", dsn, got)
		}
		for _, h := range []Host{{"b", 2}, {"/var/run/it's", 5433}} {
			one, err := pgconn.ParseConfig(h.only(dsn))
			if err != nil {
				t.Fatal(err)
			}
			if got := Hosts(one); !slices.Equal(got, []Host{h}) || one.User != "me" || one.Password != "p@ss" || one.Database != "db" {
				t.Errorf("%s: %v of %+v", h.only(dsn), got, one)
			}
		}
	}
}
