// Package estimate says what a run will take of the servers: rows, bytes, WAL, time, locks
// and disk, from production's statistics and a short sample of the copy. It reads, waits
// for no lock longer than a second, and changes nothing.
package estimate

import (
	"context"
	_ "embed"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// What a copy costs beyond reading and transforming, measured on PostgreSQL 15
// with narrow, middling and wide rows. WAL: the heap's bytes and 27 bytes of
// record header a row; an index's own bytes. Speed: one worker wrote 60 to
// 200 MB of WAL a second, rows or index; the assumption is on the slow side.
const (
	walHeaderBytes  = 27
	writePerSecond  = 100 << 20
	indexEntryBytes = 24
)

// Of says what a run will take: rows, bytes, WAL, time, locks, disk. It
// fills in each source's rows and bytes, and adds what does not fit
// (locks-too-few, disk-too-small, transform-fails, wide-rows, huge-rows) to the plan's findings.
//
// conn is a session in production's database, shadow one in the shadow's, or the
// same. Only reads, with ACCESS SHARE locks of a second at most.
func Of(ctx context.Context, conn, shadow *pgx.Conn, p *plans.Plan) (plans.Estimates, error) {
	sizes, err := readSizes(ctx, conn, p)
	if err != nil {
		return plans.Estimates{}, fmt.Errorf("read the sizes of production's tables: %w", err)
	}
	e := plans.Estimates{Locks: swapLocks(p), Busy: busy(conn)}
	var indexes int64
	for i := range p.Tables {
		if t := &p.Tables[i]; t.Feed == plans.Copied || t.Feed == plans.Derived {
			heap, index := tableSize(p, t, sizes)
			e.Rows += heap.rows
			e.Bytes += heap.bytes
			indexes += index
		}
	}
	e.ShadowBytes = e.Bytes + indexes
	e.WALBytes = e.Bytes + walHeaderBytes*e.Rows + indexes
	rate, findings, err := sample(ctx, conn, p, sizes)
	if err != nil {
		return plans.Estimates{}, fmt.Errorf("time a sample of the copy: %w", err)
	}
	wide, err := widest(ctx, conn, p, sizes)
	if err != nil {
		return plans.Estimates{}, fmt.Errorf("look for the widest rows: %w", err)
	}
	findings = append(findings, wide...)
	e.SampleRate = rate
	e.CopySeconds = copySeconds(e, p.Settings.Copy.Workers)
	if e.LocksCapacity, err = locksCapacity(ctx, shadow); err != nil {
		return plans.Estimates{}, err
	}
	if e.FreeDisk, err = freeDisk(ctx, shadow); err != nil {
		return plans.Estimates{}, err
	}
	p.Findings = append(append(p.Findings, findings...), capacityFindings(e, p.Settings)...)
	return e, nil
}

// memberSize is what one table of production holds.
type memberSize struct {
	rows, bytes, blocks   int64 // heap and TOAST
	toast                 int64 // of bytes
	indexes, indexedBytes int64
}

//go:embed sizes.sql
var sizesSQL string

func readSizes(ctx context.Context, conn *pgx.Conn, p *plans.Plan) (map[uint32]memberSize, error) {
	rows, err := conn.Query(ctx, sizesSQL, memberOIDs(p))
	if err != nil {
		return nil, err
	}
	sizes := map[uint32]memberSize{}
	var oid uint32
	var m memberSize
	_, err = pgx.ForEachRow(rows, []any{&oid, &m.rows, &m.bytes, &m.blocks, &m.toast, &m.indexes, &m.indexedBytes}, func() error {
		sizes[oid] = m
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range p.Sources {
		if err := fillSource(ctx, conn, &p.Sources[i], sizes, p.SearchPath); err != nil {
			return nil, err
		}
	}
	return sizes, nil
}

func memberOIDs(p *plans.Plan) []uint32 {
	oids := []uint32{}
	for i := range p.Sources {
		for _, m := range p.Sources[i].Members {
			oids = append(oids, m.OID)
		}
	}
	return oids
}

// fillSource adds up a source's members. A table that was never analyzed has
// no count; the planner's own guess, from its pages, stands in.
func fillSource(ctx context.Context, conn *pgx.Conn, s *plans.Source, sizes map[uint32]memberSize, path string) error {
	s.Rows, s.Bytes = 0, 0
	for _, m := range s.Members {
		size := sizes[m.OID]
		if size.rows < 0 {
			var err error
			if size.rows, err = guessRows(ctx, conn, m.Name, path); err != nil {
				return err
			}
			sizes[m.OID] = size
		}
		s.Rows += size.rows
		s.Bytes += size.bytes
	}
	return nil
}

// guessRows asks the planner, which looks into the functions of indexes' expressions: these
// name others as production's search_path has it.
func guessRows(ctx context.Context, conn *pgx.Conn, n pg.Name, path string) (int64, error) {
	var plan []struct {
		Plan struct {
			Rows float64 `json:"Plan Rows"`
		}
	}
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_catalog.set_config('search_path', $1, true)", path); err != nil {
			return err
		}
		return tx.QueryRow(ctx, "EXPLAIN (FORMAT JSON) SELECT 1 FROM ONLY "+n.Quoted()).Scan(&plan)
	})
	if err != nil || len(plan) == 0 {
		return 0, err
	}
	return int64(plan[0].Plan.Rows), nil
}

