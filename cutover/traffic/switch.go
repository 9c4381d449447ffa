package traffic

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// entry reads the configuration and finds the database's own entry in it.
func (p *pool) entry() (*config, entry, error) {
	c, err := readConfig(p.config)
	if err != nil {
		return nil, entry{}, err
	}
	e, ok := c.find(p.database)
	if !ok {
		return c, entry{}, fmt.Errorf("%s has no entry %s in [databases]", p.config, p.database)
	}
	return c, e, nil
}

// kept is where the entry's file is kept as it was before the switch, until the
// run is finished. Each database of a group keeps its own: one that has gone back would
// take the way back away from another one that is still to.
func (p *pool) kept(path string) string {
	if p.plan.Member != "" {
		return path + ".pgumbra-" + p.plan.Name + "-" + p.plan.Member
	}
	return path + ".pgumbra-" + p.plan.Name
}

// before is the entry as it was before the switch; not ok where nothing is
// kept: there was no switch yet.
func (p *pool) before(e entry) (old entry, ok bool, err error) {
	text, err := os.ReadFile(p.kept(e.path))
	if errors.Is(err, os.ErrNotExist) {
		return entry{}, false, nil
	}
	if err != nil {
		return entry{}, false, fmt.Errorf("read the entry as it was: %w", err)
	}
	c, err := readKept(p.kept(e.path), string(text))
	if err != nil {
		return entry{}, false, err
	}
	old, ok = c.find(p.database)
	return old, ok, nil
}

// place is where an address leads. e says in which file the entry stands.
func (p *pool) place(e entry, leads Address) (Place, error) {
	if leads == p.target {
		return Shadow, nil
	}
	old, switched, err := p.before(e)
	if err != nil {
		return Unknown, err
	}
	if switched && leads != old.leads {
		return Remote, nil
	}
	return Production, nil
}

// change is what was done to the entry.
type change struct {
	to       Place
	old, new string // the entry's value
	leads    Address
	path     string
}

// lead rewrites the entry and makes PgBouncer follow it.
func (p *pool) lead(ctx context.Context, to Place) error {
	c, err := p.dial(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	now, err := p.state(ctx, c)
	if err != nil {
		return err
	}
	todo, err := p.plannedChange(to)
	if err != nil {
		return err
	}
	if todo.old == todo.new && now.leads == todo.leads {
		return nil
	}
	if !now.paused {
		return fmt.Errorf("lead %s at PgBouncer %s to %s: %w", p.database, p.at, to, ErrNotPaused)
	}
	if todo, err = p.edit(ctx, to); err != nil {
		return err
	}
	err = p.load(ctx, c, todo.leads)
	if refused(err) { // what is written is its successor's to see to
		return err
	}
	if err != nil {
		return p.takeBack(ctx, todo, fmt.Errorf("lead %s at PgBouncer %s to %s: %w", p.database, p.at, to, err))
	}
	p.log.Info("pgbouncer leads", "to", string(to), "address", todo.leads.String())
	return nil
}

func (p *pool) plannedChange(to Place) (change, error) {
	_, e, err := p.entry()
	if err != nil {
		return change{}, err
	}
	return p.changeOf(e, to)
}

// changeOf is the entry's new value: to production as it was, byte for byte.
func (p *pool) changeOf(e entry, to Place) (change, error) {
	value, err := p.value(e, to)
	if err != nil {
		return change{}, err
	}
	pairs, err := parsePairs(value)
	if err != nil {
		return change{}, err
	}
	return change{to: to, old: e.value, new: value, leads: addressOf(p.database, pairs), path: e.path}, nil
}

func (p *pool) value(e entry, to Place) (string, error) {
	if to == Shadow {
		return redirect(e.value, p.target)
	}
	old, switched, err := p.before(e)
	switch {
	case err != nil:
		return "", err
	case switched:
		return old.value, nil
	case e.leads == p.target:
		return "", fmt.Errorf("%s is gone, so the way back is not known: write the entry %s in %s by hand, then RELOAD",
			p.kept(e.path), p.database, e.path)
	}
	return e.value, nil
}

// edit writes the entry, and before a switch keeps the file as it is.
func (p *pool) edit(ctx context.Context, to Place) (done change, err error) {
	err = p.rewrite(ctx, func(c *config, e entry) (string, error) {
		done, err = p.changeOf(e, to)
		if err != nil || done.old == done.new || to != Shadow {
			return done.new, err
		}
		if err := p.may(ctx, Switch); err != nil {
			return "", err
		}
		return done.new, p.keep(c, e)
	})
	return done, err
}

// rewriteTries is how often a file is read again that others wrote meanwhile: other
// databases of a group, whose entries may stand in the same one, do at the same moment.
const rewriteTries = 20

// rewrite gives the entry another value, starting from the file as it is at
// that moment.
func (p *pool) rewrite(ctx context.Context, value func(*config, entry) (string, error)) error {
	p.files.Lock()
	defer p.files.Unlock()
	for try := 1; ; try++ {
		c, e, err := p.entry()
		if err != nil {
			return err
		}
		text, err := value(c, e)
		if err != nil || text == e.value {
			return err
		}
		err = p.replaceFile(ctx, e.path, c.texts[e.path], c.replace(e, text))
		if !errors.Is(err, errChanged) || try == rewriteTries {
			return err
		}
	}
}

// replaceFile writes a file, if this process still may, and looks once more
// after it: one that stood still in between must not have the last word.
func (p *pool) replaceFile(ctx context.Context, path, before, content string) error {
	if err := p.may(ctx, Switch); err != nil {
		return err
	}
	ours, err := swapFile(path, before, content)
	if err != nil {
		return err
	}
	no := p.may(ctx, Switch)
	now, err := os.Stat(path)
	if no == nil || err != nil || !os.SameFile(ours, now) || !ours.ModTime().Equal(now.ModTime()) { // who wrote after us knew better
		return no
	}
	_, err = swapFile(path, content, before)
	return errors.Join(no, err)
}

// keep keeps the file as it is before the switch. What is kept already may hold
// the old entry of another pool of this run's, so only ours is renewed in it.
func (p *pool) keep(c *config, e entry) error {
	path, text := p.kept(e.path), c.texts[e.path]
	if kept, err := os.ReadFile(path); err == nil {
		old, err := readKept(path, string(kept))
		if e2, ok := old.find(p.database); err == nil && ok {
			text = old.replace(e2, e.value)
		}
	}
	return keepFile(e.path, path, text)
}

// loadLimit: PgBouncer loads while RELOAD waits; what does not show by then
// does not come.
const loadLimit = time.Second

// load makes PgBouncer read its files and believes only what it then does:
// before 1.25 RELOAD succeeds whatever the files are like.
func (p *pool) load(ctx context.Context, c *console, want Address) error {
	before, err := c.settings(ctx)
	if err != nil {
		return err
	}
	if err := p.order(ctx, c, Switch, "RELOAD", "RELOAD"); err != nil {
		return err
	}
	if err := p.follows(ctx, c, want); err != nil {
		return err
	}
	after, err := c.settings(ctx)
	if err != nil {
		return err
	}
	if err := reloadedAs(before, after); err != nil {
		return err
	}
	// The pools are empty since the PAUSE, unless PgBouncer forgot it: then
	// sessions of the old place end with their transactions.
	return p.order(ctx, c, Switch, p.command("RECONNECT"), "RECONNECT")
}

func (p *pool) follows(ctx context.Context, c *console, want Address) error {
	limited, cancel := context.WithTimeout(ctx, loadLimit)
	defer cancel()
	var last Address
	err := poll(limited, 20*time.Millisecond, func() (bool, error) {
		now, err := p.state(limited, c)
		if err == nil {
			last = now.leads
		}
		return now.leads == want, err
	})
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return fmt.Errorf("PgBouncer did not take the new entry over: SHOW DATABASES still says %s; its log tells why", last)
	}
	return err
}

