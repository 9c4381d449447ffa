package traffic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strconv"
	"strings"
	"time"

	program "github.com/pgumbra/pgumbra/internal/command"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// command is a program of the user's that leads clients over; see the package
// comment for what it is told.
type command struct {
	run, member        string // member: of a group, the database's name
	argv               []string
	production, shadow Address
	may                func(context.Context, Action) error
	log                *slog.Logger
}

// commandLimit is how long the command may run; writers wait meanwhile. The
// caller's deadline comes first.
const commandLimit = 30 * time.Second

func (c *command) inspect(context.Context) (findings, error) {
	why := c.missing()
	if why == "" {
		return nil, nil
	}
	return findings{{Level: plans.Blocker, Code: "traffic-command", Object: c.argv[0],
		Message: "traffic.command cannot be started: " + why, Fix: "install it, or write its full path"}}, nil
}

// missing is why the command cannot be started, or nothing.
func (c *command) missing() string {
	if _, err := exec.LookPath(c.argv[0]); err != nil {
		return err.Error()
	}
	return ""
}

func (c *command) steps() []string {
	words := make([]string, len(c.argv))
	for i, word := range c.argv {
		words[i] = strconv.Quote(word)
	}
	return []string{"run " + strings.Join(words, " ") + " with PGUMBRA_STEP=switch PGUMBRA_TO_HOST=" + c.shadow.Host}
}

func (c *command) pause(context.Context) error  { return nil }
func (c *command) resume(context.Context) error { return nil }
func (c *command) finish() error                { return nil }

// side cannot be known of a program.
func (c *command) side(context.Context) (Side, error) {
	return Side{}, nil
}

// lead runs the command. What a failed one did is not known, so it is told to
// lead back.
func (c *command) lead(ctx context.Context, to Place) error {
	err := c.execute(ctx, to)
	if err == nil || refused(err) {
		return err
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), commandLimit)
	defer cancel()
	back := c.execute(undo, to.other())
	if refused(back) {
		return errors.Join(err, back)
	}
	if back != nil {
		return fmt.Errorf("%w: %w; then: %w", ErrUnknown, err, back)
	}
	return err
}

func (c *command) execute(ctx context.Context, to Place) error {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	if err := c.may(ctx, Switch); err != nil {
		return err
	}
	lines, err := program.Run(ctx, c.argv, c.environment(to))
	said := c.report(to, lines)
	if err != nil {
		return fmt.Errorf("traffic.command %s, to lead clients to the %s: %w%s", c.argv[0], to, err, said)
	}
	return nil
}

func (c *command) environment(to Place) []string {
	step, from, dest := "switch", c.production, c.shadow
	if to == Production {
		step, from, dest = "back", c.shadow, c.production
	}
	env := []string{"PGUMBRA_RUN=" + c.run, "PGUMBRA_STEP=" + step}
	if c.member != "" {
		env = append(env, "PGUMBRA_DATABASE="+c.member)
	}
	for _, side := range []struct {
		name string
		Address
	}{{"FROM", from}, {"TO", dest}} {
		env = append(env, "PGUMBRA_"+side.name+"_HOST="+side.Host, "PGUMBRA_"+side.name+"_PORT="+strconv.Itoa(side.Port),
			"PGUMBRA_"+side.name+"_DBNAME="+side.Database)
	}
	return env
}

// report logs what the command printed, without the passwords of connection
// strings, and gives its last line for an error.
func (c *command) report(to Place, lines []string) string {
	last := ""
	for _, line := range lines {
		line = pg.Redact(line)
		c.log.Info("traffic command", "to", string(to), "line", line)
		last = ": " + line
	}
	return last
}
