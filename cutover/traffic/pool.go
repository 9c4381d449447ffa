package traffic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// pool is one PgBouncer whose database entry leads clients to production.
type pool struct {
	plan     *planfile.File
	admin    string // DSN
	at       string // host:port, for people
	database string // the entry's name
	config   string // path of the main file
	target   Address
	files    *sync.Mutex // several PgBouncers may read one file
	may      func(context.Context, Action) error
	log      *slog.Logger

	pausing string // name of the session that sent the last PAUSE
}

func newPool(f *planfile.File, settings planfile.PgBouncerFile, shadow Address, files *sync.Mutex, log *slog.Logger) (*pool, error) {
	target, err := parseTarget(settings.Target, shadow)
	if err != nil {
		return nil, err
	}
	if c, err := pgconn.ParseConfig(f.Shadow.DSN); err == nil && settings.Target == "" && len(pg.Hosts(c)) > 1 {
		return nil, errors.New("shadow.dsn names several hosts, and PgBouncer would be led to the first: set traffic.pgbouncer.target to the primary, as in host=db2 port=5432")
	}
	c, err := consoleConfig(settings.AdminDSN)
	if err != nil {
		return nil, fmt.Errorf("traffic.pgbouncer.admin_dsn: %w", err)
	}
	if settings.Database == "" || settings.Config == "" {
		return nil, errors.New("traffic.pgbouncer needs database, the entry's name, and config, the path of pgbouncer.ini")
	}
	at := hostPort(c.Host, c.Port)
	return &pool{plan: f, admin: settings.AdminDSN, at: at, database: settings.Database, config: settings.Config,
		target: target, files: files, log: log.With("pgbouncer", at, "database", settings.Database)}, nil
}

// command is a console command on the database. The console quotes names as
// SQL does.
func (p *pool) command(verb string) string { return verb + " " + pg.Ident(p.database) }

func (p *pool) steps() []string {
	at := "PgBouncer " + p.at + ": "
	return []string{
		at + p.command("PAUSE"),
		"entry " + p.database + " in " + p.config + ": " + p.target.String(),
		at + "RELOAD",
		at + "SHOW DATABASES",
		at + p.command("RECONNECT"),
		at + p.command("RESUME"),
	}
}

func (p *pool) dial(ctx context.Context) (*console, error) {
	c, err := dial(ctx, p.admin)
	if err != nil {
		return nil, fmt.Errorf("PgBouncer's console: %w", err)
	}
	return c, nil
}

// state is what the console says of the database.
type state struct {
	known    bool // PgBouncer has the database; one behind the entry * only after its first client
	leads    Address
	paused   bool
	disabled bool
}

func (p *pool) state(ctx context.Context, c *console) (state, error) {
	rows, err := c.show(ctx, "DATABASES")
	if err != nil {
		return state{}, err
	}
	for _, r := range rows {
		if r["name"] == p.database {
			port, _ := strconv.Atoi(r["port"])
			return state{known: true, leads: Address{Host: r["host"], Port: port, Database: r["database"]},
				paused: r["paused"] == "1", disabled: r["disabled"] == "1"}, nil
		}
	}
	return state{}, nil
}

// pause sends PAUSE and then looks for itself whether the pools are idle. After
// an error clients go on.
func (p *pool) pause(ctx context.Context) error {
	c, err := p.dial(ctx)
	if err != nil {
		return err // nothing was sent
	}
	if err := p.may(ctx, Pause); err != nil {
		c.close()
		return err
	}
	p.pausing = c.name
	err = p.hold(ctx, c)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("hold clients of %s at PgBouncer %s: %w%s", p.database, p.at, ctx.Err(), p.open(ctx))
	}
	c.close()
	if err != nil {
		return errors.Join(err, p.resume(ctx))
	}
	return nil
}

func (p *pool) hold(ctx context.Context, c *console) error {
	err := c.do(ctx, p.command("PAUSE"), "PAUSE")
	var early *wrongAnswer
	if err != nil && !errors.As(err, &early) {
		return err
	}
	return poll(ctx, 5*time.Millisecond, func() (bool, error) { return p.idle(ctx, c) })
}

