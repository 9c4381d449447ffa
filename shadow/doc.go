// Package shadow makes the upgraded twin: its structure, the copy of
// production's rows, keys, indexes and constraints, and what the swap still has
// to add to it.
//
// It writes to the shadow and to the control schema. From production's tables it
// only reads, under ACCESS SHARE, until the swap is done; after it, it validates
// foreign keys there.
//
// A shadow in another database has a skeleton in production: its structure, empty,
// under the same names, so that transforms are evaluated where the rows are. Rows
// go from one server's COPY into the other's, never as Go values. All that
// changes with the shadow's rows is recorded in the control schema beside them.
//
// Order of calls: [Build]; once capture is installed [Copier.Copy], [BuildKeys],
// then (after the first catch-up) [BuildIndexes], and [CompleteIndexes] after either;
// [BuildPartitionKeys] before an attempt at the cutover, [SwapEntries] inside the swap
// and [PostSwap] after it. [Drop] undoes everything before the swap, after it
// [DropSkeleton] takes away what served for the building; [Unswap] makes a shadow again
// of the new side, after a rollback from which that is followed. Each can be called
// again after it was interrupted, at any point.
//
// It is one package of two halves: the copy ([Copier]: chunk.go, crew.go, whole.go,
// recopy.go) stands on the structure (all else). They are not two packages, since a copy
// that begins anew takes keys and foreign keys off a table that stands complete, which
// nobody else may: that would have to be exported, with how names and search paths differ
// between the sides.
//
// Transactions that run long check the leader's epoch at their end, not at their
// beginning: the check locks the run's row until the commit, and whoever must
// change that row (a new leader, the journals' limit) would wait for hours.
// Nothing is lost by it: an orphan of a deposed leader still can't commit.
package shadow
