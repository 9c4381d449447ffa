SELECT nextval('shop.drawn') FROM generate_series(1, 9);
SELECT nextval('shop.crates_id_seq');
