package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra/doc"
)

// TestManPagesTellEachCommand: make man keeps what it makes in bin/man.
func TestManPagesTellEachCommand(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("PGUMBRA_MAN")
	if dir == "" {
		dir = t.TempDir()
	}
	must(t, os.MkdirAll(dir, 0o755))
	root := (&app{}).root()
	root.DisableAutoGenTag = true
	date := time.Unix(0, 0).UTC()
	must(t, doc.GenManTree(root, &doc.GenManHeader{Title: "PGUMBRA", Section: "1", Source: "pgumbra", Manual: "pgumbra", Date: &date}, dir))
	for _, c := range root.Commands() {
		page, err := os.ReadFile(filepath.Join(dir, "pgumbra-"+c.Name()+".1"))
		if c.Hidden || c.IsAdditionalHelpTopicCommand() || c.Name() == "help" {
			continue
		}
		if err != nil || !strings.Contains(string(page), ".SH EXAMPLE") || !strings.Contains(string(page), "Exit codes") {
			t.Errorf("the page of %s lacks an example or the exit codes: %v", c.Name(), err)
		}
	}
}
