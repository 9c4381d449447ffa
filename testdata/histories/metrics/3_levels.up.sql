UPDATE metrics.alarms SET level = lower(level) WHERE level <> lower(level);
UPDATE metrics.alarms SET level = 'low' WHERE level NOT IN ('low', 'high') OR level IS NULL;
CREATE TYPE metrics.level AS ENUM ('low', 'high');
ALTER TABLE metrics.alarms ALTER COLUMN level TYPE metrics.level USING level::metrics.level, ALTER COLUMN level SET NOT NULL;
