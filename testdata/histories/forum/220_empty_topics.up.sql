DELETE FROM forum.topics WHERE first_post IS NULL AND owner IS NULL;
