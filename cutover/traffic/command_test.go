package traffic

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// script is a plan whose command is a shell script that notes what it is told.
func script(t *testing.T, body string) (traffic *Traffic, notes func() []string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "lead.sh")
	text := "#!/bin/sh\nenv | grep ^PGUMBRA_ | grep -v ^PGUMBRA_TEST_ | sort | tr '\\n' ' ' >>" + dir + "/notes; echo >>" + dir + "/notes\n" + body
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	f := &planfile.File{Name: "shop-v2", Settings: plans.DefaultSettings()}
	f.Production.DSN, f.Shadow.DSN = "postgres://u:secret@db1/shop", "postgres://u:secret@db2:5433/shop2"
	f.Traffic.Command = []string{path, "an argument"}
	return open(t, f), func() []string {
		text, err := os.ReadFile(filepath.Join(dir, "notes"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
}

const (
	told = "PGUMBRA_FROM_DBNAME=shop PGUMBRA_FROM_HOST=db1 PGUMBRA_FROM_PORT=5432 PGUMBRA_RUN=shop-v2 PGUMBRA_STEP=switch " +
		"PGUMBRA_TO_DBNAME=shop2 PGUMBRA_TO_HOST=db2 PGUMBRA_TO_PORT=5433 "
	toldBack = "PGUMBRA_FROM_DBNAME=shop2 PGUMBRA_FROM_HOST=db2 PGUMBRA_FROM_PORT=5433 PGUMBRA_RUN=shop-v2 PGUMBRA_STEP=back " +
		"PGUMBRA_TO_DBNAME=shop PGUMBRA_TO_HOST=db1 PGUMBRA_TO_PORT=5432"
)

func TestCommandIsToldWhereToLead(t *testing.T) {
	t.Parallel()
	traffic, notes := script(t, `test "$1" = "an argument"`)
	for _, step := range []func(context.Context) error{traffic.Pause, leadTo(traffic, Shadow), traffic.Resume, leadTo(traffic, Production)} {
		if err := step(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]string{told, toldBack}, notes()); diff != "" {
		t.Error(diff)
	}
}

func TestCommandThatFailsIsToldToLeadBack(t *testing.T) {
	t.Parallel()
	traffic, notes := script(t, `echo "no route, password=hunter2"; test $PGUMBRA_STEP = back`)
	err := traffic.Switch(t.Context(), Shadow)
	if err == nil || errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "no route") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
	if diff := cmp.Diff([]string{told, toldBack}, notes()); diff != "" {
		t.Error(diff)
	}
}

func TestCommandThatFailsBothWaysIsUnknown(t *testing.T) {
	t.Parallel()
	traffic, _ := script(t, "exit 3")
	if err := traffic.Switch(t.Context(), Shadow); !errors.Is(err, ErrUnknown) {
		t.Errorf("%v", err)
	}
}

func TestCommandThatHangsIsEndedWithItsChildren(t *testing.T) {
	t.Parallel()
	traffic, notes := script(t, "test $PGUMBRA_STEP = back || sleep 1000")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := traffic.Switch(ctx, Shadow); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnknown) {
		t.Errorf("%v", err)
	}
	if got := notes(); len(got) != 2 {
		t.Errorf("%q", got)
	}
}

func TestCommandThatIsNotThereIsAFinding(t *testing.T) {
	t.Parallel()
	f := &planfile.File{Name: "r", Settings: plans.DefaultSettings()}
	f.Traffic.Command = []string{"/no/such/thing"}
	found, err := open(t, f).Inspect(t.Context())
	if err != nil || len(found) != 1 || found[0].Level != plans.Blocker {
		t.Errorf("%+v (%v)", found, err)
	}
}
