package planfile

import (
	"cmp"
	"fmt"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/pgumbra/pgumbra/plans"
)

// databasesKey lists several databases that are upgraded as one.
const databasesKey = "production.databases"

// memberKeys are what an entry of [databasesKey] may say of its own database: dsn and
// schemas of production, and sections that stand in place of, or beside, the file's.
// What is decided for all of them at once, the cutover above all, is the file's alone.
var memberKeys = []string{"name", "dsn", "schemas", "trust", "shadow", "scratch", "migrations", "build", "tables", "copy", "capture", "traffic"}

// ownKeys are of one database, whoever sets them.
var ownKeys = []string{"production.dsn", "production.schemas", "shadow.dsn"}

// Grouped reports whether the file is of several databases: Members has one file for
// each, and this one names no database.
func (f *File) Grouped() bool { return len(f.Members) > 0 }

// Database is the file of one member of the group.
func (f *File) Database(name string) (*File, bool) {
	for _, m := range f.Members {
		if m.Member == name {
			return m, true
		}
	}
	return nil, false
}

// MemberNames are the names of the group's databases in the order of the file.
func (f *File) MemberNames() []string {
	var names []string
	for _, m := range f.Members {
		names = append(names, m.Member)
	}
	return names
}

// member is one entry, with the document that it makes of the plan file.
type member struct {
	name string
	line int
	root *yaml.Node
}

// databases is the list below production, nil where there is none.
func databases(root *yaml.Node) *yaml.Node {
	production := valueOf(root, "production")
	if production == nil || production.Kind != yaml.MappingNode {
		return nil
	}
	list := valueOf(production, "databases")
	if list == nil || isNull(list) {
		return nil
	}
	return list
}

func valueOf(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if resolve(n.Content[i]).Value == key {
			return resolve(n.Content[i+1])
		}
	}
	return nil
}

// loadGroup reads one file for each entry: the plan file's document with the entry's
// keys laid over it, so that each key means what it means for one database, and each
// mistake has its line. A mistake in what all share is told once.
func loadGroup(path string, root, list *yaml.Node, overrides map[string]any) (*File, error) {
	d := newDocument(path)
	entries := d.entries(root, list)
	d.refuseOwn(root, overrides)
	group := &File{Path: path}
	for _, e := range entries {
		doc := newDocument(path)
		doc.entry = &e
		doc.section(e.root, "")
		file := load(doc, overrides)
		file.Member = e.name
		group.Members = append(group.Members, file)
		d.failures = append(d.failures, doc.failures...)
	}
	d.failures = slices.CompactFunc(sorted(d.failures), func(a, b *plans.FileError) bool { return a.Line == b.Line && a.Message == b.Message })
	if len(d.failures) == 0 {
		d.distinct(group.Members, entries)
	}
	if err := d.failure(); err != nil {
		return nil, err
	}
	shared := group.Members[0]
	group.Name, group.Settings, group.Hooks, group.lines = shared.Name, shared.Settings, shared.Hooks, shared.lines
	for _, m := range group.Members {
		m.Group = group.MemberNames()
	}
	return group, nil
}

func sorted(failures []*plans.FileError) []*plans.FileError {
	last := func(f *plans.FileError) int { // what stands nowhere in the file may come of what does
		if f.Line == 0 {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(failures, func(a, b *plans.FileError) int { return cmp.Or(last(a)-last(b), a.Line-b.Line) })
	return failures
}

// entries are the list's, as far as they are one.
func (d *document) entries(root, list *yaml.Node) []member {
	if list.Kind != yaml.SequenceNode || len(list.Content) < 2 {
		d.fail(list.Line, databasesKey+" takes a list of two databases or more", "write production.dsn for one, or for instance: databases: [{name: orders, dsn: …}, {name: billing, dsn: …}]")
		return nil
	}
	var all []member
	lines := map[string]int{}
	for _, item := range list.Content {
		item = resolve(item)
		if item.Kind != yaml.MappingNode {
			d.fail(item.Line, databasesKey+": an entry is not a list of keys and values", "write for instance: {name: orders, dsn: …}")
			continue
		}
		e := member{line: item.Line}
		over := d.overlay(&e, item)
		switch line, twice := lines[e.name]; {
		case e.name == "":
			d.fail(item.Line, databasesKey+": a database has no name", "write for instance: name: orders")
		case !runName.MatchString(e.name):
			d.fail(item.Line, fmt.Sprintf("%s: %q is not a name", databasesKey, e.name), "use up to 63 letters, digits, - and _, a letter or digit first")
		case twice:
			d.fail(item.Line, fmt.Sprintf("%s: %s stands on line %d already", databasesKey, e.name, line), "give each database a name of its own")
		}
		lines[e.name] = item.Line
		e.root = merge(without(root), over)
		all = append(all, e)
	}
	return all
}

// overlay is an entry as the document of one database would have it.
func (d *document) overlay(e *member, item *yaml.Node) *yaml.Node {
	production, root := mapping(item.Line), mapping(item.Line)
	for _, p := range d.pairs(item, databasesKey) {
		switch {
		case p.key == "name":
			e.name, _ = d.text(databasesKey+".name", p.value)
		case p.key == "dsn" || p.key == "schemas" || p.key == "trust":
			set(production, p)
		case slices.Contains(memberKeys, p.key):
			set(root, p)
		default:
			d.fail(p.line, "unknown key "+databasesKey+"."+p.key, d.memberFix(p.key))
		}
	}
	set(root, pair{key: "production", line: item.Line, value: production})
	return root
}

// memberFix says where a key belongs that an entry cannot have.
func (d *document) memberFix(key string) string {
	if isSection(key) {
		return key + " is the same for all databases of a group: write it at the top of the file"
	}
	return Nearest(key, memberKeys)
}

func mapping(line int) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: line}
}

