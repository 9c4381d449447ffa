ALTER TABLE keys.by_several DROP CONSTRAINT by_several_pkey;
ALTER TABLE keys.by_several ADD PRIMARY KEY (tenant, part);
ALTER TABLE keys.by_unique ADD PRIMARY KEY (id);
ALTER TABLE keys.by_unique DROP CONSTRAINT by_unique_id_key;
