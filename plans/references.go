package plans

import (
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Referring are the types whose values are an object's number and are written as
// its name, with the catalog that holds such objects. Roles are left out: they
// bear their names on the shadow's server before anything is copied.
var Referring = map[string]string{
	"regclass": "pg_class", "regproc": "pg_proc", "regprocedure": "pg_proc", "regoper": "pg_operator", "regoperator": "pg_operator",
	"regtype": "pg_type", "regnamespace": "pg_namespace", "regconfig": "pg_ts_config", "regdictionary": "pg_ts_dict", "regcollation": "pg_collation",
}

// identified are the catalogs of [Referring], with the columns of an object's
// schema and name.
var identified = map[string][2]string{
	"pg_class": {"relnamespace", "relname"}, "pg_proc": {"pronamespace", "proname"}, "pg_operator": {"oprnamespace", "oprname"},
	"pg_type": {"typnamespace", "typname"}, "pg_namespace": {"oid", "nspname"}, "pg_ts_config": {"cfgnamespace", "cfgname"},
	"pg_ts_dict": {"dictnamespace", "dictname"}, "pg_collation": {"collnamespace", "collname"},
}

// ReplacedIn lists the objects of a catalog that a swap in one database replaces, as oid
// and name: all in some schemas but members of extensions and what is shared. Both are
// SQL expressions, text[], of the schemas' names and of quoted names.
func ReplacedIn(catalog, schemas, shared string) string {
	c := identified[catalog]
	return fmt.Sprintf(`SELECT x.oid, CASE WHEN '%[1]s' = 'pg_namespace' THEN x.%[3]s::pg_catalog.text ELSE pg_catalog.concat(n.nspname, '.', x.%[3]s) END AS name
		FROM pg_catalog.%[1]s AS x JOIN pg_catalog.pg_namespace AS n ON n.oid = x.%[2]s
		WHERE n.nspname = ANY (%[4]s::pg_catalog.text[]) AND pg_catalog.format('%%I.%%I', n.nspname, x.%[3]s) <> ALL (%[5]s::pg_catalog.text[])
			AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.%[1]s'::pg_catalog.regclass AND d.objid = x.oid AND d.deptype = 'e')`,
		catalog, c[0], c[1], schemas, shared)
}

// Replaces is a condition on a value of a type of [Referring]: it names an object that
// the swap of this plan replaces, and would go on naming the old one. Empty: the type is
// none of them, or nothing is replaced, as to another database.
func (p *Plan) Replaces(sqlType, value string) string {
	catalog := Referring[strings.TrimPrefix(sqlType, "pg_catalog.")]
	if catalog == "" || p.Remote || p.Backwards() {
		return ""
	}
	var schemas, shared []string
	for _, s := range p.Schemas {
		schemas = append(schemas, s.Production)
	}
	for _, s := range p.Shared {
		shared = append(shared, s.Name.Quoted())
	}
	return fmt.Sprintf("EXISTS (SELECT FROM (%s) AS o WHERE o.oid = (%s)::pg_catalog.oid)", ReplacedIn(catalog, texts(schemas), texts(shared)), value)
}

func texts(all []string) string {
	var quoted []string
	for _, s := range all {
		quoted = append(quoted, pg.Literal(s))
	}
	return "ARRAY[" + strings.Join(quoted, ", ") + "]::pg_catalog.text[]"
}