type heapSize struct{ rows, bytes int64 }

// tableSize is what a shadow table will hold: as much as its source, with
// indexes in the proportion of their number. A derived table counts as the
// largest table that feeds it.
func tableSize(p *plans.Plan, t *plans.Table, sizes map[uint32]memberSize) (heapSize, int64) {
	s := largestFeed(p, t)
	if s == nil {
		return heapSize{}, 0
	}
	var had, bytes int64
	for _, m := range s.Members {
		had += sizes[m.OID].indexes
		bytes += sizes[m.OID].indexedBytes
	}
	perIndex := indexEntryBytes * s.Rows
	if leaves := int64(s.Leaves()); had > 0 && leaves > 0 {
		perIndex = bytes * leaves / had
	}
	return heapSize{s.Rows, s.Bytes}, perIndex * indexCount(p, t)
}

func largestFeed(p *plans.Plan, t *plans.Table) *plans.Source {
	if s := p.CopiedFrom(t); s != nil {
		return s
	}
	var largest *plans.Source
	for _, w := range t.Watches {
		if s := &p.Sources[w.Source]; largest == nil || s.Bytes > largest.Bytes {
			largest = s
		}
	}
	return largest
}

// indexCount counts the indexes that the shadow table itself will have; on a
// partition tree those of the root stand for one on each leaf.
func indexCount(p *plans.Plan, t *plans.Table) int64 {
	var n int64
	for _, e := range p.Entries {
		if e.Table == t.Shadow && (e.Tag == "INDEX" || e.Tag == "CONSTRAINT") {
			n++
		}
	}
	return n
}

// copySeconds: reading and transforming as sampled, writing as assumed, the
// workers side by side.
func copySeconds(e plans.Estimates, workers int) float64 {
	read := 0.0
	if e.SampleRate > 0 {
		read = float64(e.Bytes) / e.SampleRate
	}
	return (read + float64(e.WALBytes)/writePerSecond) / float64(max(workers, 1))
}

// swapLocks counts the entries of the lock table that the swap's transaction
// takes. Two for each table on both sides (its own, and its reverse journal's or
// its triggers'), for each sequence and each foreign key: of 200 tables 819 were
// counted, with a sequence, a foreign key and two indexes each 1,619, whether
// the schema is renamed or its objects are moved.
func swapLocks(p *plans.Plan) int {
	n := len(p.Sequences)
	for i := range p.Sources {
		n += max(len(p.Sources[i].Members), 1)
	}
	for _, e := range p.Entries {
		if e.Tag == "TABLE" || e.Tag == "FK CONSTRAINT" {
			n++
		}
	}
	for _, s := range p.Shared {
		if s.Kind == "SEQUENCE" {
			n++
		}
	}
	return 2*n + 40
}

func locksCapacity(ctx context.Context, db pg.Querier) (int, error) {
	var capacity int
	err := db.QueryRow(ctx, `SELECT pg_catalog.current_setting('max_locks_per_transaction')::int *
		(pg_catalog.current_setting('max_connections')::int + pg_catalog.current_setting('max_prepared_transactions')::int)`).Scan(&capacity)
	if err != nil {
		return 0, fmt.Errorf("read the room for locks: %w", err)
	}
	return capacity, nil
}

// capacityFindings compares what the run takes with what there is.
func capacityFindings(e plans.Estimates, s plans.Settings) []plans.Finding {
	return append(lockFindings(e), diskFindings(e, s)...)
}

func lockFindings(e plans.Estimates) []plans.Finding {
	f := plans.Finding{Level: plans.Blocker, Code: "locks-too-few", Object: "max_locks_per_transaction",
		Message: fmt.Sprintf("The swap takes about %s locks; all sessions together have room for %s.", human.Count(int64(e.Locks)), human.Count(int64(e.LocksCapacity)))}
	switch {
	case e.LocksCapacity <= 0 || e.Locks*10 <= e.LocksCapacity*8:
		return nil
	case e.Locks <= e.LocksCapacity:
		f.Level = plans.Warning
	}
	// Of the lock table's room the default is 64 for each connection.
	times := int(math.Ceil(float64(e.Locks) * 2 / float64(e.LocksCapacity)))
	f.Fix = fmt.Sprintf("Set max_locks_per_transaction to at least %d times what it is now (ALTER SYSTEM SET max_locks_per_transaction = …) and restart the server.", times)
	return []plans.Finding{f}
}

func diskFindings(e plans.Estimates, s plans.Settings) []plans.Finding {
	if e.FreeDisk == nil {
		return nil
	}
	f := plans.Finding{Level: plans.Blocker, Code: "disk-too-small", Object: "disk",
		Message: fmt.Sprintf("The shadow needs about %s; %s are free on the disk of the data directory.", human.Bytes(e.ShadowBytes), human.Bytes(*e.FreeDisk)),
		Fix:     "Make room, or give the server a larger disk."}
	switch {
	case *e.FreeDisk < e.ShadowBytes:
		return []plans.Finding{f}
	case *e.FreeDisk < e.ShadowBytes+e.WALBytes:
		f.Level = plans.Warning
		f.Message += fmt.Sprintf(" The copy writes about %s of WAL on top, which stays until checkpoints, archive and replicas are done with it; the journals may grow to %s.",
			human.Bytes(e.WALBytes), human.Bytes(s.Capture.MaxJournal))
		return []plans.Finding{f}
	}
	return nil
}
