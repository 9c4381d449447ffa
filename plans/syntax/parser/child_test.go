package parser

import (
	"errors"
	"os"
	"testing"
)

const childVariable = "PGUMBRA_TEST_PARSE_CHILD"

func init() { // before the testing package reads its flags
	if os.Getenv(childVariable) != "" {
		if err := Serve(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
}

func newChild(t *testing.T) *child {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{argv: []string{"/usr/bin/env", childVariable + "=1", exe}}
	t.Cleanup(func() { _ = c.close() })
	return c
}

func TestChildAnswersAsInProcess(t *testing.T) {
	t.Parallel()
	c := newChild(t)
	for r, text := range map[request]string{
		parseRequest: "UPDATE t SET a = 'é' WHERE b", scanRequest: "SELECT 1 -- x",
		plpgsqlRequest: "DO $$ BEGIN PERFORM 1; END $$", deparseRequest: "",
	} {
		want, wantErr := inProcess{}.answer(r, []byte(text))
		got, err := c.answer(r, []byte(text))
		if string(got) != string(want) || (err == nil) != (wantErr == nil) {
			t.Errorf("%q: %q %v, want %q %v", text, got, err, want, wantErr)
		}
	}
	tree, err := inProcess{}.answer(parseRequest, []byte("select  a from b"))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := c.answer(deparseRequest, tree); string(text) != "SELECT a FROM b" {
		t.Errorf("%q %v", text, err)
	}
}

func TestChildThatDiesIsAnErrorOnce(t *testing.T) {
	t.Parallel()
	c := newChild(t)
	if _, err := c.answer(parseRequest, []byte("SELECT 1")); err != nil {
		t.Fatal(err)
	}
	if err := c.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, err := c.answer(parseRequest, []byte("SELECT 1"))
	if refused := new(Refusal); err == nil || errors.As(err, &refused) {
		t.Errorf("a dead child answered: %v", err)
	}
	if _, err := c.answer(parseRequest, []byte("SELECT 1")); err != nil {
		t.Errorf("no new child was started: %v", err)
	}
}

func TestChildEndsWhenClosed(t *testing.T) {
	t.Parallel()
	c := newChild(t)
	if _, err := c.answer(parseRequest, []byte("SELECT 1")); err != nil {
		t.Fatal(err)
	}
	if err := c.close(); err != nil {
		t.Error(err)
	}
}
