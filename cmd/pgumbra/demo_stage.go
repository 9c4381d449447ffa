package main

import (
	"context"
	"fmt"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// stage is the servers of a demo and how they are reached.
type stage struct {
	production string // as pgumbra reaches it
	clients    string // as the clients do: past it all, or through PgBouncer
	shadow     string // "": in production's database
	served     string // where the data are in the end
	planLines  string // what init cannot know
	closers    []func(context.Context) error
}

// close stops the servers, last one first.
func (s *stage) close(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	for i := range s.closers {
		_ = s.closers[len(s.closers)-1-i](ctx) // the process ends with it
	}
}

// server starts one; major 0: whichever is installed.
func (s *stage) server(ctx context.Context, major int) (string, error) {
	server, err := testcontainers.Start(ctx, testcontainers.Options{Major: major})
	if err != nil {
		return "", err
	}
	s.closers = append(s.closers, server.Stop)
	return server.DSN("postgres"), nil
}

// inOneDatabase is one server.
func (s *stage) inOneDatabase(ctx context.Context) (err error) {
	s.production, err = s.server(ctx, 0)
	s.clients, s.served = s.production, s.production
	return err
}

// onAnotherServer is two servers and a PgBouncer through which clients come.
// Its pool is one of transactions, so clients prepare no statements.
func (s *stage) onAnotherServer(ctx context.Context, major int) error {
	err := s.inOneDatabase(ctx)
	if err != nil {
		return err
	}
	if s.shadow, err = s.server(ctx, major); err != nil {
		return err
	}
	s.served = s.shadow
	bouncer, err := testcontainers.StartPgBouncer(ctx, testcontainers.PgBouncerOptions{Databases: map[string]string{"shop": s.production}})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, bouncer.Stop)
	s.clients = bouncer.DSN("shop") + "&default_query_exec_mode=exec"
	s.planLines = fmt.Sprintf("\ntraffic:\n  pgbouncer: {admin_dsn: %q, database: shop, config: %q}\n", bouncer.AdminDSN(), bouncer.ConfigPath())
	return nil
}

// newStage starts what a demo needs; a shadow of version 0 is production's own
// database.
func newStage(ctx context.Context, shadow int) (*stage, error) {
	s := &stage{}
	start := s.inOneDatabase
	if shadow != 0 {
		start = func(ctx context.Context) error { return s.onAnotherServer(ctx, shadow) }
	}
	if err := start(ctx); err != nil {
		s.close(ctx)
		return nil, err
	}
	return s, nil
}
