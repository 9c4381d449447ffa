package shadow

import (
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// differences are the statements that bring a database with the properties have to
// those it should have.
func differences(database string, want, have []property) []step {
	var steps []step
	for _, w := range want {
		switch w.Kind {
		case settingKind:
			steps = append(steps, settingStep(database, w, have)...)
		case commentKind:
			steps = append(steps, commentStep(database, w, have)...)
		case grantKind:
			steps = append(steps, grantStep(database, w, have)...)
		case ownerKind:
			steps = append(steps, ownerStep(w, have)...)
		}
	}
	return append(steps, revokeSteps(database, want, have)...)
}

// same finds what a property is on the other side.
func same(p property, among []property) *property {
	i := slices.IndexFunc(among, func(q property) bool {
		return q.Kind == p.Kind && q.Schema == p.Schema && q.Role == p.Role && q.Name == p.Name
	})
	if i < 0 {
		return nil
	}
	return &among[i]
}

func settingStep(database string, w property, have []property) []step {
	on := "ALTER DATABASE " + pg.Ident(database)
	if w.Role != "" {
		on = "ALTER ROLE " + pg.Ident(w.Role) + " IN DATABASE " + pg.Ident(database)
	}
	set := func(value string) string {
		return on + " SET " + pg.Ident(w.Name) + " TO " + settingValue(w.Name, value)
	}
	before := same(w, have)
	switch {
	case before == nil:
		return []step{{do: set(w.Value), undo: on + " RESET " + pg.Ident(w.Name)}}
	case before.Value != w.Value:
		return []step{{do: set(w.Value), undo: set(before.Value)}}
	}
	return nil
}

// lists are the settings whose value is a list of names, each quoted by itself:
// PostgreSQL's GUC_LIST_QUOTE. As one constant the list would be one odd name.
const lists = " local_preload_libraries search_path session_preload_libraries shared_preload_libraries temp_tablespaces unix_socket_directories "

func settingValue(name, value string) string {
	if !strings.Contains(lists, " "+strings.ToLower(name)+" ") {
		return pg.Literal(value)
	}
	elements := pathElement.FindAllString(value, -1)
	for i, e := range elements {
		elements[i] = pg.Literal(unquote(e))
	}
	if len(elements) == 0 {
		return "''"
	}
	return strings.Join(elements, ", ")
}

func commentStep(database string, w property, have []property) []step {
	on := "COMMENT ON DATABASE " + pg.Ident(database) + " IS "
	before := same(w, have)
	switch {
	case before == nil:
		return []step{{do: on + pg.Literal(w.Value), undo: on + "NULL"}}
	case before.Value != w.Value:
		return []step{{do: on + pg.Literal(w.Value), undo: on + pg.Literal(before.Value)}}
	}
	return nil
}

func ownerStep(w property, have []property) []step {
	i := slices.IndexFunc(have, func(h property) bool { return h.Kind == ownerKind && h.Schema == w.Schema })
	if i < 0 || have[i].Role == w.Role {
		return nil
	}
	on := "ALTER SCHEMA " + pg.Ident(w.Schema) + " OWNER TO "
	return []step{{do: on + pg.Ident(w.Role), undo: on + pg.Ident(have[i].Role)}}
}

// grantStep: superusers need no grant, and an owner has what it has.
func grantStep(database string, w property, have []property) []step {
	before := same(w, have)
	owns := slices.ContainsFunc(have, func(h property) bool {
		return h.Kind == grantKind && h.Schema == w.Schema && h.Role == w.Role && h.Owner
	})
	absent := w.Schema != "" && !slices.ContainsFunc(have, func(h property) bool { return h.Kind == grantKind && h.Schema == w.Schema })
	if w.Super || owns || absent || before != nil && (before.Grantable || !w.Grantable) {
		return nil
	}
	what := w.Name + " ON " + object(database, w)
	s := step{do: "GRANT " + what + " TO " + grantee(w), undo: "REVOKE " + what + " FROM " + grantee(w)}
	if w.Grantable {
		s.do += " WITH GRANT OPTION"
	}
	if before != nil {
		s.undo = "REVOKE GRANT OPTION FOR " + what + " FROM " + grantee(w)
	}
	return []step{s}
}

// revokeSteps take from PUBLIC what it has by default and production took from it.
// A schema that production lacks is none of its business.
func revokeSteps(database string, want, have []property) []step {
	var steps []step
	for _, h := range have {
		known := slices.ContainsFunc(want, func(w property) bool { return w.Kind == grantKind && w.Schema == h.Schema })
		if h.Kind != grantKind || h.Role != "" || !known || same(h, want) != nil {
			continue
		}
		what := h.Name + " ON " + object(database, h)
		steps = append(steps, step{do: "REVOKE " + what + " FROM PUBLIC", undo: "GRANT " + what + " TO PUBLIC"})
	}
	return steps
}

func object(database string, p property) string {
	if p.Schema == "" {
		return "DATABASE " + pg.Ident(database)
	}
	return "SCHEMA " + pg.Ident(p.Schema)
}

func grantee(p property) string {
	if p.Role == "" {
		return "PUBLIC"
	}
	return pg.Ident(p.Role)
}
