package syntax

import "testing"

func TestDataWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"UPDATE %I SET a = 1": true, "UPDATE ": true, "update": false, "insert into t": true, "INSERT ": true, "delete from x": true,
		"TRUNCATE TABLE x": true, "truncate ": true, "merge into t": true, "COPY t FROM '/x'": true,
		"SELECT * FROM t FOR UPDATE": false, "SELECT 1 FOR NO KEY UPDATE OF t": false, "CREATE TRIGGER x AFTER INSERT OR UPDATE OR DELETE ON t": false,
		"GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON t TO x": false, "REVOKE UPDATE ON t FROM x": false, "REFERENCES t ON UPDATE CASCADE ON DELETE SET NULL": false,
		"CREATE TABLE t ()": false, "-- UPDATE t SET a = 1\nSELECT 1": false, "/* delete from t */": false, "EXECUTE 'UPDATE ' || t": true,
		"BEFORE UPDATE OF a, b ON t": false, "CREATE TRIGGER x BEFORE TRUNCATE ON t": false, "SELECT update_all()": false,
	} {
		if got := dataWords(text); got != want {
			t.Errorf("dataWords(%q) = %v", text, got)
		}
	}
}
