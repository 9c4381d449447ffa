// Command pgumbra upgrades live PostgreSQL databases through a shadow.
//
// This package is the only place that talks to people: commands, progress,
// exit codes, what to type next. Each command has a file of its own; what they
// do is in package upgrade.
//
// It is one package, though a large one, since it is one program: its commands share
// flags, screen, exit codes and the words for where a run stands, and nothing imports it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/agnivade/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/plans/syntax/parser"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

// run is main with an exit code. The first interrupt cancels the context: work
// under way rolls back or is recorded, state is kept. The second one ends the
// process at once; the next run finds out what happened.
func run(args []string) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	a := &app{screen: &screen{file: os.Stderr}}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		fmt.Fprintln(a.screen, "pgumbra: stopping, "+kept(args)+"; once more to stop at once")
		cancel(errInterrupted)
		<-signals
		os.Exit(exitInterrupted)
	}()
	if exe, err := os.Executable(); err == nil {
		parser.Subprocess([]string{exe, parseCommand})
	}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && !errors.Is(err, cutover.ErrUnknown) && errors.Is(context.Cause(ctx), errInterrupted) {
		err = errInterrupted
	}
	return a.report(err)
}

var errInterrupted = errors.New("interrupted")

// kept is what becomes of what a command has done that is stopped.
func kept(args []string) string {
	for _, arg := range args {
		switch arg {
		case "demo", "rehearse", "plan", "init":
			return "nothing is left behind"
		case "run", "cutover", "rollback", "abort", "finish":
			return "state is kept"
		}
	}
	return "nothing is changed"
}

// app is what all commands share: the global flags and what they lead to. Each command
// is a method or two, in a file of its own.
type app struct {
	planPath string
	json     bool
	logLevel string
	logForm  string
	set      []string
	command  string // its name, once it is known
	database string // of a group, that a command is to look at

	log    *slog.Logger
	screen *screen
	file   *planfile.File // once a command has loaded it
	ends   bool           // the command ends once a run is ready, or has gone through its cutover
}

// exitCodes close each command's help; the topic says more.
const exitCodes = `
Exit codes: 0 done, 1 error, 2 usage, 3 blockers or differences, 4 led by another
process, 5 outcome unknown, 6 not possible now, 130 interrupted: see pgumbra help
exit-codes`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "pgumbra",
		Short: "Upgrade a live PostgreSQL database through a shadow, without downtime",
		Long: `pgumbra builds an upgraded shadow of a live PostgreSQL database, fills it while
production works, keeps it current, proves it equal, and puts it in production's
place in one short, measured stall.

In order: init, plan, run, cutover, finish. Before the cutover, abort undoes all;
after it, until finish, rollback goes back with every write made since.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return unknownCommand(c, args[0])
		},
		Version: versionText(),
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			a.command = c.Name()
			return a.setUpLog()
		},
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&a.planPath, "plan", "p", "pgumbra.yaml", "plan `FILE`")
	flags.BoolVar(&a.json, "json", false, "print JSON on stdout")
	flags.StringVar(&a.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringArrayVar(&a.set, "set", nil, "set a key of the plan file, `KEY=VALUE` (repeatable), over file and environment")
	flags.StringVar(&a.logForm, "log-format", "", "text or json; default: plain lines on a terminal, else text")
	flags.StringVar(&a.database, "database", "", "look at the database `NAME` of a plan file that lists several")
	root.SetFlagErrorFunc(a.flagError)
	root.SetVersionTemplate("pgumbra {{.Version}}\n")
	root.AddCommand(a.initCommand(), a.planCommand(), a.runCommand(), a.statusCommand(), a.verifyCommand(),
		a.cutoverCommand(), a.rollbackCommand(), a.pauseCommand(), a.resumeCommand(), a.workersCommand(), a.abortCommand(), a.finishCommand(), a.historyCommand(), a.reportCommand(), a.rehearseCommand(),
		a.demoCommand(), a.versionCommand(), parseSQLCommand())
	root.AddCommand(topics()...)
	root.SetHelpCommand(a.helpAbout(root))
	// Two blanks between a topic's name and what it is about, as between others: see usageEntry.
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{rpad .CommandPath .CommandPathPadding}} {{.Short}}", "{{rpad .CommandPath .CommandPathPadding}}  {{.Short}}", 1))
	root.SuggestionsMinimumDistance = 2
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetHelpFunc(help)
	complete(root, "log-level", "debug", "info", "warn", "error")
	complete(root, "log-format", "text", "json")
	for _, c := range root.Commands() {
		if c.RunE == nil { // a topic
			continue
		}
		c.Long = strings.TrimSpace(c.Long) + "\n" + exitCodes
		if c.Args == nil {
			c.Args = a.noArguments
		}
	}
	return root
}

// flagError names the flag that was meant.
func (a *app) flagError(c *cobra.Command, err error) error {
	if c.HasParent() {
		a.command = c.Name()
	}
	_, wrong, found := strings.Cut(err.Error(), "unknown flag: --")
	if !found {
		return &usageError{err}
	}
	near, distance := "", min(3, len(wrong)/2+1) // of a short word nearly all is another one
	c.Flags().VisitAll(func(f *pflag.Flag) {
		d := levenshtein.ComputeDistance(wrong, f.Name)
		if len(wrong) >= 3 && strings.HasPrefix(f.Name, wrong) { // --drop for --drop-old
			d = 1
		}
		if d < distance && !f.Hidden {
			near, distance = f.Name, d
		}
	})
	if near == "" {
		return &usageError{err}
	}
	return &usageError{fmt.Errorf("%w; did you mean --%s?", err, near)}
}

func unknownCommand(root *cobra.Command, name string) error {
	text := fmt.Sprintf("there is no command or topic %q", name)
	if near := root.SuggestionsFor(name); len(near) > 0 {
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return &usageError{errors.New(text)}
}

func (a *app) noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		a.command = c.Name()
		return &usageError{fmt.Errorf("pgumbra %s takes no arguments, got %q", c.Name(), args[0])}
	}
	return nil
}

func (a *app) setUpLog() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
		return &usageError{fmt.Errorf("--log-level %q: use debug, info, warn or error", a.logLevel)}
	}
	options := &slog.HandlerOptions{Level: level}
	switch {
	case a.logForm == "json":
		a.log = slog.New(slog.NewJSONHandler(a.screen, options))
	case a.logForm == "text", a.logForm == "" && !term.IsTerminal(int(os.Stderr.Fd())):
		a.log = slog.New(slog.NewTextHandler(a.screen, options))
	case a.logForm == "":
		a.log = slog.New(&plainLog{out: a.screen, level: level})
	default:
		return &usageError{fmt.Errorf("--log-format %q: use text or json", a.logForm)}
	}
	return nil
}

// load reads the plan file of one database; of several, that which --database names.
func (a *app) load() (*planfile.File, error) {
	file, err := a.loadAny()
	if err != nil || !file.Grouped() {
		return file, err
	}
	return a.chosen(file)
}

// loadAny reads the plan file with environment and flags laid over it.
func (a *app) loadAny() (*planfile.File, error) {
	over := map[string]any{}
	for _, s := range a.set {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, &usageError{fmt.Errorf("--set %q: write KEY=VALUE", s)}
		}
		over[key] = value
	}
	file, err := planfile.Load(a.planPath, over)
	if err != nil {
		return nil, err
	}
	if a.database != "" && !file.Grouped() {
		return nil, &usageError{fmt.Errorf("--database %q: the plan file is of one database", a.database)}
	}
	a.file = file
	return file, nil
}
