package testcontainers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	docker "github.com/testcontainers/testcontainers-go"
)

// ImageVariable names the environment variable with the image of servers in
// Docker; without it, the official image below. Any image with that one's
// conventions will do: settings as arguments of postgres,
// POSTGRES_HOST_AUTH_METHOD, POSTGRES_INITDB_ARGS.
const ImageVariable = "PGUMBRA_PG_IMAGE"

const officialImage = "postgres:17"

const serverPort = 5432

// image is a server in Docker, made and removed by testcontainers-go, whose
// reaper removes it when this process is killed (unless switched off by
// TESTCONTAINERS_RYUK_DISABLED).
type image struct {
	name     string
	port     int // on the host
	settings map[string]string
	log      *slog.Logger
	running  *docker.DockerContainer // nil before the first start
}

func newContainer(ctx context.Context, o Options) (*Server, error) {
	if err := engine(ctx); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	name := cmp.Or(o.Image, os.Getenv(ImageVariable), officialImage)
	i := &image{name: name, port: port, settings: o.settings(), log: o.log()}
	return &Server{host: "127.0.0.1", port: port, runs: i}, nil
}

// engine reports whether a Docker engine answers, before anything is made.
func engine(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cli, err := docker.NewDockerClientWithOpts(ctx)
	if err != nil {
		return fmt.Errorf("reach the engine: %w", err)
	}
	defer func() { _ = cli.Close() }()
	if _, err := cli.Ping(ctx, client.PingOptions{}); err != nil {
		return fmt.Errorf("reach the engine: %w", err)
	}
	return nil
}

func (i *image) start(ctx context.Context) error {
	if i.running != nil {
		return i.running.Start(ctx)
	}
	running, err := docker.Run(ctx, i.name, i.options()...)
	i.running = running // also of a failed start: there to be removed
	if err != nil {
		return portError(fmt.Errorf("run image %s: %w", i.name, err), err.Error())
	}
	return nil
}

func (i *image) options() []docker.ContainerCustomizer {
	return []docker.ContainerCustomizer{
		docker.WithLogger(printer{i.log}),
		docker.WithEnv(map[string]string{
			"POSTGRES_HOST_AUTH_METHOD": "trust",
			"POSTGRES_INITDB_ARGS":      "--encoding=UTF8 --no-locale --no-sync",
		}),
		docker.WithCmd(append([]string{"postgres"}, arguments(i.settings)...)...),
		docker.WithConfigModifier(stopFast),
		docker.WithHostConfigModifier(i.publish),
	}
}

// stopFast makes the container's stop a fast shutdown: Docker's own signal,
// SIGTERM, would wait for every session to leave.
func stopFast(c *container.Config) { c.StopSignal = "SIGINT" }

// publish binds the port on loopback only, since the server trusts everybody.
// The number is chosen here and not by Docker, which would choose another at
// each restart.
func (i *image) publish(h *container.HostConfig) {
	h.PortBindings = network.PortMap{
		network.MustParsePort(strconv.Itoa(serverPort) + "/tcp"): {{
			HostIP:   netip.AddrFrom4([4]byte{127, 0, 0, 1}),
			HostPort: strconv.Itoa(i.port),
		}},
	}
	h.ShmSize = 256 << 20 // Docker's 64 MB end a parallel index build
}

// arguments are settings for postgres's command line.
func arguments(settings map[string]string) []string {
	var args []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

func (i *image) alive(ctx context.Context) bool {
	if i.running == nil {
		return false
	}
	state, err := i.running.State(ctx)
	return err == nil && state.Running
}

func (i *image) halt(ctx context.Context) error {
	if !i.alive(ctx) {
		return nil
	}
	limit := 15 * time.Second
	if err := i.running.Stop(ctx, &limit); err != nil {
		return fmt.Errorf("stop the server: %w", err)
	}
	return nil
}

func (i *image) quit(ctx context.Context) error { return i.kill(ctx) }

func (i *image) kill(ctx context.Context) error {
	if !i.alive(ctx) {
		return nil
	}
	cli, err := docker.NewDockerClientWithOpts(ctx)
	if err != nil {
		return fmt.Errorf("kill the server: %w", err)
	}
	defer func() { _ = cli.Close() }()
	id := i.running.GetContainerID()
	gone := cli.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	if _, err := cli.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
		return fmt.Errorf("kill the server: %w", err)
	}
	select {
	case <-gone.Result:
		return nil
	case err := <-gone.Error:
		return fmt.Errorf("wait for the killed server: %w", err)
	}
}

func (i *image) remove(ctx context.Context) error {
	if i.running == nil {
		return nil
	}
	err := i.running.Terminate(ctx)
	i.running = nil
	return err
}

func (i *image) output() string {
	if i.running == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	logs, err := i.running.Logs(ctx)
	if err != nil {
		return err.Error()
	}
	text, err := io.ReadAll(logs)
	if err = errors.Join(err, logs.Close()); err != nil {
		return err.Error()
	}
	return lastPart(text)
}

// printer hands testcontainers-go's progress lines to the caller's log.
type printer struct{ log *slog.Logger }

func (p printer) Printf(format string, v ...any) {
	p.log.Debug("docker", "message", strings.TrimSpace(fmt.Sprintf(format, v...)))
}
