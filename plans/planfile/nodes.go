package planfile

import (
	"bytes"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pgumbra/pgumbra/plans"
)

// document is the plan file as YAML nodes: what is written, where, and what is
// wrong with it. viper would lower the case of table names and split them at
// dots, so names and lines come from here.
type document struct {
	path       string
	values     map[string]string   // scalar keys, variables expanded
	written    map[string]string   // the same as they stand in the file
	lists      map[string][]string // list keys
	lines      map[string]int
	pgBouncers []PgBouncerFile // where the file has a list of them
	tables     *yaml.Node
	failures   []*plans.FileError
	entry      *member // of [databasesKey]; nil: the file is of one database
}

func newDocument(path string) *document {
	return &document{path: path, values: map[string]string{}, written: map[string]string{},
		lists: map[string][]string{}, lines: map[string]int{}}
}

func (d *document) root(text []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var top, more yaml.Node
	err := decoder.Decode(&top)
	if errors.Is(err, io.EOF) {
		return nil, &plans.FileError{File: d.path, Message: "the plan file is empty", Fix: "write one with: pgumbra init"}
	}
	if err != nil {
		return nil, d.syntax(err)
	}
	if err := decoder.Decode(&more); err == nil {
		return nil, &plans.FileError{File: d.path, Line: more.Line, Message: "the plan file holds a second document", Fix: "leave one"}
	} else if !errors.Is(err, io.EOF) {
		return nil, d.syntax(err)
	}
	root := resolve(top.Content[0])
	if root.Kind != yaml.MappingNode {
		return nil, &plans.FileError{File: d.path, Line: root.Line, Message: "the plan file is not a list of keys and values", Fix: "begin with for instance: name: shop-v2"}
	}
	return root, nil
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

func (d *document) syntax(err error) error {
	message := err.Error()
	m := yamlLine.FindStringSubmatch(message)
	line, _ := strconv.Atoi(m[1])
	return &plans.FileError{File: d.path, Line: line, Message: "not YAML: " + message[len(m[0]):]}
}

func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// fail notes a mistake and goes on: a reader wants all of them at once. What is
// written nowhere is missing where its database is listed.
func (d *document) fail(line int, message, fix string) {
	if line == 0 && d.entry != nil {
		line, message = d.entry.line, databasesKey+": "+d.entry.name+": "+message
	}
	d.note(line, message, fix)
}

// note is [document.fail] for what stands nowhere in the file: flags, variables.
func (d *document) note(line int, message, fix string) {
	d.failures = append(d.failures, &plans.FileError{File: d.path, Line: line, Message: message, Fix: fix})
}

// noteOf is [document.note] for what is wrong with a flag: the message names that, and the file is
// not to blame.
func (d *document) noteOf(_ int, message, fix string) {
	d.failures = append(d.failures, &plans.FileError{Message: message, Fix: fix})
}

// failure is what was noted, in the order of the file; nil if nothing.
func (d *document) failure() error {
	sorted(d.failures)
	if len(d.failures) == 1 {
		return d.failures[0]
	}
	all := make([]error, len(d.failures))
	for i, f := range d.failures {
		all[i] = f
	}
	return errors.Join(all...)
}

// pairs are the keys and values of a mapping; each key once.
func (d *document) pairs(n *yaml.Node, what string) []pair {
	n = resolve(n)
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n.Line, what+" is not a list of keys and values", "")
		return nil
	}
	var all []pair
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := resolve(n.Content[i])
		if k.Kind != yaml.ScalarNode {
			d.fail(k.Line, what+": a key is not a word", "")
			continue
		}
		if line, twice := seen[k.Value]; twice {
			d.fail(k.Line, what+": "+k.Value+" stands on line "+strconv.Itoa(line)+" already", "leave one")
			continue
		}
		seen[k.Value] = k.Line
		all = append(all, pair{key: k.Value, line: k.Line, value: resolve(n.Content[i+1])})
	}
	return all
}

type pair struct {
	key   string
	line  int
	value *yaml.Node
}

// section reads the keys below a prefix ("" or "copy.").
func (d *document) section(n *yaml.Node, prefix string) {
	what := strings.TrimSuffix(prefix, ".")
	if what == "" {
		what = "the plan file"
	}
	for _, p := range d.pairs(n, what) {
		path := prefix + p.key
		d.lines[path] = p.line
		switch {
		case path == "tables":
			d.tables = p.value
		case path == databasesKey: // null: see [databases]
		case path == "traffic.pgbouncer" && p.value.Kind == yaml.SequenceNode:
			d.bouncers(p.value)
		case slices.Contains(listKeys, path):
			d.lists[path] = d.list(path, p.value)
		case known(path):
			d.scalar(path, p.value)
		case isSection(path):
			d.section(p.value, path+".")
		default:
			d.unknown(p.line, prefix, p.key)
		}
	}
}

