package planfile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// production makes a database with this content.
func production(t testing.TB, script string) (string, *pgx.Conn) {
	t.Helper()
	ctx := context.Background()
	dsn := testcontainers.Database(t)
	conn, err := pg.Connect(ctx, dsn, pg.Options{Component: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(ctx) })
	if err := pg.ExecScript(ctx, conn, script); err != nil {
		t.Fatal(err)
	}
	return dsn, conn
}

// migrationsIn makes a folder with these empty files.
func migrationsIn(t testing.TB, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range names {
		path := filepath.Join(dir, n)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func mustInit(t testing.TB, o InitOptions) string {
	t.Helper()
	text, err := Init(context.Background(), o)
	if err != nil {
		t.Fatalf("Init: %v", err)
	}
	return string(text)
}

func TestInitWritesAPlanFileThatLoadAccepts(t *testing.T) {
	dsn, _ := production(t, `
		CREATE SCHEMA "My Shop";
		CREATE TABLE public.schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);
		INSERT INTO public.schema_migrations VALUES (1, false);
		CREATE TABLE "My Shop".orders (id int PRIMARY KEY, note text);
		CREATE TABLE "My Shop"."log
# x" (at timestamptz, line text);
		CREATE TABLE "My Shop"."Docs: {all}" (id int PRIMARY KEY, body text);
		ALTER TABLE "My Shop"."Docs: {all}" ALTER body SET STORAGE EXTERNAL;
		INSERT INTO "My Shop"."Docs: {all}" SELECT g, repeat(md5(g::text), 400) FROM generate_series(1, 200) g;
		CREATE TABLE "My Shop".parts (id int, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
		CREATE TABLE "My Shop".parts_1 PARTITION OF "My Shop".parts DEFAULT;`)
	dir := migrationsIn(t, "m/1_a.up.sql", "m/42_b.up.sql", "m/oops.sql")
	output := filepath.Join(dir, "conf", "pgumbra.yaml")
	t.Chdir(dir)
	text := mustInit(t, InitOptions{Production: dsn, Schemas: []string{"My Shop"}, Migrations: "m", Output: "conf/pgumbra.yaml"})

	f, err := parseFile(output, []byte(text), nil)
	if err != nil {
		t.Fatalf("Load refuses it: %v\n%s", err, text)
	}
	if !strings.HasSuffix(f.Name, "-v42") || f.Migrations.Path != filepath.Join(dir, "m") || f.Migrations.Table != "" {
		t.Errorf("name %q, path %q, table %q", f.Name, f.Migrations.Path, f.Migrations.Table)
	}
	if diff := cmp.Diff([]string{"My Shop"}, f.Production.Schemas); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(plans.DefaultSettings(), f.Settings); diff != "" {
		t.Errorf("the settings written are not the defaults:\n%s", diff)
	}
	if len(f.Tables) != 1 || f.Tables[0].Name != (pg.Name{Schema: "My Shop", Name: "Docs: {all}"}) || f.Tables[0].Record != plans.RecordKey {
		t.Errorf("tables %+v", f.Tables)
	}
	for _, want := range []string{"# Production is at version 1,", "now 42", "# DECIDE: oops.sql", "#   My Shop.log # x (", "# 4 tables, "} {
		if !strings.Contains(text, want) {
			t.Errorf("the text does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "parts_1") || strings.Contains(text, "orders (") {
		t.Errorf("partitions or keyed tables are listed:\n%s", text)
	}
}

func TestInitNeverWritesAPassword(t *testing.T) {
	t.Parallel()
	dsn, _ := production(t, "")
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	for _, with := range []string{
		dsn + " password='ge heim'",
		"postgres://" + config.User + ":geheim@/" + config.Database + "?host=" + config.Host + "&port=" + strconv.Itoa(int(config.Port)),
	} {
		if strings.Contains(dsn, "://") {
			with = strings.Replace(dsn, config.User+"@", config.User+":geheim@", 1)
		}
		text := mustInit(t, InitOptions{Production: with, Shadow: "host=x password=geheim2", Schemas: []string{"public"}, Migrations: migrationsIn(t, "1_a.up.sql")})
		if strings.Contains(text, "heim") || strings.Count(text, "DECIDE: the password") != 2 {
			t.Errorf("text:\n%s", text)
		}
		f, err := parseFile("x.yaml", []byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		again, err := pgx.Connect(context.Background(), f.Production.DSN)
		if err != nil {
			t.Fatalf("the DSN written does not connect: %v", err)
		}
		_ = again.Close(context.Background())
	}
}

func TestInitMarksWhatItCannotKnow(t *testing.T) {
	t.Parallel()
	migrations := migrationsIn(t, "1_a.up.sql", "20240102030405_b.up.sql")
	for name, c := range map[string]struct {
		script string
		want   []string
	}{
		"no version table": {"CREATE TABLE public.a (id int PRIMARY KEY)", []string{"# DECIDE: production has no version table.", `table: ""`}},
		"dirty":            {"CREATE TABLE public.schema_migrations (version bigint, dirty boolean); INSERT INTO public.schema_migrations VALUES (1, true)", []string{"# DECIDE: it says version 1, dirty"}},
		"empty":            {"CREATE TABLE public.schema_migrations (version bigint, dirty boolean)", []string{"# DECIDE: production has no version in its table."}},
		"another name":     {"CREATE SCHEMA meta; CREATE TABLE meta.versions (version bigint, dirty boolean, at timestamptz); INSERT INTO meta.versions VALUES (1, false)", []string{"table: meta.versions", "Production is at version 1"}},
		"two tables": {"CREATE TABLE public.schema_migrations (version bigint, dirty boolean); CREATE TABLE public.other (version bigint, dirty boolean)",
			[]string{"is public.schema_migrations.", "# DECIDE: is it that one? These look alike: public.other."}},
		"up to date": {"CREATE TABLE public.schema_migrations (version bigint, dirty boolean); INSERT INTO public.schema_migrations VALUES (20240102030405, false)", []string{"there is nothing to do yet", "-20240102030405\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn, _ := production(t, c.script)
			text := mustInit(t, InitOptions{Production: dsn, Schemas: []string{"public"}, Migrations: migrations})
			for _, w := range c.want {
				if !strings.Contains(text, w) {
					t.Errorf("the text does not say %q:\n%s", w, text)
				}
			}
			if _, err := parseFile("x.yaml", []byte(text), nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestInitRefusesWithTheRightKindOfError(t *testing.T) {
	t.Parallel()
	dsn, _ := production(t, "CREATE SCHEMA shop")
	migrations := migrationsIn(t, "1_a.up.sql")
	var refused *RefusedError
	_, err := Init(context.Background(), InitOptions{Production: dsn, Schemas: []string{"shop", "shap"}, Migrations: migrations})
	if !errors.As(err, &refused) || len(refused.Findings) != 1 || !strings.Contains(err.Error(), "has no schema shap; there are: public, shop") {
		t.Errorf("absent schema: %v", err)
	}
	for _, o := range []InitOptions{
		{Production: dsn, Migrations: migrations},
		{Production: "postgres://u:geheim@[::1", Schemas: []string{"shop"}},
		{Production: dsn, Schemas: []string{"shop"}, Migrations: "absent"},
	} {
		_, err := Init(context.Background(), o)
		var fe *plans.FileError
		if !errors.As(err, &fe) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	_, err = Init(context.Background(), InitOptions{Production: "host=/nowhere user=x password=geheim", Schemas: []string{"shop"}, Migrations: migrations})
	if err == nil || errors.As(err, &refused) || strings.Contains(err.Error(), "geheim") {
		t.Errorf("no server: %v", err)
	}
}

func TestInitWithoutMigrationsLoadsToo(t *testing.T) {
	t.Parallel()
	dsn, _ := production(t, "")
	for _, shadow := range []string{"", "host=db2"} {
		text := mustInit(t, InitOptions{Production: dsn, Schemas: []string{"public"}, Shadow: shadow})
		if _, err := parseFile("x.yaml", []byte(text), nil); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
		if !strings.Contains(text, time.Now().Format("200601")) {
			t.Errorf("no date in the name:\n%s", text)
		}
	}
}

func TestYAMLTextComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "null", "plain", "a: b", "#x", "ü\n\t\"'\\", "$${x}", "${HOME}", "it's", "*a", "&a", "1", "./m", "../m/n", "a,b]", "\x01\u2028"} {
		text := "name: x\nproduction: {dsn: \"\", schemas: [public]}\nmigrations: {path: m, table: " + yamlText(s) + "}\n"
		f, err := parseFile("x.yaml", []byte(text), nil)
		if err != nil || f.Migrations.Table != s {
			t.Errorf("%q: %v, %v", s, f, err)
		}
	}
}
