package testcontainers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// process is a server of installed binaries, a child of this process.
//
// Its folder holds the data directory, the socket and the log. Each start makes
// a new cluster by initdb rather than copying one: copies share the system
// identifier, by which servers are told apart.
type process struct {
	bin  string
	port int
	dir  *folder
	cmd  *exec.Cmd
	life errgroup.Group // the babysitter; its error says less than the log
	done chan struct{}  // closed when the postmaster of cmd ended; nil before the first
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
	p := &process{bin: bin, port: port, dir: dir}
	if err := p.initialize(ctx, o.settings()); err != nil {
		return nil, errors.Join(err, dir.remove())
	}
	return &Server{host: "127.0.0.1", port: port, runs: p}, nil
}

// freePort asks the kernel. Another process may take it before the server
// binds; then the server says so and Start chooses again.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

func (p *process) data() string    { return filepath.Join(p.dir.path, "data") }
func (p *process) logFile() string { return filepath.Join(p.dir.path, "log") }

// initialize runs initdb and writes the settings. Locale C and UTF8 are on
// every system, so an order in a test is the same everywhere.
func (p *process) initialize(ctx context.Context, settings map[string]string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "initdb"), "--pgdata", p.data(),
		"--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-sync", "--no-instructions")
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

func (p *process) start(context.Context) error {
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the server's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(filepath.Join(p.bin, "postgres"), "-D", p.data())
	cmd.Stdout, cmd.Stderr = log, log
	p.dir.owner.apply(cmd)
	dieWithParent(cmd)
	p.cmd, p.done = cmd, make(chan struct{})
	started := make(chan error, 1)
	p.life.Go(func() error { return babysit(cmd, started, p.done) })
	if err := <-started; err != nil {
		return p.dir.owner.explain(err, cmd.Path)
	}
	return nil
}

// babysit starts the postmaster and waits for its end on one thread: the
// kernel sends the signal of dieWithParent when the *thread* that forked ends,
// and Go ends threads as it likes unless a goroutine holds on to them.
func babysit(cmd *exec.Cmd, started chan<- error, done chan<- struct{}) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(done)
	err := cmd.Start()
	started <- err
	if err != nil {
		return err
	}
	return cmd.Wait()
}

func (p *process) alive(context.Context) bool {
	if p.done == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func (p *process) halt(ctx context.Context) error {
	if !p.alive(ctx) {
		return nil
	}
	// Fast, then immediate, then by force: a backend stuck in a test's C code
	// or a stopped child must not keep the test binary.
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		if err := p.signal(sig); err != nil {
			return fmt.Errorf("stop the server: %w", err)
		}
		if p.wait(ctx, 15*time.Second) == nil {
			return nil
		}
	}
	return p.kill(ctx)
}

func (p *process) kill(ctx context.Context) error {
	if !p.alive(ctx) {
		return nil
	}
	// Stopped, it forks no child that the list would miss.
	postmaster := p.cmd.Process.Pid
	_ = syscall.Kill(postmaster, syscall.SIGSTOP)
	pids := append([]int{postmaster}, children(postmaster)...)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone already is as good
	}
	ctx = context.WithoutCancel(ctx)
	if err := errors.Join(p.wait(ctx, killLimit), waitGone(ctx, pids[1:])); err != nil {
		return fmt.Errorf("kill the server: %w", err)
	}
	return nil
}

// killLimit is ample for the kernel to end processes; what survives it hangs
// in a system call.
const killLimit = 10 * time.Second

func (p *process) signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

func (p *process) wait(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *process) remove(context.Context) error { return p.dir.remove() }

func (p *process) output() string {
	text, err := os.ReadFile(p.logFile())
	if err != nil {
		return err.Error()
	}
	return lastPart(text)
}
