package capture

import (
	"context"
	"fmt"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Signature is a hash over the catalog rows of all captured tables, by their
// xmin: whatever [Check] would find changes it, and so do harmless things. It
// is one query for all tables, cheap enough for the stall of a cutover: as long
// as it is what it was before a clean Check, nothing has changed since. Takes
// no lock on the tables.
func Signature(ctx context.Context, db pg.Querier, run *control.Run) (string, error) {
	j := JournalOf(run, new(plans.Source))
	var members []uint32
	for _, src := range run.Plan.Sources {
		members = append(members, src.OID)
		for _, m := range src.Members {
			members = append(members, m.OID)
		}
	}
	var signature string
	err := db.QueryRow(ctx, `
		WITH member AS (SELECT DISTINCT unnest($1::oid[]) AS oid)
		SELECT pg_catalog.md5(coalesce(pg_catalog.string_agg(part, ',' ORDER BY part COLLATE "C"), '')) FROM (
			SELECT 'c' || c.oid || '.' || c.xmin || '.' || c.relfilenode || '.' || c.relname FROM pg_catalog.pg_class c JOIN member m ON m.oid = c.oid
			UNION ALL SELECT 'a' || a.attrelid || '.' || pg_catalog.count(*) || '.' || pg_catalog.max(a.xmin::text::bigint) || '.' || pg_catalog.sum(a.xmin::text::bigint)
				FROM pg_catalog.pg_attribute a JOIN member m ON m.oid = a.attrelid WHERE a.attnum > 0 GROUP BY a.attrelid
			UNION ALL SELECT 'd' || d.adrelid || '.' || d.oid || '.' || d.xmin FROM pg_catalog.pg_attrdef d JOIN member m ON m.oid = d.adrelid
			UNION ALL SELECT 't' || t.oid || '.' || t.xmin || '.' || t.tgenabled::text FROM pg_catalog.pg_trigger t JOIN member m ON m.oid = t.tgrelid
			UNION ALL SELECT 'k' || k.oid || '.' || k.xmin FROM pg_catalog.pg_constraint k JOIN member m ON m.oid = k.conrelid
			UNION ALL SELECT 'i' || i.indexrelid || '.' || i.xmin FROM pg_catalog.pg_index i JOIN member m ON m.oid = i.indrelid
			UNION ALL SELECT 'j' || c.oid || '.' || c.xmin FROM pg_catalog.pg_index i JOIN member m ON m.oid = i.indrelid
				JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
			UNION ALL SELECT 'n' || n.oid || '.' || n.xmin FROM pg_catalog.pg_namespace n
				WHERE n.oid IN (SELECT c.relnamespace FROM pg_catalog.pg_class c JOIN member m ON m.oid = c.oid)
			UNION ALL SELECT 'h' || h.inhrelid || '.' || h.inhparent || '.' || h.xmin FROM pg_catalog.pg_inherits h
				WHERE h.inhparent IN (SELECT oid FROM member) OR h.inhrelid IN (SELECT oid FROM member)
			UNION ALL SELECT 'p' || p.oid || '.' || p.xmin FROM pg_catalog.pg_policy p JOIN member m ON m.oid = p.polrelid
			UNION ALL SELECT 'r' || r.oid || '.' || r.xmin FROM pg_catalog.pg_rewrite r JOIN member m ON m.oid = r.ev_class
			UNION ALL SELECT 's' || s.oid || '.' || s.xmin FROM pg_catalog.pg_statistic_ext s JOIN member m ON m.oid = s.stxrelid
			UNION ALL SELECT 'f' || f.oid || '.' || f.xmin FROM pg_catalog.pg_proc f
				WHERE f.pronamespace = 'pgumbra'::regnamespace AND pg_catalog.starts_with(f.proname::text, $3) -- others are made for the swap
			UNION ALL SELECT 'closed' || pg_catalog.pg_sequence_last_value(pg_catalog.to_regclass($2))
		) AS parts(part)`, members, fullName(run.ID, j.Direction).Quoted(), prefixOf(run, j.Direction)).Scan(&signature)
	if err != nil {
		return "", fmt.Errorf("sign the captured tables: %w", err)
	}
	return signature, nil
}
