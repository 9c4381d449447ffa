package pgdump

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Entry is one entry of a dump: an object, its comment or privileges, with the
// statements that make it, and those alone. Names are as the catalogs hold them.
type Entry struct {
	TOC        int    // its number in the dump
	Class, OID uint32 // catalog's oid and the object's in it; 0 where it is no object of its own
	Deps       []int  // numbers of entries that it needs
	Tag        string // pg_dump's word for the kind: TABLE, FK CONSTRAINT, ACL, …
	Name       string // of the object; of some kinds with what it belongs to: "orders orders_pkey", "TABLE orders"
	Schema     string // empty: in none
	Owner      string // empty: none of its own
	Tablespace string // empty: the default one
	PostData   bool   // it comes after the rows: an index, a constraint, a trigger
	SQL        string // may be several statements
	// InDefaultTablespace is SQL for a server that lacks the tablespace.
	InDefaultTablespace string
}

// entries makes of an archive's records what pg_restore would run for a database
// that exists, in its order: privileges come after all objects, event triggers
// last.
func entries(records []record) ([]Entry, error) {
	var passes [3][]Entry
	for _, r := range records {
		if r.desc == "STDSTRINGS" && r.definition != stdStrings {
			return nil, errors.New("pg_dump's literals are not by the standard")
		}
		if !r.restored() {
			continue
		}
		sql, err := r.sql()
		if err != nil {
			return nil, err
		}
		passes[r.pass()] = append(passes[r.pass()], Entry{TOC: r.dumpID, Class: r.class, OID: r.oid, Deps: r.deps, Tag: r.desc,
			Name: r.tag, Schema: r.namespace, Owner: r.owner, Tablespace: r.tablespace, PostData: r.section == sectionPostData,
			SQL: inTablespace(sql, r.tablespace), InDefaultTablespace: sql})
	}
	return slices.Concat(passes[:]...), nil
}

// stdStrings: a backslash in a literal is one. Sessions of ours run what pg_dump
// wrote, and take it so; [Program.Dump] asks for it.
const stdStrings = "SET standard_conforming_strings = 'on';\n"

// restored: not the session's settings, not the database itself, no data.
func (r record) restored() bool {
	switch r.desc {
	case "ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE", "DATABASE PROPERTIES":
		return false
	case "ACL", "COMMENT", "SECURITY LABEL":
		if strings.HasPrefix(r.tag, "DATABASE ") {
			return false
		}
	}
	return r.section != sectionData && r.definition != ""
}

func (r record) pass() int {
	switch r.desc {
	case "ACL", "DEFAULT ACL":
		return 1
	case "EVENT TRIGGER":
		return 2
	case "COMMENT", "SECURITY LABEL":
		if strings.HasPrefix(r.tag, "EVENT TRIGGER ") {
			return 2
		}
	}
	return 0
}

// sql is what pg_restore writes for an entry: its definition, and the statement
// that gives it to its owner. What pg_restore sets between entries (tablespace,
// table access method) is written into those that need it, so that each can be
// run by itself.
func (r record) sql() (string, error) {
	owner, err := r.ownerSQL()
	if err != nil {
		return "", err
	}
	sql := strings.TrimSpace(r.definition + "\n\n" + owner)
	if r.relkind == 'p' && r.tableAM != "" {
		sql += "\n\nALTER TABLE " + r.qualified() + " SET ACCESS METHOD " + ident(r.tableAM) + ";"
	}
	if r.relkind != 'p' && r.tableAM != "" && r.tableAM != "heap" {
		sql = "SET default_table_access_method = " + ident(r.tableAM) + ";\n" + sql + "\nSET default_table_access_method = heap;"
	}
	return sql, nil
}

// inTablespace makes what a text makes in a tablespace; none: in the default one.
func inTablespace(sql, tablespace string) string {
	if tablespace == "" {
		return sql
	}
	return "SET default_tablespace = " + ident(tablespace) + ";\n" + sql + "\nSET default_tablespace = '';"
}

func (r record) qualified() string {
	if r.namespace == "" {
		return ident(r.tag)
	}
	return ident(r.namespace) + "." + ident(r.tag)
}

// Kinds that an owner is given to by their name, by the words of their DROP
// statement, and those that have none. An object without a DROP statement has no
// owner of its own either.
var (
	relations   = []string{"TABLE", "VIEW", "SEQUENCE", "MATERIALIZED VIEW"}
	ownedByName = []string{"COLLATION", "CONVERSION", "DOMAIN", "FOREIGN TABLE", "STATISTICS", "TEXT SEARCH DICTIONARY",
		"TEXT SEARCH CONFIGURATION", "TYPE", "PROCEDURAL LANGUAGE", "SCHEMA", "EVENT TRIGGER", "FOREIGN DATA WRAPPER", "SERVER",
		"PUBLICATION", "SUBSCRIPTION"}
	ownedByDrop = []string{"AGGREGATE", "FUNCTION", "OPERATOR", "OPERATOR CLASS", "OPERATOR FAMILY", "PROCEDURE"}
	notOwned    = []string{"CAST", "CHECK CONSTRAINT", "CONSTRAINT", "DEFAULT", "FK CONSTRAINT", "INDEX", "RULE", "TRIGGER", "ROW SECURITY",
		"POLICY", "USER MAPPING"}
)

func (r record) ownerSQL() (string, error) {
	var object string
	switch {
	case r.owner == "" || r.drop == "" || slices.Contains(notOwned, r.desc):
		return "", nil
	case slices.Contains(relations, r.desc):
		object = "TABLE " + r.qualified() // serves for all of them, on all versions
	case slices.Contains(ownedByName, r.desc):
		object = r.desc + " " + r.qualified()
	case slices.Contains(ownedByDrop, r.desc):
		object = strings.TrimRight(strings.TrimPrefix(r.drop, "DROP "), "\n;")
	default:
		return "", fmt.Errorf("pg_dump wrote an owner for a kind of entry that has none: %s %s", r.desc, r.tag)
	}
	return "ALTER " + object + " OWNER TO " + ident(r.owner) + ";", nil
}
