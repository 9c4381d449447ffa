package testcontainers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server of installed binaries, a child of this process.
//
// Its folder holds the data directory, the socket and the log. Each start makes
// a new cluster by initdb rather than copying one: copies share the system
// identifier, by which servers are told apart.
type process struct {
	child
	bin  string
	port int
}

func newProcess(ctx context.Context, bin string, o Options) (*Server, error) {
	dir, err := newFolder()
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, errors.Join(err, dir.remove())
	}
	p := &process{child: child{dir: dir, environment: o.Environment}, bin: bin, port: port}
	if err := p.initialize(ctx, o.settings()); err != nil {
		return nil, errors.Join(err, dir.remove())
	}
	return &Server{host: "127.0.0.1", port: port, runs: p}, nil
}

func (p *process) data() string { return filepath.Join(p.dir.path, "data") }

// initialize runs initdb and writes the settings. Locale C and UTF8 are on
// every system, so an order in a test is the same everywhere.
func (p *process) initialize(ctx context.Context, settings map[string]string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "initdb"), "--pgdata", p.data(),
		"--username", superuser, "--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-sync", "--no-instructions")
	p.dir.owner.apply(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", p.dir.owner.explain(err, cmd.Path), out)
	}
	return p.configure(settings)
}

func (p *process) configure(settings map[string]string) error {
	all := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(p.port),
		"unix_socket_directories": p.dir.path,
	}
	for name, value := range settings {
		all[name] = value
	}
	file, err := os.OpenFile(filepath.Join(p.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("configure the server: %w", err)
	}
	_, err = file.WriteString(configuration(all))
	return errors.Join(err, file.Close())
}

// configuration is the text of postgresql.conf for settings, by name.
func configuration(settings map[string]string) string {
	names := make([]string, 0, len(settings))
	for name := range settings {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%s = '%s'\n", name, strings.ReplaceAll(settings[name], "'", "''"))
	}
	return b.String()
}

// start: SIGQUIT ends a postmaster at once, with its children.
func (p *process) start(context.Context) error {
	return p.run(syscall.SIGQUIT, filepath.Join(p.bin, "postgres"), "-D", p.data())
}

// halt: fast, then immediate, then by force: a backend stuck in a test's C code
// or a stopped child must not keep the test binary.
func (p *process) halt(ctx context.Context) error { return p.end(ctx, syscall.SIGINT, syscall.SIGQUIT) }

func (p *process) quit(ctx context.Context) error { return p.end(ctx, syscall.SIGQUIT) }

// end sends one signal after the other until the server has ended, the last of all
// SIGKILL.
func (p *process) end(ctx context.Context, signals ...syscall.Signal) error {
	if !p.alive(ctx) {
		return nil
	}
	for _, sig := range signals {
		if err := p.signal(sig); err != nil {
			return fmt.Errorf("stop the server: %w", err)
		}
		if p.wait(ctx, 15*time.Second) == nil {
			return nil
		}
	}
	return p.kill(ctx)
}
