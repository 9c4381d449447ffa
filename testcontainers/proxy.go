package testcontainers

import (
	"net"
	"net/url"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"
)

// Proxy stands between clients and a server, and misbehaves as networks do:
// connections break, or hang, or break just before an answer arrives. It knows
// nothing of TLS; DSNs of this package ask for none.
type Proxy struct {
	listener net.Listener
	work     errgroup.Group // accepts and forwards; errors are the connections' own

	mu     sync.Mutex
	target string
	cut    bool
	flow   chan struct{} // closed while bytes are let through
	links  map[*link]struct{}
	trap   *trap  // set by HideAnswer until a message springs it
	brake  []byte // set by StallAt until a message holds it
	seen   func(application string, sent []byte)
}

// StartProxy listens on a free port of loopback and leads to target
// (host:port, see [Server.Addr] and [PgBouncer.Addr]) until the test ends.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("testcontainers: proxy for %s: %v", target, err)
	}
	flow := make(chan struct{})
	close(flow)
	p := &Proxy{target: target, listener: listener, flow: flow, links: map[*link]struct{}{}}
	p.work.Go(p.accept)
	t.Cleanup(p.stop)
	return p
}

// Addr is host:port for clients; it stays the same over Cut and Heal.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Through is the DSN (a URL, as all of this package) by way of the proxy.
func (p *Proxy) Through(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return dsn // the caller's connect tells what is wrong with it
	}
	u.Host = p.Addr()
	return u.String()
}

// Lead leads new connections to another server, as an address does that moves
// with a failover. Those that stand are left alone.
func (p *Proxy) Lead(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

func (p *Proxy) leadsTo() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.target
}

// Cut breaks all connections and from now on each new one at once, before a
// byte went either way. What the server already has it acts upon.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for l := range p.links {
		l.close()
	}
}

// Stall keeps connections, takes new ones, and forwards nothing in either
// direction, not even that one side hung up, until Heal or Cut. Bytes that were
// on their way when it was called may still arrive.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stall()
}

// stall is Stall under the lock.
func (p *Proxy) stall() {
	select {
	case <-p.flow: // closed: bytes flow
		p.flow = make(chan struct{})
	default:
	}
}

// StallAt is Stall at the moment when a client sends bytes that contain match:
// they are the first that do not arrive. Once only; Heal takes it back.
func (p *Proxy) StallAt(match []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.brake = match
}

// Watch tells what clients send, message by message, with the application_name
// of the session, before the server has it: a test can stop a client at a very
// statement. Called by several sessions at once; nil ends it.
func (p *Proxy) Watch(seen func(application string, sent []byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = seen
}

func (p *Proxy) watcher() func(string, []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

// Heal ends Cut and Stall. What a stall held back arrives now, in order.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.brake = false, nil
	select {
	case <-p.flow:
	default:
		close(p.flow)
	}
}

// HideAnswer waits for the next bytes of a client that contain match (pgx sends
// "commit" for tx.Commit) and lets them through, but nothing of the server's
// answer. Once the server is ready for the next query, so that it surely has
// acted, that client's connections break and the channel is closed. Once only,
// on one connection; others are forwarded as ever.
//
// The match must be in the message that acts: the answer to the preparation of
// a statement ends the same way.
func (p *Proxy) HideAnswer(match []byte) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trap = &trap{match: match, sprung: make(chan struct{})}
	return p.trap.sprung
}

func (p *Proxy) stop() {
	_ = p.listener.Close() // ends accept
	p.Cut()
	_ = p.work.Wait()
}

func (p *Proxy) accept() error {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return err
		}
		if l := p.admit(client); l != nil {
			p.work.Go(l.carry)
		}
	}
}

// admit makes a link of a client's connection unless connections are cut.
func (p *Proxy) admit(client net.Conn) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		_ = client.Close()
		return nil
	}
	l := &link{proxy: p, client: client, gone: make(chan struct{})}
	p.links[l] = struct{}{}
	return l
}

func (p *Proxy) forget(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// writeBlock is closed while bytes flow.
func (p *Proxy) writeBlock() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.flow
}

// spring gives the trap to a client whose bytes hold its match, and stalls at
// those that StallAt waits for.
func (p *Proxy) spring(matches func([]byte) bool) *trap {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.brake != nil && matches(p.brake) {
		p.brake = nil
		p.stall()
	}
	sprung := p.trap
	if sprung == nil || !matches(sprung.match) {
		return nil
	}
	p.trap = nil
	return sprung
}
