package shadow

import (
	"regexp"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// The few forms of pg_dump's text that the swap must know. pg_dump writes them
// from fixed templates, with qualified names, quoted where they must be.
const (
	ident     = `(?:"(?:[^"]|"")+"|[^\s".,;()]+)`
	qualified = ident + `\.` + ident
)

var (
	addForeignKey = regexp.MustCompile(`(?s)ALTER TABLE (?:ONLY )?(` + qualified + `)\s+ADD CONSTRAINT (` + ident + `) (FOREIGN KEY .*?);?\s*$`)
	attach        = regexp.MustCompile(`ALTER TABLE ONLY (` + qualified + `) ATTACH PARTITION (` + qualified + `) `)
	partitionedBy = regexp.MustCompile(`\)\s*\nPARTITION BY (?:RANGE|LIST|HASH) \(`)
	commentOn     = regexp.MustCompile(`(?s)COMMENT ON CONSTRAINT (` + ident + `) ON (` + qualified + `) IS (.*?);?\s*$`)
)

const notValid = " NOT VALID"

// foreignKey is a foreign key of the shadow as its entry tells.
type foreignKey struct {
	entry      *plans.Entry
	table      pg.Name // under the shadow's schema
	name       string
	definition string // FOREIGN KEY …, without NOT VALID
	valid      bool   // in the end; one that was NOT VALID stays so
	// leaves hold the rows of a partitioned referencing table; empty for others.
	leaves []pg.Name
}

// foreignKeys reads the plan's foreign keys. One that is written otherwise is
// left as it is, and not among them.
func foreignKeys(plan *plans.Plan) []foreignKey {
	tree := partitions(plan)
	var keys []foreignKey
	for _, e := range entriesOf(plan, inStage(plans.StageSwap)) {
		if e.Tag != "FK CONSTRAINT" {
			continue
		}
		m := addForeignKey.FindStringSubmatch(e.SQL)
		if m == nil {
			continue
		}
		definition, was := strings.CutSuffix(m[3], notValid)
		table := parseQualified(m[1])
		keys = append(keys, foreignKey{entry: e, table: table, name: pg.Unquoted(m[2]),
			definition: definition, valid: !was, leaves: tree.leaves(table)})
	}
	return keys
}

// on is the statement that adds the key to a table, NOT VALID: it takes SHARE
// ROW EXCLUSIVE on both tables and reads none.
func (k foreignKey) on(table pg.Name) string {
	return "ALTER TABLE ONLY " + table.Quoted() + "\n    ADD CONSTRAINT " + pg.Ident(k.name) + " " + k.definition + notValid + ";"
}

// comment is the text of a COMMENT ON the key, as a constant; "" if there is none.
func (k foreignKey) comment(plan *plans.Plan) (text string, entry *plans.Entry) {
	for i := range plan.Entries {
		e := &plan.Entries[i]
		m := commentOn.FindStringSubmatch(e.SQL)
		if e.Tag == "COMMENT" && m != nil && pg.Unquoted(m[1]) == k.name && parseQualified(m[2]) == k.table {
			return m[3], e
		}
	}
	return "", nil
}

// partitionTree is who is attached to whom in the shadow.
type partitionTree struct {
	children    map[pg.Name][]pg.Name
	partitioned map[pg.Name]bool
}

func partitions(plan *plans.Plan) partitionTree {
	tree := partitionTree{children: map[pg.Name][]pg.Name{}, partitioned: map[pg.Name]bool{}}
	for i := range plan.Entries {
		e := &plan.Entries[i]
		switch e.Tag {
		case "TABLE ATTACH":
			if m := attach.FindStringSubmatch(e.SQL); m != nil {
				parent := parseQualified(m[1])
				tree.children[parent] = append(tree.children[parent], parseQualified(m[2]))
			}
		case "TABLE":
			if partitionedBy.MatchString(e.SQL) {
				tree.partitioned[e.Name] = true
			}
		}
	}
	return tree
}

// leaves of a partitioned table, at whatever depth, that hold rows.
func (p partitionTree) leaves(table pg.Name) []pg.Name {
	var found []pg.Name
	for _, child := range p.children[table] {
		if p.partitioned[child] || len(p.children[child]) > 0 {
			found = append(found, p.leaves(child)...)
		} else {
			found = append(found, child)
		}
	}
	return found
}

// parseQualified reads a name that matched qualified.
func parseQualified(text string) pg.Name {
	var end int
	if strings.HasPrefix(text, `"`) {
		end = 1
		for end < len(text) && (text[end] != '"' || strings.HasPrefix(text[end:], `""`)) {
			if text[end] == '"' {
				end++
			}
			end++
		}
		end++
	} else {
		end = strings.IndexByte(text, '.')
	}
	return pg.Name{Schema: pg.Unquoted(text[:end]), Name: pg.Unquoted(text[end+1:])}
}

// final is the name that a table of the shadow has after the swap.
func final(plan *plans.Plan, n pg.Name) pg.Name {
	i := slices.IndexFunc(plan.Schemas, func(s plans.Schema) bool { return s.Shadow == n.Schema })
	if i < 0 {
		return n
	}
	return pg.Name{Schema: plan.Schemas[i].Production, Name: n.Name}
}
