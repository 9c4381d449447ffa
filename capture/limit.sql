-- Whether the journals are closed, or would be over their limit with so many
-- bytes more. Called by triggers, once WAL has grown by a quarter of what was
-- left at the last look: the journals cannot have grown by more. Of two that
-- look at once one may postpone the other's next look, no more.
DECLARE
    held bigint;
BEGIN
    IF pg_catalog.pg_sequence_last_value({full}) IS NOT NULL THEN
        RETURN true;
    END IF;
    SELECT coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(c.oid)), 0) INTO held
    FROM pg_catalog.pg_class c
    WHERE c.relname >= {from} AND c.relname < {to} -- for the index
      AND c.relnamespace = 'pgumbra'::pg_catalog.regnamespace AND c.relkind = 'r' AND c.relname ~ {pattern};
    IF held + more >= {limit} THEN
        PERFORM pg_catalog.setval({full}, pg_catalog.extract('epoch', pg_catalog.clock_timestamp())::bigint),
                pg_catalog.setval({look}, 1);
        RETURN true;
    END IF;
    PERFORM pg_catalog.setval({look}, (pg_catalog.pg_current_wal_insert_lsn() - '0/0'::pg_catalog.pg_lsn)::bigint
        + greatest(({limit} - held - more) / 4, {limit} / 128, 8192));
    RETURN false;
END
