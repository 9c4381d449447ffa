// Command write writes docs/findings.md; its argument is the file's path.
package main

import (
	"log/slog"
	"os"

	"github.com/pgumbra/pgumbra/plans/findings"
)

func main() {
	if err := os.WriteFile(os.Args[1], []byte(findings.Markdown()), 0o644); err != nil {
		slog.New(slog.NewTextHandler(os.Stderr, nil)).Error("write the findings", "error", err)
		os.Exit(1)
	}
}
