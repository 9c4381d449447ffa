ALTER TABLE shop.vals ALTER b TYPE text USING b::text; ALTER TABLE shop.vals ALTER f TYPE text; ALTER TABLE shop.vals ALTER i TYPE text;
ALTER TABLE shop.vals ALTER d TYPE text, ALTER fs TYPE text, ALTER "odd ""name" TYPE varchar(30);
ALTER TABLE shop.vals ALTER code TYPE date USING code::date; ALTER TABLE shop.loose ALTER f TYPE text;
