package testcontainers

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"
)

// proxied is a fresh database, its DSN past the proxy and through it.
func proxied(t *testing.T) (p *Proxy, direct, through string) {
	t.Helper()
	direct = Database(t)
	p = StartProxy(t, Shared(t).Addr())
	return p, direct, p.Through(direct)
}

func TestProxyForwardsLongQuestionsAndAnswers(t *testing.T) {
	t.Parallel()
	_, _, through := proxied(t)
	text := strings.Repeat("long ", 200_000)
	if got := query[string](t, connect(t, through), "SELECT $1::text", text); got != text {
		t.Errorf("%d bytes came back, want %d", len(got), len(text))
	}
}

func TestProxyPassesOnThatTheServerHungUp(t *testing.T) {
	t.Parallel()
	_, direct, through := proxied(t)
	client := connect(t, through)
	execute(t, connect(t, direct), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	var ended *pgconn.PgError
	if err := client.Ping(t.Context()); !errors.As(err, &ended) || ended.Code != "57P01" {
		t.Errorf("error is %v, want the server's own", err)
	}
}

func TestCutBreaksOldAndNewConnectionsUntilHealed(t *testing.T) {
	t.Parallel()
	p, direct, through := proxied(t)
	client := connect(t, through)
	execute(t, client, "SELECT 1")
	p.Cut()
	if err := client.Ping(t.Context()); err == nil {
		t.Error("a connection outlived the cut")
	}
	if _, err := pgx.Connect(t.Context(), through); err == nil {
		t.Error("a new connection passes the cut")
	}
	execute(t, connect(t, direct), "SELECT 1")
	p.Heal()
	execute(t, connect(t, through), "SELECT 1")
}

func TestStallHoldsAnswersBackUntilHealed(t *testing.T) {
	t.Parallel()
	p, direct, through := proxied(t)
	execute(t, connect(t, direct), "CREATE TABLE public.asked (n int)")
	client := connect(t, through)
	p.Stall()
	var asking errgroup.Group
	answered := make(chan struct{})
	asking.Go(func() error {
		defer close(answered)
		_, err := client.Exec(t.Context(), "INSERT INTO public.asked VALUES (1)")
		return err
	})
	waitUnanswered(t, through)
	select {
	case <-answered:
		t.Error("a stalled query was answered")
	default:
	}
	if n := query[int](t, connect(t, direct), "SELECT count(*) FROM public.asked"); n != 0 {
		t.Error("a stalled query arrived")
	}
	p.Heal()
	if err := asking.Wait(); err != nil {
		t.Errorf("after the stall: %v", err)
	}
}

// waitUnanswered logs in until patience ends, which is as long as an answer on
// loopback would need many times over.
func waitUnanswered(t *testing.T, dsn string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := pgx.Connect(ctx, dsn); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stalled login ends with %v, want no answer", err)
	}
}

func TestCutEndsAStall(t *testing.T) {
	t.Parallel()
	p, _, through := proxied(t)
	client := connect(t, through)
	p.Stall()
	var asking errgroup.Group
	asking.Go(func() error { return client.Ping(t.Context()) })
	p.Cut()
	if err := asking.Wait(); err == nil {
		t.Error("a stalled connection outlived the cut")
	}
	p.Heal()
	execute(t, connect(t, through), "SELECT 1")
}

func TestHiddenAnswerOfACommitThatTookPlace(t *testing.T) {
	t.Parallel()
	p, direct, through := proxied(t)
	execute(t, connect(t, direct), "CREATE TABLE public.kept (n int)")
	client, bystander := connect(t, through), connect(t, through)
	tx, err := client.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "INSERT INTO public.kept VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	hidden := p.HideAnswer([]byte("commit"))
	if err := tx.Commit(t.Context()); err == nil || !client.IsClosed() {
		t.Errorf("the client's commit ends with %v, closed %t", err, client.IsClosed())
	}
	<-hidden
	if n := query[int](t, connect(t, direct), "SELECT count(*) FROM public.kept"); n != 1 {
		t.Errorf("%d rows were committed, want 1", n)
	}
	execute(t, bystander, "BEGIN; SELECT 1; commit") // once only, and one connection only
	execute(t, connect(t, through), "SELECT 1")
}

func TestHiddenAnswerOfACommitThatFailed(t *testing.T) {
	t.Parallel()
	p, direct, through := proxied(t)
	execute(t, connect(t, direct), "CREATE TABLE public.kept (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
	client := connect(t, through)
	execute(t, client, "BEGIN; INSERT INTO public.kept VALUES (1), (1)")
	hidden := p.HideAnswer([]byte("commit"))
	var told *pgconn.PgError
	if _, err := client.Exec(t.Context(), "commit"); err == nil || errors.As(err, &told) {
		t.Errorf("error is %v, want a broken connection", err)
	}
	<-hidden
	if n := query[int](t, connect(t, direct), "SELECT count(*) FROM public.kept"); n != 0 {
		t.Errorf("%d rows were committed, want 0", n)
	}
}

func TestMatchIsFoundInTwoPieces(t *testing.T) {
	t.Parallel()
	for _, pieces := range [][]string{{"commit"}, {"Q....com", "mit."}, {"c", "o", "m", "m", "i", "t"}} {
		l := &link{proxy: &Proxy{trap: &trap{match: []byte("commit")}}}
		for _, piece := range pieces {
			if got := l.question([]byte(piece)); !bytes.Equal(got, []byte(piece)) {
				t.Errorf("%q became %q", piece, got)
			}
		}
		if l.hidden.Load() == nil {
			t.Errorf("no match in %q", pieces)
		}
	}
}

func TestAnswerIsOverWhereServerIsReady(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe()
	l := &link{gone: make(chan struct{}), client: client, server: server}
	caught := &trap{sprung: make(chan struct{})}
	l.hidden.Store(caught)
	over := func() bool {
		select {
		case <-caught.sprung:
			return true
		default:
			return false
		}
	}
	for i, piece := range []string{"C\x00\x00\x00\x0bCOMMIT\x00", "Z\x00\x00", "\x00\x05I"} {
		if got := l.reply([]byte(piece)); len(got) != 0 {
			t.Errorf("%q slips through", got)
		}
		if over() != (i == 2) {
			t.Errorf("after %q over is %t", piece, over())
		}
	}
}
