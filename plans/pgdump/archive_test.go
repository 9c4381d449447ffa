package pgdump

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writer writes an archive as pg_dump does.
type writer struct {
	bytes.Buffer
	minor byte
}

func (w *writer) int(n int) {
	sign := byte(0)
	if n < 0 {
		sign, n = 1, -n
	}
	w.WriteByte(sign)
	w.Write(binary.LittleEndian.AppendUint32(nil, uint32(n)))
}

func (w *writer) text(s string) {
	w.int(len(s))
	w.WriteString(s)
}

func (w *writer) optional(s string) {
	if s == "" {
		w.int(-1)
		return
	}
	w.text(s)
}

func (w *writer) head() {
	w.WriteString("PGDMP")
	w.Write([]byte{1, w.minor, 0, 4, 8, customFormat})
	if w.minor > oldestArchive {
		w.WriteByte(0)
	} else {
		w.int(-1)
	}
	for range 7 {
		w.int(59)
	}
	for _, s := range []string{"shop", "15.1", "15.1"} {
		w.text(s)
	}
}

func (w *writer) record(r record) {
	w.int(r.dumpID)
	w.int(0)
	w.text(fmt.Sprint(r.class))
	w.text(fmt.Sprint(r.oid))
	w.text(r.tag)
	w.text(r.desc)
	w.int(r.section)
	w.text(r.definition)
	w.optional(r.drop)
	w.optional("")
	w.optional(r.namespace)
	w.optional(r.tablespace)
	w.optional(r.tableAM)
	if w.minor >= kindsArchive {
		w.int(int(r.relkind))
	}
	w.optional(r.owner)
	w.text("false")
	for _, d := range r.deps {
		w.text(fmt.Sprint(d))
	}
	w.int(-1)
	w.WriteByte(2)
	w.Write(make([]byte, 8))
}

func archiveOf(minor byte, all ...record) []byte {
	w := &writer{minor: minor}
	w.head()
	w.int(len(all))
	for _, r := range all {
		w.record(r)
	}
	return w.Bytes()
}

func TestArchivesOfAllVersionsAreRead(t *testing.T) {
	t.Parallel()
	want := []record{
		{dumpID: 7, class: 1259, oid: 4294967295, tag: "a\nb", desc: "TABLE", section: 2, definition: "CREATE TABLE …;\n", drop: "DROP TABLE x;\n",
			namespace: "s", tablespace: "t", tableAM: "heap", owner: "o", deps: []int{3, 5}},
		{dumpID: 8, desc: "COMMENT", section: 1, definition: "PGDMP\n--\n-- TOC entry 1 (class 2 OID 3)\n"},
	}
	for minor := byte(oldestArchive); minor <= newestArchive; minor++ {
		if minor == kindsArchive {
			want[0].relkind = 'p'
		}
		got, err := readArchive(archiveOf(minor, want...))
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(record{})); err != nil || diff != "" {
			t.Errorf("1.%d: %v\n%s", minor, err, diff)
		}
	}
}

