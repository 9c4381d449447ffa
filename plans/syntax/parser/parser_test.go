package parser

import (
	"errors"
	"strings"
	"testing"
)

// A tree too deep for the parser's stack overwrote its memory: what it read afterwards,
// "SELECT 1" too, was a syntax error to it. Not parallel: sound is asked without the lock.
func TestParserIsSoundAfterATreeThatIsTooDeep(t *testing.T) {
	var p inProcess
	for _, levels := range []int{10, 400} {
		sql := "SELECT " + strings.Repeat("CASE WHEN a THEN b ELSE ", levels) + "1" + strings.Repeat(" END", levels)
		tree, err := p.answer(parseRequest, []byte(sql))
		if err != nil {
			t.Fatal(err)
		}
		text, err := p.answer(deparseRequest, tree)
		refused := new(Refusal)
		if levels < 100 && (err != nil || string(text) != sql) || err != nil && !errors.As(err, &refused) || err == nil && string(text) != sql {
			t.Errorf("%d levels: %q, %v", levels, text, err)
		}
		if !sound() {
			t.Errorf("damaged by %d levels", levels)
		}
		if _, err := p.answer(parseRequest, []byte("SELECT 1")); err != nil {
			t.Errorf("after %d levels: %v", levels, err)
		}
	}
}
