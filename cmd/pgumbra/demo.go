package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/examples/shop"
	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/upgrade"
)

func (a *app) demoCommand() *cobra.Command {
	var clients, shadow int
	c := &cobra.Command{
		Use:   "demo",
		Short: "Upgrade a small shop under live traffic on a disposable server",
		Long: `Starts a PostgreSQL server, fills a shop with 200,000 orders, lets clients use it,
and upgrades it with the commands an operator would type, while a ledger keeps
every commit that was acknowledged to a client. It goes through the cutover, back
with what clients wrote in the new shop, and forward again; then a second, short
upgrade has a migration that runs behind the fence. Prints what happened and
leaves nothing behind.

--shadow MAJOR upgrades to another server of that PostgreSQL version instead,
with the clients behind a PgBouncer, without the second upgrade; PgBouncer and a server of that
version must be installed (make demo SHADOW=17 sees to it).`,
		Example: `  pgumbra demo
  pgumbra demo --shadow 17`,
		RunE: func(c *cobra.Command, _ []string) error {
			d := &demo{out: os.Stdout, clients: clients, shadow: shadow, json: a.json}
			if a.json {
				d.out = os.Stderr
			}
			return d.run(c.Context())
		},
	}
	c.Flags().IntVar(&shadow, "shadow", 0, "PostgreSQL version of another server for the shadow; 0: in production's database")
	c.Flags().IntVar(&clients, "clients", 8, "clients that use the shop")
	return c
}

// demo is one run of the demo.
type demo struct {
	out     io.Writer
	json    bool
	clients int
	shadow  int    // version of the shadow's server; 0: the same database
	dir     string // plan file and migrations
	stage   *stage
	traffic *shop.Traffic
}

// demoReport is what the demo found out.
type demoReport struct {
	Rows        int64    `json:"rows_copied"`
	Replayed    int64    `json:"changes_replayed"`
	StallMS     float64  `json:"stall_ms"`
	BackMS      float64  `json:"rollback_stall_ms,omitempty"`
	AgainMS     float64  `json:"second_cutover_stall_ms,omitempty"`
	BehindMS    float64  `json:"behind_fence_stall_ms,omitempty"`
	LongestMS   float64  `json:"longest_client_wait_ms"`
	Commits     int      `json:"commits_acknowledged"`
	Failed      int      `json:"transactions_failed"`
	LedgerWrong []string `json:"ledger_wrong"`
	Verified    bool     `json:"verified"`
	Seconds     float64  `json:"seconds"`
}

func (d *demo) run(ctx context.Context) error {
	began := time.Now()
	dir, err := os.MkdirTemp("", "pgumbra-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	d.dir = dir
	if d.shadow == 0 {
		fmt.Fprintln(d.out, "Starting a PostgreSQL server and filling a shop …")
	} else {
		fmt.Fprintln(d.out, "Starting two PostgreSQL servers and a PgBouncer, and filling a shop …")
	}
	if d.stage, err = newStage(ctx, d.shadow); err != nil {
		return err
	}
	defer d.stage.close(ctx)
	if err := d.fill(ctx); err != nil {
		return err
	}
	var report demoReport
	if err := d.underTraffic(ctx, &report); err != nil {
		return err
	}
	report.Seconds = time.Since(began).Seconds()
	return d.print(&report)
}

func (d *demo) fill(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, d.stage.production)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if err := shop.Load(ctx, conn, 1); err != nil {
		return err
	}
	migrations := filepath.Join(d.dir, "migrations")
	if err := os.Mkdir(migrations, 0o755); err != nil {
		return err
	}
	return shop.WriteMigrations(migrations)
}

// underTraffic types the commands while clients work, and stops the clients
// once the new shop has served them for a while.
func (d *demo) underTraffic(ctx context.Context, report *demoReport) error {
	traffic, stop := context.WithCancel(ctx)
	defer stop()
	d.traffic = &shop.Traffic{DSN: d.stage.clients, Clients: d.clients, Seed: 1, Think: 15 * time.Millisecond}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.traffic.Run(traffic) })
	group.Go(func() error {
		defer stop()
		return d.commands(ctx, report)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return d.settle(ctx, report)
}

func (d *demo) commands(ctx context.Context, report *demoReport) error {
	if err := d.init(ctx); err != nil {
		return err
	}
	steps := [][]string{
		{"plan"},
		{"run", "--until", "following"},
		{"verify"},
		{"cutover"},
	}
	for _, step := range steps {
		if step[0] == "cutover" { // from then on status counts what goes back
			s, err := d.status(ctx)
			if err != nil {
				return err
			}
			for _, t := range s.Tables {
				report.Replayed += t.RowsReplayed
			}
		}
		if err := d.command(ctx, step...); err != nil {
			return err
		}
	}
	s, err := d.status(ctx)
	if err != nil {
		return err
	}
	report.read(s)
	if err := d.lets(ctx, "The clients work on, in the new shop, for three seconds …", 3*time.Second); err != nil {
		return err
	}
	if err := d.thereAgain(ctx, report); err != nil || d.shadow != 0 {
		return err
	}
	return d.behindTheFence(ctx, report)
}

// lets clients work for a while.
func (d *demo) lets(ctx context.Context, say string, while time.Duration) error {
	fmt.Fprintln(d.out, "\n"+say)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(while):
		return nil
	}
}

