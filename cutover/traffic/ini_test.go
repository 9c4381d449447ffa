package traffic

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRedirectChangesTheAddressAndNothingElse(t *testing.T) {
	t.Parallel()
	to := Address{Host: "db2", Port: 5433, Database: "shop"}
	for name, c := range map[string]struct{ entry, want string }{
		"all three":            {"host=db1 port=5432 dbname=old", "host=db2 port=5433 dbname=shop"},
		"options kept":         {"pool_size=5 host=db1 port=1 dbname=x pool_mode=transaction user=u password='p''w d'", "pool_size=5 host=db2 port=5433 dbname=shop pool_mode=transaction user=u password='p''w d'"},
		"empty":                {"", "host=db2 port=5433 dbname=shop"},
		"no address":           {"pool_size=5", "host=db2 port=5433 dbname=shop pool_size=5"},
		"behind the last":      {"host=db1", "host=db2 port=5433 dbname=shop"},
		"between":              {"host=db1  pool_size=5", "host=db2 port=5433 dbname=shop  pool_size=5"},
		"quotes stay":          {"host='db1' port='5432' dbname='a''b'", "host='db2' port='5433' dbname='shop'"},
		"sign behind a quote":  {"host='db1'xport=1", "host='db2'xport=5433 dbname=shop"},
		"nothing behind it":    {"port=1 host='db1'x", "port=5433 host='db2'xdbname=shop"},
		"twice":                {"host=a host=b port=1", "host=db2 host=db2 port=5433 dbname=shop"},
		"spaces around":        {"host = db1   port  =  1 dbname= x", "host = db2   port  =  5433 dbname= shop"},
		"a list of hosts":      {"host=a,b port=1 dbname=x", "host=db2 port=5433 dbname=shop"},
		"a tab is no space":    {"host=a\tport=1 dbname=x", "host=db2 dbname=shop port=5433"},
		"host inside a value":  {"connect_query='select ''host=1''' port=7", "connect_query='select ''host=1''' port=5433 host=db2 dbname=shop"},
		"a quote in a value":   {"host=d'b port=1 dbname=x", "host=db2 port=5433 dbname=shop"},
		"auth_dbname is other": {"auth_dbname=a dbname=b", "auth_dbname=a dbname=shop host=db2 port=5433"},
	} {
		got, err := redirect(c.entry, to)
		if err != nil || got != c.want {
			t.Errorf("%s: %q became %q (%v), want %q", name, c.entry, got, err, c.want)
		}
		pairs, err := parsePairs(got)
		if err != nil || addressOf("x", pairs) != to {
			t.Errorf("%s: %q leads to %+v (%v)", name, got, addressOf("x", pairs), err)
		}
	}
}

func TestRedirectQuotesNames(t *testing.T) {
	t.Parallel()
	to := Address{Host: "/var/run/my server", Port: 1, Database: "it's"}
	got, err := redirect("host=a port=2", to)
	if want := "host='/var/run/my server' port=1 dbname='it''s'"; err != nil || got != want {
		t.Errorf("%q (%v), want %q", got, err, want)
	}
}

