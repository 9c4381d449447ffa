//go:build !linux

package main

import (
	"context"
	"testing"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// disk: file systems of a test's own are mounted on Linux alone.
type disk struct{}

func newDisk(t *testing.T, _ int) *disk {
	t.Helper()
	t.Fatal("no file system can be mounted here")
	return nil
}

func (*disk) databaseOn(context.Context, *testing.T, *testcontainers.Server) (dsn string) { return "" }
func (*disk) holdWAL(context.Context, *testing.T, *testcontainers.Server)                 {}

func faultsOfDisks() []fault { return nil }
