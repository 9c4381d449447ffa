package testcontainers

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// link is one client's connection and its way on to the server.
type link struct {
	proxy  *Proxy
	client net.Conn

	mu     sync.Mutex
	server net.Conn      // nil until dialled
	gone   chan struct{} // closed with the connections

	name   string               // application_name, of the first message
	asked  []byte               // the end of what the client sent, for a match in two pieces
	hidden atomic.Pointer[trap] // set once the answer is to be hidden
}

// trap is one HideAnswer.
type trap struct {
	match  []byte
	sprung chan struct{}
	answer []byte // the end of what the server answered
}

// carry forwards both ways until one side ends or the connection is cut. A
// server's connection is made only once bytes flow: during a stall the server
// does not even see that somebody came.
func (l *link) carry() error {
	defer l.proxy.forget(l)
	defer l.close()
	if !l.pass() {
		return nil
	}
	server, err := net.Dial("tcp", l.proxy.leadsTo())
	if err != nil {
		return err
	}
	if !l.attach(server) {
		return server.Close()
	}
	var methods errgroup.Group
	methods.Go(func() error { return l.forward(server, l.client, l.question) })
	methods.Go(func() error { return l.forward(l.client, server, l.reply) })
	return methods.Wait()
}

// attach reports whether the server's connection is still wanted.
func (l *link) attach(server net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.gone:
		return false
	default:
		l.server = server
		return true
	}
}

// close breaks both connections; again is fine.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.gone:
		return
	default:
	}
	close(l.gone)
	_ = l.client.Close()
	if l.server != nil {
		_ = l.server.Close()
	}
}

// pass waits out a stall and reports whether the link is still there.
func (l *link) pass() bool {
	select {
	case <-l.proxy.writeBlock():
		return true
	case <-l.gone:
		return false
	}
}

// forward copies one way what through lets through. Whoever ends first ends
// the link: PostgreSQL's protocol has no half of a connection.
func (l *link) forward(to, from net.Conn, through func([]byte) []byte) error {
	defer l.close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		let := through(buffer[:n])
		if !l.pass() {
			return nil
		}
		if _, err := to.Write(let); err != nil {
			return err
		}
		if err != nil {
			return err
		}
	}
}

// question looks at the client's bytes before the server has them, so that no
// part of the answer slips through.
func (l *link) question(sent []byte) []byte {
	if _, rest, found := bytes.Cut(sent, []byte("application_name\x00")); found && l.name == "" {
		name, _, _ := bytes.Cut(rest, []byte{0})
		l.name = string(name)
	}
	if seen := l.proxy.watcher(); seen != nil && len(sent) > 0 {
		seen(l.name, sent)
	}
	if caught := l.proxy.spring(func(match []byte) bool { return l.asks(match, sent) }); caught != nil {
		l.hidden.Store(caught)
	}
	return sent
}

// asks reports whether the bytes, with the end of those before, hold match.
func (l *link) asks(match, sent []byte) bool {
	all := append(l.asked, sent...)
	l.asked = bytes.Clone(ending(all, len(match)-1))
	return bytes.Contains(all, match)
}

// reply hides the server's bytes where they are to be hidden, and breaks the
// link after the last.
func (l *link) reply(sent []byte) []byte {
	hidden := l.hidden.Load()
	if hidden == nil {
		return sent
	}
	hidden.answer = bytes.Clone(ending(append(hidden.answer, sent...), readyLength))
	if isReady(hidden.answer) {
		l.close()
		close(hidden.sprung)
	}
	return nil
}

// readyLength: ReadyForQuery is Z, its length of 5 in four bytes, and the
// transaction's state: https://www.postgresql.org/docs/current/protocol-message-formats.html
const readyLength = 6

func isReady(answer []byte) bool {
	return len(answer) == readyLength && bytes.HasPrefix(answer, []byte{'Z', 0, 0, 0, 5})
}

// ending is the last n bytes, or all of fewer.
func ending(b []byte, n int) []byte { return b[max(0, len(b)-max(0, n)):] }
