package planner

import (
	"slices"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestKeysThatDependOnTheLocaleBlockWhereItDiffers: others do not, nor do these
// where the locale is the same.
func TestKeysThatDependOnTheLocaleBlockWhereItDiffers(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newShopAt(t, testcontainers.Database(t), `SELECT 1`)
	s.exec(t, `CREATE EXTENSION citext SCHEMA public;
		CREATE COLLATION shop.blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
		CREATE DOMAIN shop.mail AS public.citext;
		CREATE FUNCTION shop.fold(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
		CREATE TABLE shop.k (id int PRIMARY KEY, a public.citext UNIQUE, b text, c text COLLATE shop.blind UNIQUE, d text, e text UNIQUE, f shop.mail UNIQUE,
			g text GENERATED ALWAYS AS (upper(d)) STORED UNIQUE, r int4range UNIQUE);
		CREATE UNIQUE INDEX k_b ON shop.k (lower(b)); CREATE UNIQUE INDEX k_d ON shop.k (shop.fold(d)); CREATE UNIQUE INDEX k_p ON shop.k (id) WHERE b ILIKE 'x%';
		CREATE INDEX k_n ON shop.k (lower(b)); CREATE UNIQUE INDEX k_r ON shop.k (lower(r)); CREATE UNIQUE INDEX k_e ON shop.k ((e || 'x'))`)
	shadow := &shop{dsn: testcontainers.Database(t)}
	s.file.Shadow.DSN = shadow.dsn
	if found := localeKeys(t, s); len(found) > 0 {
		t.Errorf("under one locale: %q", found)
	}
	name := "icu_" + strings.ReplaceAll(strings.ToLower(t.Name()), "/", "_")
	name = name[:40]
	shadow.exec(t, `CREATE DATABASE `+name+` TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'tr'`)
	t.Cleanup(func() { shadow.exec(t, `DROP DATABASE `+name+` WITH (FORCE)`) })
	at, rest, _ := strings.Cut(shadow.dsn, "?")
	s.file.Shadow.DSN = at[:strings.LastIndex(at, "/")+1] + name + "?" + rest
	want := []string{"shop.k_a_key", "shop.k_b", "shop.k_d", "shop.k_f_key", "shop.k_g_key", "shop.k_p"}
	if found := localeKeys(t, s); !slices.Equal(found, want) {
		t.Errorf("under another: %q, want %q", found, want)
	}
}

func localeKeys(t *testing.T, s *shop) (objects []string) {
	t.Helper()
	for _, f := range s.plan(t).Findings {
		if f.Code == "locale-key" && f.Level == plans.Blocker {
			objects = append(objects, f.Object)
		}
	}
	slices.Sort(objects)
	return objects
}
