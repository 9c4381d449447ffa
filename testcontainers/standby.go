package testcontainers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// Standby makes a copy of the server that follows it asynchronously, by streaming
// replication, and answers queries. It reaches the server by way of an address:
// its own, or that of a [Proxy] before it, which can hold changes back. The
// caller stops it. Only for servers of installed binaries that pg_basebackup is
// among.
func (s *Server) Standby(ctx context.Context, through string) (*Server, error) {
	primary, ok := s.runs.(*process)
	if !ok {
		return nil, errors.New("a server in a container has no standby")
	}
	standby, err := onFreePort(s.log, func() (*Server, error) {
		return launch(ctx, Options{Log: s.log}, func(ctx context.Context, _ Options) (*Server, error) {
			return primary.standby(ctx, through)
		})
	})
	if err != nil {
		return nil, fmt.Errorf("start a standby: %w", err)
	}
	return standby, nil
}

// Promote makes a standby a primary, on a timeline of its own, and waits for it.
func (s *Server) Promote(context.Context) error {
	return administer(s, `DO $$ BEGIN IF NOT pg_promote() THEN RAISE 'not promoted in time'; END IF; END $$`)
}

func (p *process) standby(ctx context.Context, through string) (*Server, error) {
	dir, err := newFolder()
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, errors.Join(err, dir.remove())
	}
	copied := &process{child: child{dir: dir}, bin: p.bin, port: port}
	if err := copied.follow(ctx, through); err != nil {
		return nil, errors.Join(err, dir.remove())
	}
	return &Server{host: "127.0.0.1", port: port, runs: copied}, nil
}

// follow copies the primary and writes what makes of the copy a standby.
func (p *process) follow(ctx context.Context, through string) error {
	host, port, err := net.SplitHostPort(through)
	if err != nil {
		return err
	}
	conninfo := fmt.Sprintf("host=%s port=%s user=%s sslmode=disable", host, port, superuser)
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "pg_basebackup"), "--pgdata", p.data(), "--dbname", conninfo,
		"--checkpoint", "fast", "--wal-method", "stream", "--no-sync")
	p.dir.owner.apply(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w\n%s", p.dir.owner.explain(err, cmd.Path), out)
	}
	signal := filepath.Join(p.data(), "standby.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		return err
	}
	if err := p.dir.owner.own(signal); err != nil {
		return err
	}
	return p.configure(map[string]string{"primary_conninfo": conninfo, "hot_standby": "on"})
}
