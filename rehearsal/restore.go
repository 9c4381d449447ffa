package rehearsal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
)

// newerSetting is what programs from PostgreSQL 17 on begin a dump with, and no older
// server knows: pg_restore fails on it. askedFor does the same where there is one.
const (
	newerSetting = "SET transaction_timeout = 0;\n"
	askedFor     = "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout';\n"
)

// forAnyServer is a dump's text without what only newer servers know. It looks at the
// settings before the first object: a row may hold the same words.
func forAnyServer(dump io.Reader) (io.Reader, error) {
	var header bytes.Buffer
	lines := bufio.NewReaderSize(dump, 1<<16)
	for {
		line, err := lines.ReadString('\n')
		if line == newerSetting {
			line = askedFor
		}
		header.WriteString(line)
		ends := errors.Is(err, io.EOF)
		if err != nil && !ends {
			return nil, err
		}
		if ends || !ofHeader(line) {
			return io.MultiReader(&header, lines), nil
		}
	}
}

func ofHeader(line string) bool {
	for _, start := range []string{"--", "\n", "SET ", "SELECT pg_catalog.set_config", `\restrict `} {
		if strings.HasPrefix(line, start) {
			return true
		}
	}
	return false
}

// restoreArchive restores one of pg_dump's archives as psql would its text: pg_restore's
// own connection sends what older servers refuse. args are more of pg_restore's.
func restoreArchive(ctx context.Context, bin func(string) (string, error), archive, dsn string, args ...string) error {
	from, err := bin("pg_restore")
	if err != nil {
		return err
	}
	out, in := io.Pipe()
	var g errgroup.Group
	g.Go(func() error {
		err := execute(ctx, from, nil, in, append(args, "-f", "-", archive)...)
		return errors.Join(err, in.CloseWithError(err))
	})
	err = restoreText(ctx, bin, out, dsn)
	_ = out.Close()                   // whatever is left, nobody reads it
	if read := g.Wait(); err == nil { // one that nobody reads any more is no cause
		err = read
	}
	return err
}

// restoreText runs a dump's text.
func restoreText(ctx context.Context, bin func(string) (string, error), dump io.Reader, dsn string) error {
	path, err := bin("psql")
	if err != nil {
		return err
	}
	text, err := forAnyServer(dump)
	if err != nil {
		return err
	}
	return execute(ctx, path, text, nil, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-f", "-")
}

// execute runs a program of PostgreSQL's. What it complains of is in the error.
func execute(ctx context.Context, path string, in io.Reader, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, path, args...)
	var complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = in, out, &complaint, append(os.Environ(), "LC_ALL=C")
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(path), err, lastLines(complaint.String()))
	}
	return nil
}
