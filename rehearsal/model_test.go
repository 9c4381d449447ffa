package rehearsal

import (
	"encoding/json"
	"testing"
	"time"
)

// What did not come to be known is an empty list to programs; null stands for parts that
// were not reached.
func TestResultHasEmptyListsFromTheBeginning(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(newResult("shop", 1, time.Now()))
	var all map[string]any
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, reached := range []string{"cutover", "rollback", "oracle"} {
		delete(all, reached)
	}
	for _, path := range nulls("", all) {
		t.Errorf("%s is null", path)
	}
}

// nulls are the paths of values that are null.
func nulls(path string, v any) (paths []string) {
	switch x := v.(type) {
	case nil:
		return []string{path}
	case map[string]any:
		for key, value := range x {
			paths = append(paths, nulls(path+"/"+key, value)...)
		}
	}
	return paths
}
