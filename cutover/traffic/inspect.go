package traffic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// inspection collects what is wrong with one PgBouncer.
type inspection struct {
	*pool
	console  *console
	settings map[string]string // in force
	found    findings
}

func (p *pool) inspect(ctx context.Context) (findings, error) {
	i := &inspection{pool: p}
	e, known := i.file()
	c, err := p.dial(ctx)
	if err != nil {
		i.unreachable(err)
		return i.found, ctx.Err()
	}
	defer c.close()
	i.console = c
	if i.settings, err = c.settings(ctx); err != nil {
		return i.found, err
	}
	i.sameFile()
	i.timeouts()
	i.sharedPort()
	for _, look := range []func(context.Context) error{i.rights, i.poolModes, i.users} {
		if err := look(ctx); err != nil {
			return i.found, err
		}
	}
	if known {
		err = errors.Join(i.inForce(ctx, e), i.places(ctx, e))
	}
	return i.found, err
}

func (i *inspection) note(level plans.Level, code, message, fix string) {
	i.found = append(i.found, plans.Finding{Level: level, Code: "pgbouncer-" + code, Object: i.database + " at " + i.at,
		Where: i.plan.Where("traffic.pgbouncer"), Message: message, Fix: fix})
}

func (i *inspection) block(code, message, fix string) { i.note(plans.Blocker, code, message, fix) }

// unreachable tells a refused login from a PgBouncer that does not answer.
func (i *inspection) unreachable(err error) {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		i.block("login", "the admin console refuses the login: "+refused.Message,
			"traffic.pgbouncer.admin_dsn needs a user that is in admin_users, with its password")
		return
	}
	i.block("unreachable", pg.Redact(err.Error()), "check traffic.pgbouncer.admin_dsn; it leads to PgBouncer itself")
}

// rights: a stats user may look, but neither pause nor reload. Only an
// administrator is told that this database does not exist.
func (i *inspection) rights(ctx context.Context) error {
	_, err := i.console.send(ctx, `RESUME "pgumbra_asks_for_rights"`)
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return err
	}
	if strings.Contains(refused.Message, "admin access needed") {
		i.block("rights", "the user of traffic.pgbouncer.admin_dsn may look at the console, but not PAUSE and RELOAD",
			"add it to admin_users, or use one that is there")
	}
	return nil
}

// file checks what can be seen without PgBouncer.
func (i *inspection) file() (e entry, ok bool) {
	c, err := readConfig(i.config)
	var bad *syntaxError
	switch {
	case errors.As(err, &bad):
		i.block("config", "PgBouncer could not load its configuration again: "+bad.Error(), "correct the line, then RELOAD")
		return entry{}, false
	case err != nil:
		i.block("config", err.Error(), "pgumbra rewrites the entry, so run it where PgBouncer's configuration is, as a user who may; "+
			"or lead clients over by traffic.command")
		return entry{}, false
	}
	if e, ok = c.find(i.database); !ok {
		i.missing(c)
		return e, false
	}
	if err := replaceable(e.path); err != nil {
		i.block("config-write", fmt.Sprintf("%s cannot be replaced: %s", e.path, err),
			"run pgumbra as root or as the file's owner, with write access to its folder; or lead clients over by traffic.command")
	}
	return e, true
}

// missing: an entry of ours in place of the fallback could not be taken out
// again, for PgBouncer breaks off the clients of an entry that goes.
func (i *inspection) missing(c *config) {
	if _, ok := c.find("*"); ok {
		i.block("fallback", "database "+i.database+" is served by the fallback entry * of "+i.config,
			"write an entry of its own, "+i.database+" = ... with what * says, and RELOAD: clients notice nothing")
		return
	}
	i.block("entry", i.config+" has no entry "+i.database+" in [databases]", "correct traffic.pgbouncer.database or config")
}

func (i *inspection) sameFile() {
	running := i.settings["conffile"]
	ours, err := os.Stat(i.config)
	theirs, err2 := os.Stat(running)
	if running == "" || err != nil || err2 == nil && os.SameFile(ours, theirs) {
		return
	}
	i.note(plans.Warning, "config-other", fmt.Sprintf("PgBouncer says that its configuration is %s, the plan file says %s", running, i.config),
		"make sure that both are one file seen from two places, and that the folder, not the file, is mounted: a replaced file must be seen")
}

// takeBackTime is what it takes beyond max_stall, at the worst, until clients go
// on: the switch is taken back, PgBouncer loads its file again.
const takeBackTime = time.Second

// timeouts end clients while they wait.
func (i *inspection) timeouts() {
	stall := i.plan.Cutover.MaxStall + takeBackTime
	for _, name := range []string{"query_wait_timeout", "query_timeout", "client_login_timeout"} {
		seconds, err := strconv.ParseFloat(i.settings[name], 64)
		if err != nil || seconds == 0 || time.Duration(seconds*float64(time.Second)) > stall {
			continue
		}
		i.block("wait-timeout", fmt.Sprintf("%s is %s s, and cutover.max_stall %s, with %s more to let clients go: clients that wait for the switch would be broken off",
			name, i.settings[name], i.plan.Cutover.MaxStall, takeBackTime), "raise "+name+" in [pgbouncer] (0: no limit) and RELOAD, or lower cutover.max_stall")
	}
}

