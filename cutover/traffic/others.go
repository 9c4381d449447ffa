package traffic

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/plans/planfile"
)

// others finds entries beside ours that lead to production: the switch leaves
// them, and their clients would be refused by production for good.
func (i *inspection) others(ctx context.Context, e entry) {
	c, err := readConfig(i.config)
	if err != nil {
		return // said by file
	}
	wanted, err := identify(ctx, i.plan.Production.DSN, nil)
	known := err == nil
	seen := map[string]bool{}
	for _, o := range slices.Backward(c.entries) { // of several of one name the last counts
		if seen[o.name] || i.switched(o.name) {
			continue
		}
		seen[o.name] = true
		a := o.leads
		if o.name == "*" && a.Database == "*" { // clients name the database
			a.Database = e.leads.Database
		}
		if a != e.leads && (!known || !i.reaches(ctx, a, wanted)) {
			continue
		}
		i.block("other-entry", fmt.Sprintf("%s:%d: the entry %s leads to production's database too, and is not in traffic.pgbouncer: its clients would stay behind, and production refuses their writes", o.path, o.line, o.name),
			"add it to the list traffic.pgbouncer, or take it out of the file and RELOAD")
	}
}

// switched reports whether the plan leads an entry of this file over.
func (i *inspection) switched(name string) bool {
	return slices.ContainsFunc(i.plan.Traffic.PgBouncer, func(p planfile.PgBouncerFile) bool {
		return p.Config == i.config && p.Database == name
	})
}

// reaches asks whether an address is a database. One that cannot be asked is
// not: the warning not-checked is for the entry of the plan.
func (i *inspection) reaches(ctx context.Context, a Address, wanted identity) bool {
	if a.Host == "" {
		a.Host = i.settings["unix_socket_dir"]
	}
	a.Host, _, _ = strings.Cut(a.Host, ",")
	found, err := identify(ctx, i.plan.Production.DSN, &a)
	return err == nil && found == wanted
}
