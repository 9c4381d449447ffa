CREATE INDEX CONCURRENTLY points_at ON metrics.points USING brin (at);
