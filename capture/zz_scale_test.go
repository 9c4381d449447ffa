package capture

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/plans"
)

func TestZZScale(t *testing.T) {
	const n = 1000
	var b strings.Builder
	b.WriteString("CREATE SCHEMA shop; CREATE SCHEMA sh;")
	var sources []plans.Source
	for i := range n {
		fmt.Fprintf(&b, "CREATE TABLE shop.t%d (id int PRIMARY KEY, a text, b int);", i)
		sources = append(sources, plans.Source{Name: named("shop", fmt.Sprintf("t%d", i))})
	}
	f := newFixture(t, "", sources[:0]...)
	f.exec(b.String())
	b.Reset()
	for i := range n {
		fmt.Fprintf(&b, "CREATE TABLE sh.t%d (id int PRIMARY KEY, a text, b int);", i)
	}
	f.exec(b.String())
	for i, s := range sources {
		s.N = i
		f.complete(&s)
		f.run.Plan.Sources = append(f.run.Plan.Sources, s)
		f.run.Plan.Tables = append(f.run.Plan.Tables, plans.Table{N: i, Shadow: named("sh", s.Name.Name), Feed: plans.Copied, Source: i,
			Columns: []plans.Column{{Shadow: "id"}, {Shadow: "a"}, {Shadow: "b"}}, Key: []plans.Pair{{Shadow: "id"}}})
	}
	clock := func(what string, do func() error) {
		began := time.Now()
		err := do()
		t.Log(what, time.Since(began), err)
	}
	clock("install", func() error { return Install(f.ctx, f.pool, f.run, quiet()) })
	clock("check all 2", func() error {
		for i := range n {
			if _, err := Check(f.ctx, f.pool, f.run, f.source(i)); err != nil {
				return err
			}
		}
		return nil
	})
	clock("rotate", func() error { return Rotate(f.ctx, f.pool, f.run) })
	clock("other ddl", func() error { return f.try("CREATE TEMP TABLE x (id int)") })
	clock("other ddl", func() error { return f.try("CREATE TABLE xx (id int)") })
	clock("refused ddl", func() error { return f.try("ALTER TABLE shop.t5 ADD y int") })
	clock("drop in schema", func() error { f.try("CREATE TABLE shop.zz (id int)"); return f.try("DROP TABLE shop.zz") })
	clock("view", func() error { return f.try("SELECT count(*) FROM pgumbra.journal") })
	clock("prepare reverse", func() error { return PrepareReverse(f.ctx, f.pool, f.run) })
	clock("prepare again", func() error { return PrepareReverse(f.ctx, f.pool, f.run) })
	clock("arm", func() error { _, err := f.pool.Exec(f.ctx, ReverseTriggers(f.run)); return err })
	clock("remove", func() error { return Remove(f.ctx, f.pool, f.run) })
}
