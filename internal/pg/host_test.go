package pg

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// What somebody is to type leads to the same database, and holds no password.
func TestAnAddressHasNoPassword(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"postgres://me:p%40ss@old:5433/my%20db?sslmode=disable":               "postgres://me@old:5433/my%20db",
		"host=/var/run/x port=5432 user=me password='p@ss' dbname=db":         "postgres://me@/db?host=%2Fvar%2Frun%2Fx&port=5432",
		"postgres://me:secret@a:1,b:2/db?target_session_attrs=primary":        "postgres://me@/db?host=a%2Cb&port=1%2C2&target_session_attrs=read-write",
		"postgres://me@[::1]:5432/db?sslmode=disable&application_name=secret": "postgres://me@[::1]:5432/db",
	} {
		c, err := pgconn.ParseConfig(dsn)
		if err != nil {
			t.Fatal(err)
		}
		got := Address(c)
		again, err := pgconn.ParseConfig(got)
		if got != want || err != nil || !slices.Equal(Hosts(again), Hosts(c)) || again.Database != c.Database {
			t.Errorf("%s, want %s (%v)", got, want, err)
		}
	}
}

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
