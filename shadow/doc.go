// Package shadow makes the upgraded twin: its structure, the copy of
// production's rows, keys, indexes and constraints, and what the swap still has
// to add to it.
//
// It writes to the shadow and to the control schema. From production's tables it
// only reads, under ACCESS SHARE, until the swap is done; after it, it validates
// foreign keys there.
//
// Order of calls: [Build]; once capture is installed [Copier.Copy], [BuildKeys],
// then (after the first catch-up) [BuildIndexes]; [SwapEntries] inside the swap
// and [PostSwap] after it. [Drop] undoes everything before the swap. Each can be
// called again after it was interrupted, at any point.
//
// Transactions that run long check the leader's epoch at their end, not at their
// beginning: the check locks the run's row until the commit, and whoever must
// change that row (a new leader, the journal's valve) would wait for hours.
// Nothing is lost by it: an orphan of a deposed leader still can't commit.
package shadow
