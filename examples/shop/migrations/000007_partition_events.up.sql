CREATE TABLE shop.events_by_month (
    id   bigint GENERATED ALWAYS AS IDENTITY,
    at   timestamptz NOT NULL DEFAULT now(),
    kind text NOT NULL,
    body jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE TABLE shop.events_2026_h1 PARTITION OF shop.events_by_month FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
CREATE TABLE shop.events_2026_h2 PARTITION OF shop.events_by_month FOR VALUES FROM ('2026-07-01') TO ('2027-01-01');
CREATE TABLE shop.events_rest PARTITION OF shop.events_by_month DEFAULT;
INSERT INTO shop.events_by_month (id, at, kind, body) OVERRIDING SYSTEM VALUE
SELECT id, at, kind, body FROM shop.events;
DROP TABLE shop.events;
ALTER TABLE shop.events_by_month RENAME TO events;