// idle reports that clients are held and none has a transaction. An error if
// they are not held: PgBouncer was started again, or somebody resumed.
func (p *pool) idle(ctx context.Context, c *console) (bool, error) {
	now, err := p.state(ctx, c)
	if err != nil {
		return false, err
	}
	if !now.paused {
		return false, fmt.Errorf("database %s at PgBouncer %s: %w", p.database, p.at, ErrNotPaused)
	}
	busy, err := p.busy(ctx, c)
	return busy == 0, err
}

// busy counts the server sessions that the database's pools have in use.
func (p *pool) busy(ctx context.Context, c *console) (int, error) {
	pools, err := c.show(ctx, "POOLS")
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, r := range pools {
		if r["database"] != p.database {
			continue
		}
		for _, column := range []string{"sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login"} {
			n, _ := strconv.Atoi(r[column])
			sum += n
		}
	}
	return sum, nil
}

// open tells, for a message, what a PAUSE waited for.
func (p *pool) open(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	c, err := p.dial(ctx)
	if err != nil {
		return ""
	}
	defer c.close()
	if busy, err := p.busy(ctx, c); err == nil && busy > 0 {
		return fmt.Sprintf(" (open transactions: %d)", busy)
	}
	return ""
}

// resumeLimit is for a PgBouncer that is being started again to answer.
const resumeLimit = 10 * time.Second

// resume is done even when ctx is over. It also waits until PgBouncer has
// forgotten the session of an unfinished PAUSE: one still on its way would hold
// clients afterwards.
func (p *pool) resume(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resumeLimit)
	defer cancel()
	var last error
	err := poll(ctx, 20*time.Millisecond, func() (bool, error) {
		var done bool
		done, last = p.tryResume(ctx)
		if refused(last) {
			return false, last
		}
		return done, nil
	})
	if err != nil && !refused(err) {
		return fmt.Errorf("%w: clients of %s may be held at PgBouncer %s; type on its console: %s; (%w)",
			ErrUnknown, p.database, p.at, p.command("RESUME"), cmp.Or(last, err))
	}
	return err
}

func (p *pool) tryResume(ctx context.Context) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	c, err := p.dial(ctx)
	if err != nil {
		return false, err
	}
	defer c.close()
	waiting, err := p.pauseUnderway(ctx, c)
	if err != nil {
		return false, err
	}
	now, err := p.state(ctx, c)
	if err != nil {
		return false, err
	}
	if now.paused {
		err = p.order(ctx, c, Resume, p.command("RESUME"), "RESUME")
	}
	return err == nil && !waiting, err
}

// pauseUnderway looks for the session that sent the last PAUSE. Before 1.18,
// SHOW CLIENTS does not tell sessions apart.
func (p *pool) pauseUnderway(ctx context.Context, c *console) (bool, error) {
	clients, err := c.show(ctx, "CLIENTS")
	if err != nil {
		return false, err
	}
	for _, r := range clients {
		if p.pausing != "" && r["application_name"] == p.pausing {
			return true, nil
		}
	}
	return false, nil
}

func (p *pool) side(ctx context.Context) (Side, error) {
	side := Side{Leads: Unknown, File: Unknown}
	_, e, err := p.entry()
	if err != nil {
		return side, err
	}
	if side.File, err = p.place(e, e.leads); err != nil {
		return side, err
	}
	c, err := p.dial(ctx)
	if err != nil {
		return side, err
	}
	defer c.close()
	now, err := p.state(ctx, c)
	if err != nil {
		return side, err
	}
	side.Paused = now.paused
	side.Leads, err = p.place(e, now.leads)
	return side, err
}

// order sends a command that changes something.
func (p *pool) order(ctx context.Context, c *console, d Action, command, tag string) error {
	if err := p.may(ctx, d); err != nil {
		return fmt.Errorf("%s at PgBouncer %s: %w", command, p.at, err)
	}
	return c.do(ctx, command, tag)
}

// poll calls done at once and then every so often, until it says true or an
// error, or ctx ends.
func poll(ctx context.Context, every time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
