package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"strings"

	"github.com/golang-migrate/migrate/v4/source"

	"github.com/pgumbra/pgumbra/plans"
)

// VersionAt is the newest migration of a folder as a git revision has it: where
// production is once that revision is deployed. An error is a [*plans.FileError].
func VersionAt(ctx context.Context, folder, revision string) (int64, error) {
	fail := func(message, fix string) error {
		return &plans.FileError{File: folder, Message: "--git-base " + revision + ": " + message, Fix: fix}
	}
	out, err := exec.CommandContext(ctx, "git", "-C", folder, "ls-tree", "--name-only", revision, "--", "./").Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return 0, fail(strings.TrimSpace(string(exit.Stderr)), fetching(revision))
	}
	if err != nil {
		return 0, fail(err.Error(), "install git, which is asked for that revision")
	}
	var newest int64
	for line := range strings.Lines(string(out)) {
		m, err := source.DefaultParse(path.Base(strings.TrimSpace(line)))
		if err == nil && m.Direction == source.Up {
			newest = max(newest, int64(m.Version))
		}
	}
	if newest == 0 {
		return 0, fail(fmt.Sprintf("it has no migrations in %s", folder), "name a revision that has some; of the first ones migrations.from says which production has")
	}
	return newest, nil
}

// fetching says how a revision gets there that git does not know. CI clones one revision alone, as
// a rule.
func fetching(revision string) string {
	if branch, remote := strings.CutPrefix(revision, "origin/"); remote {
		return "if that branch is there, type: git fetch origin " + branch + ":refs/remotes/" + revision + " (a shallow clone of CI has no other branch)"
	}
	return "name one that git log shows; what is on the server alone is not there before git fetch"
}
