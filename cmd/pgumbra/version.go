package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/pgumbra/pgumbra/plans/planner"
)

// version is set by the linker; a plain go build takes it from the build info.
var version = ""

var supported = fmt.Sprintf("%d to %d", planner.OldestServer, planner.NewestServer)

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print version, Go, supported PostgreSQL versions",
		Long:    `Says which program this is, what it was built with, and which servers it knows.`,
		Example: `  pgumbra version --json`,
		RunE: func(*cobra.Command, []string) error {
			v := versionText()
			if a.json {
				return json.NewEncoder(os.Stdout).Encode(map[string]string{
					"version": v, "go": runtime.Version(), "postgresql": supported})
			}
			_, err := fmt.Printf("pgumbra %s (%s), PostgreSQL %s\n", v, runtime.Version(), supported)
			return err
		},
	}
}
