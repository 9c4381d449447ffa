-- From here on entries of journals are numbered by WAL's position, not by a
-- sequence. An older pgumbra would write numbers into them that have another
-- type, and clients would fail: this version keeps it out. Journals that are
-- there stay what they are.
SELECT 1;