func TestWhatPgBouncerRefusesIsRefused(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{"host", "host=", "=a", "host=''", "host='a", "a b=c", "host=a x"} {
		if pairs, err := parsePairs(entry); !errors.Is(err, errConnection) {
			t.Errorf("%q gave %v (%v)", entry, pairs, err)
		}
	}
	for text, line := range map[string]int{
		"[databases]\nshop host=a\n":     2,
		"[databases\nshop = host=a\n":    1,
		"shop = host=a\n":                1,
		"[databases]\n\n\"a b\" = x=y":   3,
		"[databases]\na = host=b\nb = x": 3,
		"[databases]\n'a = host=b":       2,
	} {
		_, err := readConfig(write(t, text))
		var bad *syntaxError
		if !errors.As(err, &bad) || bad.line != line {
			t.Errorf("%q gave %v, want line %d", text, err, line)
		}
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pgbouncer.ini")
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

const awkward = "; shop = host=comment\n#x\r\n\r\n[users]\r\nshop = pool_mode=session\r\n[pgbouncer]\n pool_mode = transaction ; not a comment\n" +
	"[databases] \tshop\t=\thost=db1 password='it''s \xff'  \t\r\n  other= host=db1\n* = host=any\n'my db' = host=db1\n%include extra.ini\nshop2=host=db2"

func TestOnlyTheEntryIsRewritten(t *testing.T) {
	t.Parallel()
	path := write(t, awkward)
	extra := filepath.Join(filepath.Dir(path), "extra.ini")
	if err := os.WriteFile(extra, []byte("inner = port=7 host=db1"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := readConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	e, ok := c.find("shop")
	if !ok || e.leads != (Address{Host: "db1", Port: 5432, Database: "shop"}) || e.line != 8 {
		t.Fatalf("found %+v", e)
	}
	want := strings.Replace(awkward, "host=db1 password='it''s \xff'", "NEW", 1)
	if diff := cmp.Diff(want, c.replace(e, "NEW")); diff != "" {
		t.Error(diff)
	}
	for name, file := range map[string]string{"my db": path, "inner": extra, "shop2": path, "*": path} {
		if e, ok := c.find(name); !ok || e.path != file {
			t.Errorf("%s: found %v in %s", name, ok, e.path)
		}
	}
	if c.pgb["pool_mode"] != "transaction ; not a comment" {
		t.Errorf("settings %v", c.pgb)
	}
}

func TestOfSeveralEntriesTheLastCounts(t *testing.T) {
	t.Parallel()
	c, err := readConfig(write(t, "[databases]\nshop = host=a\n[databases]\nshop = host=b\n"))
	if e, _ := c.find("shop"); err != nil || e.line != 4 || e.leads.Host != "b" {
		t.Errorf("%+v (%v)", e, err)
	}
}

func TestIncludesThatNeverEndAreRefused(t *testing.T) {
	t.Parallel()
	_, err := readConfig(write(t, "[databases]\n%include pgbouncer.ini\n"))
	var bad *syntaxError
	if !errors.As(err, &bad) {
		t.Errorf("%v", err)
	}
}

func FuzzRedirect(f *testing.F) {
	f.Add(awkward, "db2", "shop")
	f.Add("[databases]\nshop = host='a'xport=1 dbname='b' q='''' \n", "/tmp/a b", "it's")
	f.Add("[databases]shop=", "h", "d")
	f.Fuzz(func(t *testing.T, text, host, database string) {
		to := Address{Host: host, Port: 5433, Database: database}
		before, err := parseText(text)
		if err != nil || to.check() != nil || host == "" || database == "" {
			return
		}
		e, ok := before.find("shop")
		if !ok {
			return
		}
		value, err := redirect(e.value, to)
		if err != nil {
			t.Fatalf("the entry was read, but not rewritten: %v", err)
		}
		after, err := parseText(before.replace(e, value))
		if err != nil {
			t.Fatalf("%q is no configuration any more: %v", before.replace(e, value), err)
		}
		compare(t, before, after, e, to)
	})
}

// parseText reads one file that includes none.
func parseText(text string) (*config, error) {
	c := &config{texts: map[string]string{"f": text}, pgb: map[string]string{}}
	section := ""
	return c, scan("f", text, visitor{
		section: func(name string) { section = name },
		include: func(string) error { return nil },
		item: func(key string, start, end, line int) error {
			return c.item(section, entry{name: key, path: "f", line: line, start: start, end: end, value: text[start:end]})
		},
	})
}

func compare(t *testing.T, before, after *config, e entry, to Address) {
	t.Helper()
	now, _ := after.find("shop")
	if now.leads != to {
		t.Errorf("%q leads to %+v, want %+v", now.value, now.leads, to)
	}
	if before.texts["f"][:e.start] != after.texts["f"][:now.start] || before.texts["f"][e.end:] != after.texts["f"][now.end:] {
		t.Errorf("%q became %q", before.texts["f"], after.texts["f"])
	}
	old, _ := parsePairs(e.value)
	changed, _ := parsePairs(now.value)
	if diff := cmp.Diff(others(old), others(changed)); diff != "" {
		t.Error(diff)
	}
}

func others(pairs []pair) [][2]string {
	var all [][2]string
	for _, p := range pairs {
		if p.key != "host" && p.key != "port" && p.key != "dbname" {
			all = append(all, [2]string{p.key, p.value})
		}
	}
	return all
}
