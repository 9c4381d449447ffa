ALTER TYPE shop.mood ADD VALUE 'glad' BEFORE 'ok';