// thereAgain goes back to the old shop with what was written in the new one, and
// forward a second time.
func (d *demo) thereAgain(ctx context.Context, report *demoReport) error {
	if err := d.command(ctx, "rollback", "--follow"); err != nil {
		return err
	}
	if err := d.lets(ctx, "They work on, in the old shop, for two seconds …", 2*time.Second); err != nil {
		return err
	}
	if err := d.command(ctx, "cutover"); err != nil {
		return err
	}
	s, err := d.status(ctx)
	if err != nil {
		return err
	}
	report.BackMS, report.AgainMS = stallOf(s.Rollback), stallOf(s.Cutover)
	return nil
}

// behindTheFence ends the first upgrade and makes a second one, of a migration that
// runs for real, behind the fence.
func (d *demo) behindTheFence(ctx context.Context, report *demoReport) error {
	if err := d.command(ctx, "finish", "--drop-old", "--purge"); err != nil {
		return err
	}
	fmt.Fprintln(d.out, "\nA second upgrade: its migration ranks all customers, which no single row tells, and runs behind the fence …")
	if err := errors.Join(os.Remove(filepath.Join(d.dir, "pgumbra.yaml")), shop.WriteLater(filepath.Join(d.dir, "migrations"))); err != nil {
		return err
	}
	if err := d.init(ctx); err != nil {
		return err
	}
	if err := d.command(ctx, "run", "--cutover"); err != nil {
		return err
	}
	s, err := d.status(ctx)
	if err != nil {
		return err
	}
	report.BehindMS = stallOf(s.Cutover)
	return nil
}

func stallOf(swap json.RawMessage) float64 {
	o, _ := readOutcome(swap)
	return o.StallMS
}

// init writes the plan file. How clients reach the servers nobody but the
// operator knows.
func (d *demo) init(ctx context.Context) error {
	args := []string{"init", "--production", d.stage.production, "--schema", "shop", "--migrations", "migrations"}
	if d.stage.shadow != "" {
		args = append(args, "--shadow", d.stage.shadow)
	}
	if err := d.command(ctx, args...); err != nil || d.stage.planLines == "" {
		return err
	}
	file, err := os.OpenFile(filepath.Join(d.dir, "pgumbra.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	fmt.Fprint(d.out, "\n$ cat >> pgumbra.yaml", d.stage.planLines)
	_, err = file.WriteString(d.stage.planLines)
	return errors.Join(err, file.Close())
}

// command runs pgumbra itself, as an operator does.
func (d *demo) command(ctx context.Context, args ...string) error {
	fmt.Fprintf(d.out, "\n$ pgumbra %s\n", strings.Join(args, " "))
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, exe, append(args, "--log-level", "warn")...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.dir, d.out, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("pgumbra %s: %w", args[0], err)
	}
	return nil
}

func (d *demo) status(ctx context.Context) (*upgrade.Status, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe, "status", "--json")
	cmd.Dir = d.dir
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("pgumbra status: %w", err)
	}
	s := new(upgrade.Status)
	return s, json.Unmarshal(out, s)
}

func (r *demoReport) read(s *upgrade.Status) {
	r.Verified = true
	for _, t := range s.Tables {
		r.Rows += t.RowsCopied
	}
	r.StallMS = stallOf(s.Cutover)
}

// settle asks the new shop for every entry of the ledger, then finishes.
func (d *demo) settle(ctx context.Context, report *demoReport) error {
	ctx = context.WithoutCancel(ctx)
	conn, err := pgx.Connect(ctx, d.stage.served)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	l := &d.traffic.Ledger
	if report.LedgerWrong, err = l.Check(ctx, conn); err != nil {
		return err
	}
	report.Commits, report.Failed = l.Commits, len(l.Failures)
	report.LongestMS = float64(l.Longest.Microseconds()) / 1000
	for i, f := range l.Failures {
		if i < 5 {
			fmt.Fprintln(d.out, "a client saw:", f)
		}
	}
	return d.command(ctx, "finish", "--drop-old", "--purge")
}

func (d *demo) print(r *demoReport) error {
	if d.json {
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
	} else {
		verified := "every table equal under live writes before the cutover"
		fmt.Fprintf(d.out, `
Report
  rows copied              %s
  changes replayed         %s
  stall                    %s
  longest client wait      %.1f ms
  commits acknowledged     %s
  transactions failed      %d
  ledger                   %s
  verification             %s
  all of it                %.0f s
`, human.Count(r.Rows), human.Count(r.Replayed), r.stalls(), r.LongestMS, human.Count(int64(r.Commits)),
			r.Failed, ledgerText(r.LedgerWrong), verified, r.Seconds)
	}
	if len(r.LedgerWrong) > 0 || r.Failed > 0 {
		return fmt.Errorf("the demo found %d wrong ledger entries and %d failed transactions", len(r.LedgerWrong), r.Failed)
	}
	return nil
}

func (r *demoReport) stalls() string {
	text := fmt.Sprintf("%.1f ms; rollback %.1f ms, second cutover %.1f ms", r.StallMS, r.BackMS, r.AgainMS)
	if r.BehindMS > 0 {
		text += fmt.Sprintf("; with a migration behind the fence %.1f ms", r.BehindMS)
	}
	return text
}

func ledgerText(wrong []string) string {
	if len(wrong) == 0 {
		return "no commit lost, none doubled"
	}
	return fmt.Sprintf("%d WRONG: %s", len(wrong), strings.Join(wrong[:min(3, len(wrong))], "; "))
}
