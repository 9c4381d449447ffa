package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pgumbra/pgumbra/plans/planfile"
)

func (a *app) initCommand() *cobra.Command {
	var o planfile.InitOptions
	var production []string
	var output string
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a plan file with what can be inferred",
		Long: `Looks at production and at the migrations folder and writes a commented plan file.
What needs a human's decision is marked DECIDE. Changes nothing in production; an
existing file is not overwritten.

Without --production and --shadow, PGUMBRA_PRODUCTION_DSN and PGUMBRA_SHADOW_DSN say
where; a password is left out of the file. Without --migrations, ./migrations is
taken where it holds golang-migrate's files.`,
		Example: `  pgumbra init --production postgres://app@db1/shop --schema shop --migrations ./migrations`,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(production) > 1 {
				return &usageError{errors.New("init looks at one database: write its plan file, then list all in production.databases, as docs/groups.md shows")}
			}
			o.Production = cmp.Or(strings.Join(production, ""), os.Getenv(planfile.Env("production.dsn")))
			o.Shadow = cmp.Or(o.Shadow, os.Getenv(planfile.Env("shadow.dsn")))
			o.Migrations = cmp.Or(o.Migrations, usualMigrations())
			if err := needed(o); err != nil {
				return err
			}
			if output == "" {
				output = a.planPath
			}
			o.Output = output
			text, err := planfile.Init(c.Context(), o)
			if err != nil {
				return err
			}
			return a.writePlanFile(output, text)
		},
	}
	f := c.Flags()
	f.StringArrayVar(&production, "production", nil, "production's `DSN`")
	f.StringArrayVar(&o.Schemas, "schema", nil, "a `SCHEMA` that moves, needed (repeatable)")
	f.StringVar(&o.Migrations, "migrations", "", "golang-migrate's `DIR`")
	f.StringVar(&o.Shadow, "shadow", "", "the shadow's `DSN`; empty: the same database")
	f.StringVarP(&output, "output", "o", "", "`FILE` to write, or - for stdout; default: the plan file")
	return c
}

// needed names what nobody can guess, and was not given.
func needed(o planfile.InitOptions) error {
	var missing []string
	if o.Production == "" {
		missing = append(missing, "--production (the DSN)")
	}
	if len(o.Schemas) == 0 {
		missing = append(missing, "--schema (each that moves)")
	}
	if missing == nil {
		return nil
	}
	return &usageError{fmt.Errorf("init needs %s", strings.Join(missing, " and "))}
}

// usualMigrations is ./migrations where it holds files of golang-migrate's, else empty.
func usualMigrations() string {
	const usual = "./migrations"
	if files, err := filepath.Glob(filepath.Join(usual, "[0-9]*_*.up.sql")); err != nil || len(files) == 0 {
		return ""
	}
	return usual
}

func (a *app) writePlanFile(path string, text []byte) error {
	if path == "-" {
		_, err := os.Stdout.Write(text)
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return &usageError{fmt.Errorf("%s is there already, and is not overwritten; -o FILE names another one", path)}
	}
	if err != nil {
		return &usageError{err}
	}
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if a.json {
		return json.NewEncoder(os.Stdout).Encode(map[string]string{"plan": path})
	}
	a.planPath = path
	_, err = fmt.Printf("Wrote %s.\nNext: read it, then pgumbra plan%s\n", path, a.planFlag())
	return err
}
