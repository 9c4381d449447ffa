// Package capture records what clients change: journals, the triggers that
// write them, the freeze of what must not change, and the fingerprint by which a
// change of structure is noticed. It works in both directions: on production's
// tables before the swap, on the new ones from the swap on.
//
// It never reads a journal's content and never writes to a table of the user's.
// Order of calls: [Install] before the first chunk's snapshot; [Check], [Size]
// and [Rotate] while the run follows; [PrepareReverse] before the fence, the
// text of [ReverseTriggers] inside the swap and [RecordReverse] after it; [Remove] at
// the end. A rollback from which the new side is followed again takes [PrepareForward],
// [ForwardTriggers] and [RecordForward] in the same places. [Break] gives up
// capture, at the journals' limit, before it harms production.
package capture