// sharedPort: of several processes on one port, any may take a console session.
func (i *inspection) sharedPort() {
	c, err := consoleConfig(i.admin)
	if i.settings["so_reuseport"] != "1" || err != nil {
		return
	}
	if network, _ := pgconn.NetworkAddress(c.Host, c.Port); network == "unix" {
		return
	}
	i.block("shared-port", "so_reuseport is on: several PgBouncers may share the port, and each must be switched",
		"list each of them in traffic.pgbouncer, by its own socket folder: admin_dsn: host=/var/run/pgbouncer1 ...")
}

// poolModes: in session mode PAUSE waits until clients leave.
func (i *inspection) poolModes(ctx context.Context) error {
	rows, err := i.console.show(ctx, "DATABASES")
	if err != nil {
		return err
	}
	mode := i.settings["pool_mode"]
	for _, r := range rows {
		if r["name"] == i.database && r["pool_mode"] != "" {
			mode = r["pool_mode"]
		}
	}
	if mode == "session" {
		i.block("pool-mode", "pool_mode is session: PAUSE would wait until the last client leaves",
			"set pool_mode = transaction for the entry or in [pgbouncer], if the clients can do with it, and RELOAD")
	}
	return nil
}

// users have a pool mode of their own, which comes first.
func (i *inspection) users(ctx context.Context) error {
	pools, err := i.console.show(ctx, "POOLS")
	if err != nil {
		return err
	}
	users, err := i.console.show(ctx, "USERS")
	if err != nil {
		return err
	}
	here := map[string]bool{}
	for _, r := range pools {
		here[r["user"]] = here[r["user"]] || r["database"] == i.database
	}
	for _, r := range users {
		if r["pool_mode"] != "session" {
			continue
		}
		level := plans.Warning // perhaps a user of other databases
		if here[r["name"]] {
			level = plans.Blocker
		}
		i.note(level, "user-pool-mode", "user "+r["name"]+" has pool_mode = session: while it is connected, PAUSE waits",
			"take pool_mode from its line in [users] and RELOAD, or keep it away during the cutover")
	}
	return nil
}

// inForce compares file and console.
func (i *inspection) inForce(ctx context.Context, e entry) error {
	now, err := i.state(ctx, i.console)
	if err != nil {
		return err
	}
	if !now.known || now.leads != e.leads {
		i.block("pending", fmt.Sprintf("%s:%d says %s, PgBouncer leads to %s", e.path, e.line, e.leads, leadsTo(now)),
			"RELOAD, so that what is written is in force before the switch")
	}
	if now.paused {
		i.block("paused", "the database is paused", `find out by whom; on the console: `+i.command("RESUME"))
	}
	if now.disabled {
		i.block("disabled", "the database is disabled", `find out by whom; on the console: `+i.command("ENABLE"))
	}
	return nil
}

func leadsTo(s state) string {
	if !s.known {
		return "nothing of that name"
	}
	return s.leads.String()
}

// places looks where the entry leads and where the switch would lead, as far
// as both can be reached from here.
func (i *inspection) places(ctx context.Context, e entry) error {
	side, err := i.place(e, e.leads)
	if err != nil {
		i.block("kept", err.Error(), "make "+i.kept(e.path)+" readable")
	}
	if side == Production {
		i.others(ctx, e)
		i.sameDatabase(ctx, i.plan.Production.DSN, e.leads, "production", "correct traffic.pgbouncer.database, or production.dsn")
	}
	i.sameDatabase(ctx, i.plan.Shadow.DSN, i.target, "the shadow", "correct traffic.pgbouncer.target")
	if side != Production {
		return nil
	}
	return i.logins(ctx, e)
}

func (i *inspection) sameDatabase(ctx context.Context, dsn string, a Address, what, fix string) {
	wanted, err := identify(ctx, dsn, nil)
	if err != nil {
		return // said by who connects to it
	}
	if a.Host == "" {
		a.Host = i.settings["unix_socket_dir"]
	}
	a.Host, _, _ = strings.Cut(a.Host, ",")
	found, err := identify(ctx, dsn, &a)
	switch {
	case err != nil:
		i.note(plans.Warning, "not-checked", fmt.Sprintf("whether %s is %s cannot be checked from here: %s", a, what, pg.Redact(err.Error())),
			"make sure that PgBouncer reaches it, and that its users may log in there")
	case found != wanted:
		i.block("elsewhere", fmt.Sprintf("%s is not the database of %s", a, what), fix)
	}
}

// hostPort is for messages.
func hostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}
