package main

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/pgumbra/pgumbra/plans/report"
	"github.com/pgumbra/pgumbra/rehearsal"
	"github.com/pgumbra/pgumbra/upgrade"
	"github.com/pgumbra/pgumbra/upgrade/group"
)

// documents are what --json prints, by the name of its schema.
var documents = map[string]struct {
	title string
	of    any
}{
	"plan":         {"pgumbra plan --json", report.Document{}},
	"status":       {"pgumbra status --json, each line of pgumbra run --json, and the result of pgumbra cutover --json", upgrade.Status{}},
	"group":        {"pgumbra status --json of a plan file that lists several databases, and the result of pgumbra cutover --json", group.Status{}},
	"group-plan":   {"pgumbra plan --json of a plan file that lists several databases", groupPlan{}},
	"group-verify": {"pgumbra verify --json of a plan file that lists several databases", groupVerify{}},
	"check":        {"pgumbra cutover --check --json", checkDocument{}},
	"verify":       {"pgumbra verify --json", verifyDocument{}},
	"history":      {"pgumbra history --json", upgrade.History{}},
	"rehearse":     {"pgumbra rehearse --json", rehearsal.Result{}},
	"error":        {"the last line on stderr of a command with --json that did not end with 0", errorDocument{}},
}

const schemas = "../../docs/schemas"

// TestSchemasArePublished: what is published is what the types say. make schemas
// writes it.
func TestSchemasArePublished(t *testing.T) {
	t.Parallel()
	comments := comments(t, ".", "../../upgrade", "../../upgrade/group", "../../replay", "../../cutover", "../../plans", "../../plans/report", "../../plans/catalog",
		"../../internal/control", "../../rehearsal", "../../rehearsal/generate")
	for name, d := range documents {
		r := reflector{defs: map[string]any{}, comments: comments}
		schema := r.object(reflect.TypeOf(d.of))
		schema["$schema"], schema["$id"] = "https://json-schema.org/draft/2020-12/schema", "https://github.com/pgumbra/pgumbra/docs/schemas/"+name+".json"
		schema["title"], schema["$defs"] = d.title, r.defs
		want, err := json.MarshalIndent(schema, "", "  ")
		must(t, err)
		want = append(want, '\n')
		path := filepath.Join(schemas, name+".json")
		if os.Getenv("PGUMBRA_UPDATE") != "" {
			must(t, os.WriteFile(path, want, 0o644))
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the program prints (%v): make schemas", path, err)
		}
	}
}

// fits holds JSON against a published schema.
func fits(t *testing.T, schema, text string) {
	t.Helper()
	c := jsonschema.NewCompiler()
	s, err := c.Compile(filepath.Join(schemas, schema+".json"))
	must(t, err)
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	must(t, err)
	if err := s.Validate(value); err != nil {
		t.Errorf("%s\nis not what docs/schemas/%s.json says: %v", text, schema, err)
	}
	// What is there and not told would be found by nobody.
	raw, err := os.ReadFile(filepath.Join(schemas, schema+".json"))
	must(t, err)
	told, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	must(t, err)
	c = jsonschema.NewCompiler()
	must(t, c.AddResource("closed.json", closedSchema(told)))
	s, err = c.Compile("closed.json")
	must(t, err)
	if err := s.Validate(value); err != nil {
		t.Errorf("docs/schemas/%s.json does not tell all: %v", schema, err)
	}
}

// closedSchema is a schema that refuses keys it does not tell.
func closedSchema(schema any) any {
	switch s := schema.(type) {
	case map[string]any:
		for k, v := range s {
			s[k] = closedSchema(v)
		}
		if _, told := s["properties"].(map[string]any); told && s["type"] == "object" {
			s["additionalProperties"] = false
		}
		delete(s, "$id")
	case []any:
		for i := range s {
			s[i] = closedSchema(s[i])
		}
	}
	return schema
}

// reflector makes schemas of types that are written as JSON.
type reflector struct {
	defs     map[string]any
	comments map[string]string // by Type and Type.Field
}

func (r reflector) schema(t reflect.Type) map[string]any {
	switch t {
	case reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case reflect.TypeFor[json.RawMessage]():
		return map[string]any{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return map[string]any{"anyOf": []any{r.schema(t.Elem()), map[string]any{"type": "null"}}}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": r.schema(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": r.schema(t.Elem())}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Struct:
		name := t.String()
		if _, known := r.defs[name]; !known {
			r.defs[name] = nil // it may hold itself
			r.defs[name] = r.object(t)
		}
		return map[string]any{"$ref": "#/$defs/" + name}
	}
	panic("no schema of " + t.String())
}

func (r reflector) object(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" || name == "" {
			continue
		}
		kind := f.Type
		if name == "cutover" && kind == reflect.TypeFor[json.RawMessage]() {
			kind = reflect.TypeFor[*upgrade.Outcome]()
		}
		property := r.schema(kind)
		if text := r.comments[t.Name()+"."+f.Name]; text != "" {
			property["description"] = text
		}
		properties[name] = property
		if !strings.Contains(options, "omitempty") {
			required = append(required, name)
		}
	}
	o := map[string]any{"type": "object", "properties": properties, "required": required}
	if text := r.comments[t.Name()]; text != "" {
		o["description"] = text
	}
	return o
}

// comments of the types and fields of some packages.
func comments(t *testing.T, dirs ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		must(t, err)
		for _, path := range files {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
			must(t, err)
			for _, d := range file.Decls {
				if g, ok := d.(*ast.GenDecl); ok {
					commentsOf(g, all)
				}
			}
		}
	}
	return all
}

func commentsOf(g *ast.GenDecl, all map[string]string) {
	for _, s := range g.Specs {
		spec, ok := s.(*ast.TypeSpec)
		if !ok {
			continue
		}
		structure, ok := spec.Type.(*ast.StructType)
		if !ok {
			continue
		}
		all[spec.Name.Name] = sentence(g.Doc.Text(), spec.Doc.Text())
		for _, f := range structure.Fields.List {
			for _, name := range f.Names {
				all[spec.Name.Name+"."+name.Name] = sentence(f.Doc.Text(), f.Comment.Text())
			}
		}
	}
}

func sentence(texts ...string) string {
	return strings.Join(strings.Fields(strings.Join(texts, " ")), " ")
}