func set(n *yaml.Node, p pair) {
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: p.key, Line: p.line}, p.value)
}

// without is the plan file without its list of databases.
func without(root *yaml.Node) *yaml.Node {
	out := mapping(root.Line)
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], resolve(root.Content[i+1])
		if resolve(key).Value == "production" {
			production := mapping(value.Line)
			for j := 0; j+1 < len(value.Content); j += 2 {
				if resolve(value.Content[j]).Value != "databases" {
					production.Content = append(production.Content, value.Content[j], value.Content[j+1])
				}
			}
			value = production
		}
		out.Content = append(out.Content, key, value)
	}
	return out
}

// merge lays keys over a mapping, section by section; rules of tables and lists are
// replaced as a whole.
func merge(under, over *yaml.Node) *yaml.Node {
	out := mapping(under.Line)
	out.Content = slices.Clone(under.Content)
	for i := 0; i+1 < len(over.Content); i += 2 {
		key, value := over.Content[i], resolve(over.Content[i+1])
		at := slices.IndexFunc(keysOf(out), func(k string) bool { return k == key.Value })
		switch {
		case at < 0:
			out.Content = append(out.Content, key, value)
		case key.Value != "tables" && value.Kind == yaml.MappingNode && resolve(out.Content[2*at+1]).Kind == yaml.MappingNode:
			out.Content[2*at+1] = merge(resolve(out.Content[2*at+1]), value)
		default:
			out.Content[2*at], out.Content[2*at+1] = key, value
		}
	}
	return out
}

func keysOf(n *yaml.Node) (keys []string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		keys = append(keys, resolve(n.Content[i]).Value)
	}
	return keys
}

// refuseOwn refuses what would lead every member to the same database.
func (d *document) refuseOwn(root *yaml.Node, overrides map[string]any) {
	const fix = "write it into each entry of production.databases"
	production := valueOf(root, "production")
	for _, p := range d.pairs(production, "production") {
		if p.key == "dsn" {
			d.fail(p.line, "production.dsn stands beside production.databases", fix)
		}
	}
	if shadow := valueOf(root, "shadow"); shadow != nil && shadow.Kind == yaml.MappingNode {
		if dsn := valueOf(shadow, "dsn"); dsn != nil && dsn.Value != "" {
			d.fail(dsn.Line, "shadow.dsn stands beside production.databases", fix)
		}
	}
	for _, path := range ownKeys {
		if value, ok := overrides[path]; ok && value != nil {
			d.fail(0, path+" is set for all databases of production.databases", fix)
		}
		if os.Getenv(Env(path)) != "" && path != "production.schemas" {
			d.fail(0, Env(path)+" is set, but the file lists several databases", "unset it; an entry may name a variable: dsn: ${ORDERS_DSN}")
		}
	}
}

// distinct wants a database of its own for each member, as far as texts tell.
func (d *document) distinct(files []*File, entries []member) {
	lines := map[string]int{}
	for i, f := range files {
		if f.Production.DSN == "" {
			d.fail(entries[i].line, databasesKey+": "+f.Member+" has no dsn", "write for instance: dsn: postgres://app@db1/"+f.Member)
			continue
		}
		if line, twice := lines[f.Production.DSN]; twice {
			d.fail(entries[i].line, fmt.Sprintf("%s: %s is the database of line %d once more", databasesKey, f.Member, line), "name each database once; schemas of one database move together without a group")
		}
		lines[f.Production.DSN] = entries[i].line
		if line, twice := lines[f.Shadow.DSN]; twice && f.Shadow.DSN != "" {
			d.fail(entries[i].line, fmt.Sprintf("%s: the shadow of %s is a database that line %d has already", databasesKey, f.Member, line), "give each database a shadow of its own")
		}
		lines[f.Shadow.DSN] = entries[i].line
	}
}