func isSection(path string) bool {
	return slices.ContainsFunc(allPaths(), func(k string) bool { return strings.HasPrefix(k, path+".") })
}

// unknown names the nearest key of the same level, or the place of a key that
// stands one level off.
func (d *document) unknown(line int, prefix, word string) {
	message := "unknown key " + prefix + word
	for _, path := range allPaths() {
		if strings.HasSuffix(path, "."+word) {
			d.fail(line, message, "did you mean "+path+"?")
			return
		}
	}
	candidates := children(prefix)
	fix := Nearest(word, candidates)
	if slices.ContainsFunc(candidates, func(c string) bool { return fix == "did you mean "+c+"?" }) {
		fix = strings.Replace(fix, "mean ", "mean "+prefix, 1)
	}
	d.fail(line, message, fix)
}

func children(prefix string) []string {
	var names []string
	if prefix == "" {
		names = append(names, "tables")
	}
	if prefix == "production." {
		names = append(names, "databases")
	}
	for _, path := range allPaths() {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			first, _, _ := strings.Cut(rest, ".")
			if !slices.Contains(names, first) {
				names = append(names, first)
			}
		}
	}
	return names
}

func (d *document) scalar(path string, n *yaml.Node) {
	value, ok := d.text(path, n)
	if !ok {
		return
	}
	d.values[path] = value
	d.written[path] = n.Value
}

// text is a scalar with its variables expanded; not ok where it is null or
// wrong, which was noted.
func (d *document) text(what string, n *yaml.Node) (string, bool) {
	n = resolve(n)
	if isNull(n) {
		return "", false
	}
	if n.Kind != yaml.ScalarNode {
		d.fail(n.Line, what+" takes a single value", "")
		return "", false
	}
	value, err := expand(n.Value)
	if err != nil {
		d.fail(n.Line, what+": "+err.message, err.fix)
		return "", false
	}
	return value, true
}

func (d *document) list(what string, n *yaml.Node) []string {
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		d.fail(n.Line, what+" takes a list", "write it in brackets: [a, b]")
		return nil
	}
	var all []string
	for _, item := range n.Content {
		if value, ok := d.text(what, item); ok {
			all = append(all, value)
		}
	}
	return all
}

// bouncers reads a list of PgBouncers. A list of one is as good as none: its
// keys go where flags and environment reach them.
func (d *document) bouncers(n *yaml.Node) {
	if len(n.Content) == 1 {
		d.section(n.Content[0], bouncerPrefix)
		return
	}
	for _, item := range n.Content {
		var one PgBouncerFile
		fields := map[string]*string{"admin_dsn": &one.AdminDSN, "database": &one.Database, "config": &one.Config, "target": &one.Target}
		for _, p := range d.pairs(item, "traffic.pgbouncer") {
			field, ok := fields[p.key]
			if !ok {
				d.unknown(p.line, bouncerPrefix, p.key)
				continue
			}
			*field, _ = d.text(bouncerPrefix+p.key, p.value)
		}
		if err := validDSN(one.AdminDSN); err != nil {
			d.fail(item.Line, bouncerPrefix+"admin_dsn: "+err.Error(), "")
		}
		d.pgBouncers = append(d.pgBouncers, one)
	}
}

// settings nests the scalar values for viper.
func (d *document) settings() map[string]any {
	root := map[string]any{}
	for path, value := range d.values {
		at, parts := root, strings.Split(path, ".")
		for _, part := range parts[:len(parts)-1] {
			if at[part] == nil {
				at[part] = map[string]any{}
			}
			at = at[part].(map[string]any)
		}
		at[parts[len(parts)-1]] = value
	}
	return root
}

var variable = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// expand replaces ${NAME} by the environment's value, which is not read again:
// a value with ${ or YAML's signs in it stays one value. $${ stands for ${.
func expand(s string) (string, *valueError) {
	var b strings.Builder
	for s != "" {
		i := strings.Index(s, "${")
		if i < 0 {
			break
		}
		if i > 0 && s[i-1] == '$' {
			b.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		m := variable.FindStringSubmatch(s[i:])
		if m == nil {
			return "", &valueError{"${ is not followed by a variable's name and }", "write $${ for a literal ${"}
		}
		value, set := os.LookupEnv(m[1])
		if !set {
			return "", &valueError{"the variable " + m[1] + " is not set", "export " + m[1] + "=…, or write $${ for a literal ${"}
		}
		b.WriteString(s[:i] + value)
		s = s[i+len(m[0]):]
	}
	return b.String() + s, nil
}
