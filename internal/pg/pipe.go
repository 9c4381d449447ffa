package pg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"
)

// Format of a COPY.
type Format string

// The formats. Binary is right only where both servers write a type alike, see
// [ColumnType]; text goes by the types' input and output functions.
const (
	Binary Format = "binary"
	Text   Format = "text"
)

// CopyTo is the statement that sends a query's rows. COPY takes no parameters:
// values stand in the query, by [Literal].
func CopyTo(query string, f Format) string {
	return fmt.Sprintf("COPY (%s\n) TO STDOUT (FORMAT %s)", query, f)
}

// CopyFrom is the statement that receives rows into columns of a table, which
// is quoted already. No columns: a table that has none.
func CopyFrom(table string, columns []string, f Format) string {
	list := ""
	if len(columns) > 0 {
		list = " (" + Idents(columns) + ")"
	}
	return fmt.Sprintf("COPY %s%s FROM STDIN (FORMAT %s)", table, list, f)
}

const (
	// A row a write would be a system call a row.
	pipeBuffer = 60 << 10
	// What a source still sends is thrown away up to here once the target
	// refused a row: its session stays usable so. Beyond, it is closed.
	pipeRest = 16 << 20
)

// ErrRowTooLarge says that a row takes more than the 1 GB that one message of COPY
// may hold: in text a bytea takes twice its size. Nothing of the COPY was kept. The
// caller names the table, and the row if it can.
var ErrRowTooLarge = errors.New("a row is too large for COPY, which sends it as one message of at most 1 GB")

// errTargetEnded is what a source gets that sends to a target that failed.
var errTargetEnded = errors.New("the receiving side ended")

// Pipe runs a COPY … TO STDOUT on one session and a COPY … FROM STDIN on
// another and leads the rows through, as bytes, in bounded memory; it returns how
// many were received. Either text may hold further statements before the COPY,
// and the target's after it too: they are one round trip then.
//
// The error is the cause: what one side says because the other one failed is
// left out. A source that fails makes the target's COPY fail, so that no part
// of the rows can be taken for all of them. Both sessions stay usable after an
// SQL error, as a rule; a source that had more than 16 MB to send is closed.
func Pipe(ctx context.Context, from *pgconn.PgConn, out string, to *pgconn.PgConn, in string) (rows int64, err error) {
	reader, writer := io.Pipe()
	sending, stop := context.WithCancel(ctx)
	defer stop()
	var sent, received error
	var g errgroup.Group
	g.Go(func() error {
		sent = send(sending, from, out, writer)
		return nil
	})
	var tag pgconn.CommandTag
	tag, received = to.CopyFrom(ctx, reader, in)
	if received != nil {
		_ = reader.CloseWithError(errTargetEnded)
		if Unreachable(received) {
			stop() // whatever is sent is of no use to anybody
		}
	}
	_ = g.Wait()
	return tag.RowsAffected(), cause(sent, received)
}

func send(ctx context.Context, from *pgconn.PgConn, out string, to *io.PipeWriter) error {
	buffer := bufio.NewWriterSize(&rest{to: to}, pipeBuffer)
	_, err := from.CopyTo(ctx, buffer, out)
	if err == nil {
		err = buffer.Flush()
	}
	_ = to.CloseWithError(err) // nil: the end of the rows
	return err
}

// rest swallows what comes once nobody reads any more.
type rest struct {
	to        *io.PipeWriter
	swallowed int
}

func (r *rest) Write(p []byte) (int, error) {
	if r.swallowed == 0 {
		n, err := r.to.Write(p)
		if !errors.Is(err, errTargetEnded) {
			return n, err
		}
	}
	if r.swallowed += len(p); r.swallowed > pipeRest {
		return 0, errTargetEnded
	}
	return len(p), nil
}

// cause of a failure: a source that was refused says nothing of its own, nor
// does a target whose source failed.
func cause(sent, received error) error {
	switch {
	case received == nil && sent == nil:
		return nil
	case tooLarge(sent):
		return fmt.Errorf("send: %w: %w", ErrRowTooLarge, sent)
	case sent != nil && (received == nil || !secondary(sent)):
		return fmt.Errorf("send: %w", sent)
	}
	return fmt.Errorf("receive: %w", received)
}

// tooLarge: the server says so as a limit of the program where a message grows, and
// as an internal error where one value does; then the number of bytes, which stands
// in the message whatever its language, tells it from others.
func tooLarge(sent error) bool {
	var e *pgconn.PgError
	if !errors.As(sent, &e) {
		return false
	}
	return e.Code == pgerrcode.ProgramLimitExceeded || e.Code == pgerrcode.InternalError && overOneGB.MatchString(e.Message)
}

var overOneGB = regexp.MustCompile(`\b[1-9][0-9]{9,}\b`)

func secondary(sent error) bool {
	return errors.Is(sent, errTargetEnded) || errors.Is(sent, context.Canceled)
}
