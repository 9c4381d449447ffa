package parser

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// Frames between a process and its parser: a byte (the request, or the answer's
// status), four bytes of length, big endian, the payload.
const (
	statusOK      = 'k'
	statusRefused = 'r'
	statusError   = 'e'
	maxFrame      = 1 << 30
)

// Subprocess moves the parser to a child process, started by argv at the first
// parse, whose command calls [Serve]: the parser's 250 MB end with it at
// [Close]. A child that breaks is an error of that one request; the next one
// starts another. To be called once, before anything is parsed.
func Subprocess(argv []string) {
	current.Lock()
	defer current.Unlock()
	current.backend = &child{argv: argv}
}

// Close ends the child process, if there is one; a later parse starts another.
func Close() error {
	current.Lock()
	defer current.Unlock()
	return current.backend.close()
}

// Serve answers the requests that come in by r until it ends.
func Serve(r io.Reader, w io.Writer) error {
	in, out := bufio.NewReader(r), bufio.NewWriter(w)
	for {
		kind, payload, err := readFrame(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a request to the parser: %w", err)
		}
		status := byte(statusOK)
		answer, err := inProcess{}.answer(request(kind), payload)
		if err != nil {
			status, answer = statusError, []byte(err.Error())
			if refused := new(Refusal); errors.As(err, &refused) {
				status = statusRefused
			}
		}
		if err := writeFrame(out, status, answer); err != nil {
			return fmt.Errorf("write the parser's answer: %w", err)
		}
	}
}

type child struct {
	argv    []string
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

func (c *child) answer(r request, payload []byte) ([]byte, error) {
	if err := c.start(); err != nil {
		return nil, err
	}
	status, answer, err := c.exchange(r, payload)
	if err != nil {
		_ = c.close()
		return nil, fmt.Errorf("ask the parser process: %w", err)
	}
	switch status {
	case statusOK:
		return answer, nil
	case statusRefused:
		return nil, &Refusal{string(answer)}
	}
	return nil, errors.New(string(answer))
}

func (c *child) exchange(r request, payload []byte) (byte, []byte, error) {
	w := bufio.NewWriter(c.in)
	if err := writeFrame(w, byte(r), payload); err != nil {
		return 0, nil, err
	}
	return readFrame(c.out)
}

func (c *child) start() error {
	if c.command != nil {
		return nil
	}
	command := exec.Command(c.argv[0], c.argv[1:]...)
	command.Stderr = os.Stderr
	detach(command)
	in, err := command.StdinPipe()
	if err != nil {
		return fmt.Errorf("start the parser process: %w", err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start the parser process: %w", err)
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start the parser process: %w", err)
	}
	c.command, c.in, c.out = command, in, bufio.NewReader(out)
	return nil
}

// close ends the child by ending its input; it has nothing to lose.
func (c *child) close() error {
	if c.command == nil {
		return nil
	}
	command := c.command
	c.command = nil
	if err := c.in.Close(); err != nil {
		_ = command.Process.Kill()
	}
	if err := command.Wait(); err != nil {
		return fmt.Errorf("end the parser process: %w", err)
	}
	return nil
}

func writeFrame(w *bufio.Writer, kind byte, payload []byte) error {
	if len(payload) > maxFrame {
		return fmt.Errorf("%d bytes are too many for one statement", len(payload))
	}
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(payload)))
	if _, err := w.Write(head); err != nil {
		return err
	}
	if _, err := w.Write(payload); err != nil {
		return err
	}
	return w.Flush()
}

func readFrame(r io.Reader) (byte, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes", n)
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, nil, fmt.Errorf("a frame broke off: %w", err)
	}
	return head[0], payload, nil
}
