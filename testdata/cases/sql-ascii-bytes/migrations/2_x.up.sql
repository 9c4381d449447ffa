ALTER TABLE app."straßen" ADD COLUMN "maß" text NOT NULL DEFAULT 'µ';
ALTER TABLE app."straßen" ALTER COLUMN "länge" TYPE bigint;
ALTER TABLE app.keys ALTER COLUMN n TYPE bigint;
ALTER TABLE app.loose ADD COLUMN n int;
