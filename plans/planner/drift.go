package planner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/conditions"
	"github.com/pgumbra/pgumbra/plans/pgdump"
)

// rememberStructure keeps what [Drift] compares with later.
func (m *trial) rememberStructure(context.Context) error {
	m.plan.Structure = &plans.Structure{Dump: m.pgDump.Major, Whole: true}
	m.plan.Structure.Objects = objects(m.plan, m.dumped)
	return nil
}

// rememberBelongings keeps what the list of conditions compares with later. It comes
// before all that reads the same for the swap: what is altered between counts as altered.
func (m *site) rememberBelongings(ctx context.Context) (err error) {
	if m.plan.Remote {
		m.plan.Belongings, err = conditions.Belongings(ctx, m.db, m.file.Production.Schemas)
	}
	return err
}

// Drift names what was made, changed or dropped in the schemas that move since
// the plan was made: tables, views, functions, but also privileges, comments
// and settings. Objects that the shadow shares with production may change, but for
// what the swap writes of them: to which column a sequence belongs. It
// runs pg_dump, which takes ACCESS SHARE on every table for a moment, and gives
// up where it does not get that soon.
func Drift(ctx context.Context, dsn string, p *plans.Plan) ([]string, error) {
	if p.Structure == nil {
		return nil, nil
	}
	program, there := pgDumpOf(ctx, p.Structure.Dump)
	if !there {
		return []string{fmt.Sprintf("pg_dump of version %d is not here, by which production's structure was read for the plan: whether it has changed since cannot be told", p.Structure.Dump)}, nil
	}
	entries, err := dumpProduction(ctx, program, dsn, "--lock-wait-timeout=2s")
	if err != nil {
		return nil, fmt.Errorf("read production's structure: %w", err)
	}
	return compareObjects(p.Structure.Objects, objects(p, entries)), nil
}

func pgDumpOf(ctx context.Context, major int) (program pgdump.Program, there bool) {
	for _, p := range pgdump.Installed(ctx) {
		if p.Major == major {
			return p, true
		}
	}
	return program, false
}

func compareObjects(before, now map[string]string) []string {
	var all []string
	for name, hash := range now {
		switch old, there := before[name]; {
		case !there:
			all = append(all, name+" is new")
		case old != hash:
			all = append(all, name+" was changed")
		}
	}
	for name := range before {
		if _, there := now[name]; !there {
			all = append(all, name+" is gone")
		}
	}
	slices.Sort(all)
	return all
}

// objects hashes the text of what moves. Entries of one name, as overloaded
// names may be, count together.
func objects(p *plans.Plan, entries []pgdump.Entry) map[string]string {
	texts := map[string][]string{}
	for _, e := range entries {
		if concerns(p, e) {
			texts[label(e)] = append(texts[label(e)], e.SQL)
		}
	}
	hashes := map[string]string{}
	for name, all := range texts {
		slices.Sort(all)
		sum := sha256.Sum256([]byte(strings.Join(all, "\x00")))
		hashes[name] = hex.EncodeToString(sum[:8])
	}
	return hashes
}

// concerns: the entry is in a schema that moves, or about it, and not of an
// object that is shared, which moves as it is then. Or it is in no schema, where
// another database would lack it.
func concerns(p *plans.Plan, e pgdump.Entry) bool {
	schema := e.Schema
	if about := schemaOf(e); about != "" {
		schema = about
	}
	_, moves := p.SchemaFor(schema)
	switch {
	case makesExtension(p, e):
		return false
	case !moves:
		return p.Remote && p.Structure.Whole && e.Schema == "" && slices.Contains([]string{"EXTENSION", "CAST", "DEFAULT ACL"}, e.Tag)
	case e.Tag == "SEQUENCE OWNED BY" && p.Structure.Whole:
		return true
	}
	return !slices.ContainsFunc(p.Shared, func(s plans.Shared) bool {
		return s.Name.Schema == e.Schema && (e.Name == s.Name.Name || e.Name == s.Kind+" "+s.Name.Name)
	})
}

// makesExtension: an extension of the migrations, which the build of the shadow creates.
func makesExtension(p *plans.Plan, e pgdump.Entry) bool {
	return e.Tag == "EXTENSION" && slices.ContainsFunc(p.Entries, func(made plans.Entry) bool { return made.Tag == e.Tag && made.Name.Name == e.Name })
}

// schemaOf is the schema that an entry makes or is about: a comment on it, its
// privileges, an extension that is made in it. Empty: none.
func schemaOf(e pgdump.Entry) string {
	switch e.Tag {
	case "SCHEMA":
		return e.Name
	case "COMMENT", "ACL", "SECURITY LABEL":
		if name, found := strings.CutPrefix(e.Name, "SCHEMA "); found && e.Schema == "" {
			return pg.Unquoted(name) // spelled as in the statement
		}
	case "EXTENSION":
		tokens, _ := pgdump.Lex(e.SQL)
		for i := range len(tokens) - 1 {
			if tokens[i].Is("SCHEMA") {
				name, _ := tokens[i+1].Name()
				return name
			}
		}
	}
	return ""
}

// label is what people call an entry's object.
func label(e pgdump.Entry) string {
	kind, name := strings.ToLower(e.Tag), e.Name
	switch e.Tag {
	case "ACL", "COMMENT":
		about, rest, found := strings.Cut(e.Name, " ")
		if !found {
			break
		}
		words := map[string]string{"ACL": "privileges on ", "COMMENT": "comment on "}
		kind, name = words[e.Tag]+strings.ToLower(about), rest
	case "DEFAULT ACL":
		kind = "default privileges for"
	}
	if e.Schema == "" {
		return kind + " " + name
	}
	return kind + " " + e.Schema + "." + name
}
