-- One row a run. The phase changes by compare-and-set: a swap's in the swapping
-- transaction, every other in one of its own, between works that may be repeated.
CREATE TABLE IF NOT EXISTS pgumbra.run (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name              text NOT NULL,
    phase             text NOT NULL DEFAULT 'building' CHECK (phase IN (
        'building', 'capturing', 'copying', 'following', 'cutover', 'watching',
        'finished', 'rolled_back', 'aborted')),
    plan              json NOT NULL,
    from_version      bigint,
    to_version        bigint,
    -- raised by each new leader; every transaction of a leader's checks it
    epoch             bigint NOT NULL DEFAULT 0,
    -- why the run stopped; empty: it did not
    failure           text NOT NULL DEFAULT '',
    -- transaction of the swap, noted in it, to learn its fate after a lost connection
    swap_xid          xid8,
    cutover           json,
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at          timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS run_one_live ON pgumbra.run (name)
    WHERE phase NOT IN ('finished', 'rolled_back', 'aborted');

-- What the leader says of itself about once a second. Apart from run, whose row
-- each batch holds FOR SHARE: a heartbeat must never wait for a batch.
CREATE TABLE IF NOT EXISTS pgumbra.leader (
    run_id            bigint PRIMARY KEY REFERENCES pgumbra.run ON DELETE CASCADE,
    host              text NOT NULL DEFAULT '',
    pid               integer NOT NULL DEFAULT 0,
    backends          integer[] NOT NULL DEFAULT '{}',
    heartbeat         timestamptz,
    -- set by `pgumbra cutover` for the running leader
    cutover_requested timestamptz,
    -- why copying pauses; empty: it does not
    throttled         text NOT NULL DEFAULT '',
    rate_in           double precision NOT NULL DEFAULT 0,
    rate_out          double precision NOT NULL DEFAULT 0
);

-- One row a shadow table that is fed. Its row is locked FOR UPDATE by each
-- transaction that writes the table, and position is the production snapshot
-- that the table equals.
CREATE TABLE IF NOT EXISTS pgumbra.shadow_table (
    run_id            bigint NOT NULL REFERENCES pgumbra.run ON DELETE CASCADE,
    n                 integer NOT NULL,
    production        text NOT NULL,
    shadow            text NOT NULL,
    state             text NOT NULL DEFAULT 'waiting' CHECK (state IN (
        'waiting', 'copying', 'keying', 'catching_up', 'indexing', 'following')),
    position          pg_snapshot,
    -- first catch-up: pieces by key hash, each in a transaction of its own
    pieces            integer,
    pieces_done       integer NOT NULL DEFAULT 0,
    pieces_position   pg_snapshot,
    rows_copied       bigint NOT NULL DEFAULT 0,
    rows_total        bigint NOT NULL DEFAULT 0,
    rows_replayed     bigint NOT NULL DEFAULT 0,
    verified_at       timestamptz,
    -- how often it had to be copied again, and why the last time
    recopied          integer NOT NULL DEFAULT 0,
    recopy_reason     text NOT NULL DEFAULT '',
    PRIMARY KEY (run_id, n)
);

-- One row a captured production table.
CREATE TABLE IF NOT EXISTS pgumbra.captured (
    run_id            bigint NOT NULL REFERENCES pgumbra.run ON DELETE CASCADE,
    n                 integer NOT NULL,
    production        text NOT NULL,
    direction         text NOT NULL CHECK (direction IN ('forward', 'reverse')),
    -- structure and triggers as they were when capture was installed
    fingerprint       json NOT NULL,
    installed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, direction, n)
);

-- Chunks of a copy: page ranges of one leaf. done_at is set in the transaction
-- that wrote the rows.
CREATE TABLE IF NOT EXISTS pgumbra.chunk (
    run_id            bigint NOT NULL,
    n                 integer NOT NULL,
    chunk             integer NOT NULL,
    member            oid NOT NULL,
    filenode          oid NOT NULL,
    first_page        bigint NOT NULL,
    last_page         bigint NOT NULL,  -- exclusive
    rows              bigint,
    done_at           timestamptz,
    PRIMARY KEY (run_id, n, chunk),
    FOREIGN KEY (run_id, n) REFERENCES pgumbra.shadow_table ON DELETE CASCADE
);

-- Structure entries that were run, so that a resumed run does not run them again.
CREATE TABLE IF NOT EXISTS pgumbra.structure (
    run_id            bigint NOT NULL REFERENCES pgumbra.run ON DELETE CASCADE,
    toc               integer NOT NULL,
    done_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, toc)
);

CREATE TABLE IF NOT EXISTS pgumbra.event (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id            bigint NOT NULL REFERENCES pgumbra.run ON DELETE CASCADE,
    at                timestamptz NOT NULL DEFAULT clock_timestamp(),
    epoch             bigint NOT NULL,
    phase             text NOT NULL,
    message           text NOT NULL,
    detail            json NOT NULL DEFAULT '{}'
);

-- Which shadow tables were begun that a crash empties, they or what they are
-- copied from. UNLOGGED itself, so that a crash takes the row together with the
-- contents: a table that was begun and has no row here must be copied again.
CREATE UNLOGGED TABLE IF NOT EXISTS pgumbra.unlogged (
    run_id            bigint NOT NULL,
    n                 integer NOT NULL,
    PRIMARY KEY (run_id, n)
);
