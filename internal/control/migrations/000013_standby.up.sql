-- Processes that wait to lead a run, each with what it says of itself about once a
-- second: what would keep it from leading, or make it lead otherwise. No foreign
-- key: it would wait for a leader that stands still with the run's row locked.
CREATE TABLE IF NOT EXISTS pgumbra.standby (
    run_id            bigint NOT NULL,
    host              text NOT NULL,
    pid               integer NOT NULL,
    since             timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen              timestamptz NOT NULL,
    program           text NOT NULL,
    problems          json NOT NULL,
    PRIMARY KEY (run_id, host, pid)
);
-- What the leader was built as, and what its plan file says, by key and without
-- connection strings: a standby compares its own.
ALTER TABLE pgumbra.leader ADD COLUMN IF NOT EXISTS program text NOT NULL DEFAULT '';
ALTER TABLE pgumbra.leader ADD COLUMN IF NOT EXISTS file json;