// takeBack undoes a change that did not come into force. The cause comes back
// alone when production's side is certain again and PgBouncer has held its
// clients all the time, so that none got through in between.
func (p *pool) takeBack(ctx context.Context, done change, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	held, err := p.loadOld(ctx, done)
	switch {
	case refused(err):
		return errors.Join(cause, err)
	case err != nil:
		return fmt.Errorf("%w at PgBouncer %s: %w; then, taking back the entry %s in %s: %w",
			ErrUnknown, p.at, cause, p.database, done.path, err)
	case !held:
		return fmt.Errorf("%w at PgBouncer %s: %w; the entry %s in %s is as it was, but clients were not held in between",
			ErrUnknown, p.at, cause, p.database, done.path)
	}
	return cause
}

func (p *pool) loadOld(ctx context.Context, done change) (held bool, err error) {
	back, err := p.restore(ctx, done)
	if err != nil {
		return false, err
	}
	c, err := p.dial(ctx)
	if err != nil {
		return false, err
	}
	defer c.close()
	if err := p.order(ctx, c, Switch, "RELOAD", "RELOAD"); refused(err) {
		return false, err
	} else if err != nil {
		// Newer versions complain of a file that was bad before us as well:
		// where the entry leads decides.
		p.log.Warn("pgbouncer did not reload", "error", err)
	}
	if err := p.follows(ctx, c, back); err != nil {
		return false, err
	}
	now, err := p.state(ctx, c)
	return now.paused, err
}

// restore writes the entry as it was before done, and says where it leads.
func (p *pool) restore(ctx context.Context, done change) (Address, error) {
	if done.old == done.new { // a process before us had written it
		back, err := p.edit(ctx, done.to.other())
		return back.leads, err
	}
	pairs, err := parsePairs(done.old)
	if err != nil {
		return Address{}, err
	}
	return addressOf(p.database, pairs), p.rewrite(ctx, func(*config, entry) (string, error) { return done.old, nil })
}

// finish removes what keep kept.
func (p *pool) finish() error {
	c, err := readConfig(p.config)
	if err != nil {
		return err
	}
	var errs []error
	for path := range c.texts {
		errs = append(errs, removeFile(p.kept(path)))
	}
	return errors.Join(errs...)
}
