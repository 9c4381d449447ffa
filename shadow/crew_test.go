package shadow

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
)

// noted hands on what is logged.
type noted chan string

func (n noted) Write(p []byte) (int, error) {
	n <- string(p)
	return len(p), nil
}

func TestCopyGoesOnWithAnotherNumberOfWorkers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items)
	w.plain("items")
	w.start()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var at atomic.Int32
	before, release, said := make(chan int32, 64), make(chan struct{}), make(noted, 64)
	c := w.copier()
	c.Log = slog.New(slog.NewTextHandler(said, nil))
	c.Throttle = func(ctx context.Context) error {
		before <- at.Add(1)
		defer at.Add(-1)
		select {
		case <-release:
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	waits := func(workers int32) { // until so many are about to copy
		t.Helper()
		for n := int32(0); n < workers; {
			select {
			case n = <-before:
			case <-ctx.Done():
				t.Fatalf("%d workers, %d wanted", at.Load(), workers)
			}
		}
	}
	goOn := func(workers int) {
		t.Helper()
		must(t, control.SetWorkers(ctx, w.pool, w.run, &workers))
		for text := ""; !strings.Contains(text, "another number of workers"); {
			select {
			case text = <-said:
			case <-ctx.Done():
				t.Fatal("nobody saw it")
			}
		}
	}
	done := make(chan error, 1)
	go func() { done <- c.Copy(ctx) }()

	waits(1) // opens the table
	release <- struct{}{}
	waits(2)
	goOn(4)
	waits(4)
	goOn(1)
	for range 4 { // chunks under way are copied
		release <- struct{}{}
	}
	for range 3 {
		waits(1)
		if n := at.Load(); n != 1 {
			t.Errorf("%d workers copy, 1 is wanted", n)
		}
		release <- struct{}{}
	}
	close(release)
	must(t, <-done)
	w.equal("SELECT * FROM shop.items", "SELECT * FROM "+shopShadow+".items")
}
