package plans

import "strings"

// Tags of entries that pg_dump has no part in. Those of the swap are run in the
// shadow's database alone, those of the build in the skeleton too.
const (
	TagSchemaOf = "EXTENSION SCHEMA" // where an extension lives
	TagSchema   = "TRUE SCHEMA"      // owner, privileges and comment of a schema that is there already
	TagDatabase = "DATABASE"         // what hangs on the database itself
	TagDefaults = "DEFAULT ACL"      // default privileges
	TagVersion  = "VERSION TABLE"    // golang-migrate's, where its schema does not move
)

// Standing reports whether an entry changes what stands in the shadow's database
// before the run and after it, and nothing of the shadow: trying it out hinders
// nobody.
func (e *Entry) Standing() bool {
	return e.Stage == StageSwap && (e.Tag == TagSchema || e.Tag == TagDatabase || e.Defaults())
}

// Defaults reports whether an entry of the swap makes default privileges: they
// come behind the names, since an empty schema of the true name may have made way.
func (e *Entry) Defaults() bool { return e.Stage == StageSwap && e.Tag == TagDefaults }

// ConstraintName of an entry that makes one: pg_dump tags it "table constraint".
func ConstraintName(e Entry) string {
	return strings.TrimPrefix(e.Name.Name, e.Table.Name+" ")
}
