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
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// child is a program that runs as the unprivileged account, writes its log
// into its folder, and ends with this process.
type child struct {
	dir         *folder
	cmd         *exec.Cmd
	environment []string       // beside this process's own
	life        errgroup.Group // the babysitter; its error says less than the log
	done        chan struct{}  // closed when the process of cmd ended; nil before the first
}

// freePort asks the kernel. Another process may take it before the program
// binds; then the program says so and another one is chosen.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

func (c *child) logFile() string { return filepath.Join(c.dir.path, "log") }

// run starts the program, which the system ends by the signal should this
// process die.
func (c *child) run(death syscall.Signal, program string, args ...string) error {
	log, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	c.dir.owner.apply(cmd)
	if len(c.environment) > 0 {
		cmd.Env = append(cmd.Environ(), c.environment...)
	}
	dieWithParent(cmd, death)
	c.cmd, c.done = cmd, make(chan struct{})
	started := make(chan error, 1)
	c.life.Go(func() error { return babysit(cmd, started, c.done) })
	if err := <-started; err != nil {
		return c.dir.owner.explain(err, cmd.Path)
	}
	return nil
}

// babysit starts the program and waits for its end on one thread: the kernel
// sends the signal of dieWithParent when the *thread* that forked ends, and Go
// ends threads as it likes unless a goroutine holds on to them.
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

func (c *child) alive(context.Context) bool {
	if c.done == nil {
		return false
	}
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// killLimit is ample for the kernel to end processes; what survives it hangs
// in a system call.
const killLimit = 10 * time.Second

func (c *child) signal(sig syscall.Signal) error {
	if err := c.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

func (c *child) wait(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// kill ends the program and its children with SIGKILL, and waits for it.
func (c *child) kill(ctx context.Context) error {
	if !c.alive(ctx) {
		return nil
	}
	// Stopped, it forks no child that the list would miss.
	pid := c.cmd.Process.Pid
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	pids := append([]int{pid}, children(pid)...)
	for _, one := range pids {
		_ = syscall.Kill(one, syscall.SIGKILL) // gone already is as good
	}
	ctx = context.WithoutCancel(ctx)
	if err := errors.Join(c.wait(ctx, killLimit), waitGone(ctx, pids[1:])); err != nil {
		return fmt.Errorf("kill %s: %w", filepath.Base(c.cmd.Path), err)
	}
	return nil
}

func (c *child) remove(context.Context) error { return c.dir.remove() }

func (c *child) output() string {
	text, err := os.ReadFile(c.logFile())
	if err != nil {
		return err.Error()
	}
	return lastPart(text)
}