func TestWhatIsNoArchiveIsRefused(t *testing.T) {
	t.Parallel()
	whole := archiveOf(14, record{dumpID: 1, desc: "TABLE", section: 2, definition: "x"})
	for name, archive := range map[string][]byte{
		"nothing": nil, "text": []byte("--\n-- PostgreSQL database dump\n--\n"), "1.13": archiveOf(13), "1.17": archiveOf(17),
		"another format": bytes.Replace(whole, []byte{4, 8, customFormat}, []byte{4, 8, 3}, 1), "cut": whole[:len(whole)-12],
	} {
		if got, err := readArchive(archive); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestEntriesComeAsPgRestoreRunsThem(t *testing.T) {
	t.Parallel()
	records := []record{
		{dumpID: 1, desc: "STDSTRINGS", section: 2, definition: stdStrings},
		{dumpID: 2, desc: "DATABASE", section: 2, definition: "CREATE DATABASE x;"},
		{dumpID: 3, desc: "ACL", section: 1, tag: "DATABASE x", definition: "GRANT …"},
		{dumpID: 4, desc: "EVENT TRIGGER", section: 4, tag: "e", definition: "CREATE EVENT TRIGGER e;", drop: "DROP EVENT TRIGGER e;\n", owner: "o"},
		{dumpID: 5, desc: "COMMENT", section: 1, tag: "EVENT TRIGGER e", definition: "COMMENT ON EVENT TRIGGER e;"},
		{dumpID: 6, desc: "ACL", section: 1, tag: "TABLE t", definition: "GRANT;", owner: "o"},
		{dumpID: 7, desc: "FUNCTION", section: 2, tag: "f(integer)", namespace: "s", definition: "CREATE FUNCTION s.f(a integer);\n",
			drop: "DROP FUNCTION s.f(a integer);\n", owner: "Odd"},
		{dumpID: 8, desc: "TABLE", section: 2, tag: "user", namespace: "s", definition: "CREATE TABLE s.\"user\" ();\n", drop: "DROP TABLE s.\"user\";\n",
			owner: "o", tableAM: "other", relkind: 'p', tablespace: "fast"},
		{dumpID: 9, desc: "TABLE", section: 2, tag: "u", namespace: "s", definition: "CREATE TABLE s.u ();\n", tableAM: "other"},
		{dumpID: 10, desc: "TABLE DATA", section: sectionData, tag: "u", namespace: "s", definition: "COPY"},
		{dumpID: 11, desc: "CONSTRAINT", section: 4, tag: "u u_pkey", namespace: "s", definition: "ALTER TABLE …;\n", drop: "ALTER …\n", owner: "o"},
	}
	all, err := entries(records)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range all {
		got = append(got, e.SQL)
	}
	want := []string{
		"CREATE FUNCTION s.f(a integer);\n\n\nALTER FUNCTION s.f(a integer) OWNER TO \"Odd\";",
		"SET default_tablespace = fast;\nCREATE TABLE s.\"user\" ();\n\n\nALTER TABLE s.\"user\" OWNER TO o;\n\nALTER TABLE s.\"user\" SET ACCESS METHOD other;\nSET default_tablespace = '';",
		"SET default_table_access_method = other;\nCREATE TABLE s.u ();\nSET default_table_access_method = heap;",
		"ALTER TABLE …;", "GRANT;", "CREATE EVENT TRIGGER e;\n\nALTER EVENT TRIGGER e OWNER TO o;", "COMMENT ON EVENT TRIGGER e;",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	records[0].definition = "SET standard_conforming_strings = 'off';\n"
	if _, err := entries(records); err == nil {
		t.Error("literals of another kind are taken")
	}
	if _, err := entries([]record{{desc: "GARDEN GNOME", section: 2, definition: "x", drop: "y", owner: "z"}}); err == nil {
		t.Error("an owner of an unknown kind is taken")
	}
}

// FuzzArchive: whatever the bytes, there is an answer; and what was written is
// what is read, whatever the texts hold.
func FuzzArchive(f *testing.F) {
	f.Add([]byte("PGDMP"), "a", "b")
	f.Add(archiveOf(14, record{dumpID: 1, tag: "x"})[:90], "\n--\n-- Name", "PGDMP\x01\x0e")
	f.Add(archiveOf(16, record{dumpID: 1, tag: "x", deps: []int{2}}), "", "\x00\xff")
	f.Fuzz(func(t *testing.T, archive []byte, name, definition string) {
		if records, err := readArchive(archive); err == nil {
			_, _ = entries(records)
		}
		want := []record{{dumpID: 1, tag: name, desc: definition, definition: definition, namespace: name, deps: []int{1}}, {dumpID: 2, tag: definition}}
		for minor := byte(oldestArchive); minor <= newestArchive; minor++ {
			got, err := readArchive(archiveOf(minor, want...))
			if err != nil || !slices.EqualFunc(want, got, func(a, b record) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
				t.Fatalf("1.%d: %v: %v", minor, err, got)
			}
		}
	})
}

// FuzzLex: tokens are pieces of the text in their order, and whatever a literal,
// a name or a comment holds stays in it.
func FuzzLex(f *testing.F) {
	for _, s := range []string{"a", "'", `"`, `\`, "\n--\n-- Name: x; Type: TABLE", "*/ /*", "$$", "$a$ $b", "E'\\''", "é$1", ";DROP"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tokens, _ := Lex(s)
		end := 0
		for _, token := range tokens {
			if token.Start < end || token.End <= token.Start || s[token.Start:token.End] != token.Text {
				t.Fatalf("%q: %+v", s, tokens)
			}
			end = token.End
		}
		tag := "$q$"
		for strings.Contains(s+"$", tag) {
			tag = tag[:len(tag)-1] + "q$"
		}
		quoted := "SELECT '" + strings.ReplaceAll(s, "'", "''") + "' , \"" + strings.ReplaceAll(s, `"`, `""`) + "\" , " + tag + s + tag +
			" , E'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "' -- " + strings.NewReplacer("\n", " ", "\r", " ").Replace(s) +
			"\n /* /* " + strings.NewReplacer("*/", "* ", "/*", "/ ").Replace(s+" ") + " */ */ ;"
		tokens, ok := Lex(quoted)
		kinds := ""
		for _, token := range tokens {
			kinds += string(token.Kind)
		}
		if !ok || kinds != "ws.q.s.s." || !tokens[8].Is(";") {
			t.Fatalf("%q: %v %s %+v", quoted, ok, kinds, tokens)
		}
		if name, _ := tokens[3].Name(); name != s && s != "" {
			t.Fatalf("%q is read as %q", s, name)
		}
	})
}
