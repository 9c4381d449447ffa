RESET ALL; ALTER TABLE shop.vals ADD t text; UPDATE shop.vals SET t = at; SELECT set_config('bytea_output', 'hex', false); ALTER TABLE shop.vals ALTER b TYPE text USING b::text;
