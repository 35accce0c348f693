package sentinel

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// requestTimeout bounds the time from the connection to the first request, and to the authentication, and from the first byte
// of a request to its last one. A client that vanished is noticed by the keep-alive messages that Go's listeners have by default.
const requestTimeout = 10 * time.Second

// conn is one client.
//
// The goroutine of run reads its requests and answers them, one at a time. It alone uses what has no lock. The goroutine of the
// outbox writes. deliver is called by whoever publishes.
type conn struct {
	raw    net.Conn // to disconnect the client at once
	net    net.Conn // with TLS, if there is any
	server *Server
	id     int64
	since  time.Time
	out    *outbox

	authenticated  bool
	anonymousSince time.Time // until authenticated is set
	silent         bool      // CLIENT REPLY OFF
	skipNext       bool      // CLIENT REPLY SKIP
	closing        bool      // after the answer

	mu      sync.Mutex // guards the rest, which deliver and CLIENT LIST read
	resp3   bool
	subs    subscriptions
	name    string
	library string
	version string
	last    string // command
	lastAt  time.Time
}

func newConn(s *Server, raw net.Conn) *conn {
	now, nc := time.Now(), raw
	if s.TLS != nil {
		nc = tls.Server(raw, s.TLS)
	}
	return &conn{raw: raw, net: nc, server: s, id: s.ids.Add(1), since: now, anonymousSince: now, lastAt: now,
		out: newOutbox(), subs: newSubscriptions()}
}

// run answers until the client leaves, breaks a limit, or the server closes.
func (c *conn) run() {
	var writing sync.WaitGroup
	writing.Go(func() {
		if c.out.run(c.net) != nil {
			_ = c.raw.Close() // so that no request is read any more
		}
	})
	if err := c.answerAll(); errors.Is(err, errSlow) {
		c.drop()
	}
	c.out.end()
	writing.Wait()
	_ = c.net.Close()
}

// answerAll returns an error that has ended the connection, and nil after QUIT.
func (c *conn) answerAll() error {
	in := newRequestReader(c.net)
	for !c.closing {
		if err := c.awaitRequest(in); err != nil {
			return err
		}
		args, err := in.read()
		if errors.Is(err, errProtocol) {
			return errors.Join(err, c.send(failure(err.Error())))
		}
		if err != nil {
			return err
		}
		if err := c.send(c.answer(args)); err != nil {
			return err
		}
	}
	return nil
}

// awaitRequest waits for the first byte of a request: as long as it takes, once the client has authenticated and sent one. It
// leaves the time in which the whole request must come.
func (c *conn) awaitRequest(in *requestReader) error {
	deadline := c.anonymousSince.Add(requestTimeout)
	if c.last != "" && c.permitted() {
		deadline = time.Time{}
	}
	if err := c.net.SetReadDeadline(deadline); err != nil {
		return err
	}
	if err := in.await(); err != nil {
		return err
	}
	return c.net.SetReadDeadline(time.Now().Add(requestTimeout))
}

// send adds an answer; nil is none.
func (c *conn) send(r reply) error {
	if r == nil {
		return nil
	}
	c.mu.Lock()
	resp3 := c.resp3
	c.mu.Unlock()
	return c.out.add(func(b []byte) []byte { return r.append(b, resp3) })
}

// drop disconnects a client that does not read what it is sent.
func (c *conn) drop() {
	c.server.Log.Info("a client of the sentinel endpoint does not read; it is disconnected", "event", "sentinel_client_dropped",
		"client", c.net.RemoteAddr().String())
	_ = c.raw.Close()
}

// deliver sends the events to which the client has subscribed. A client that does not read is disconnected.
func (c *conn) deliver(all []event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range all {
		for _, m := range c.subs.messages(e) {
			if c.out.add(func(b []byte) []byte { return m.append(b, c.resp3) }) != nil {
				c.drop()
				return
			}
		}
	}
}
