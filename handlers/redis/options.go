package redis

import (
	"cmp"
	"crypto/tls"
	"time"
)

// Options say how a server is reached.
type Options struct {
	Addr        string             // host:port
	Login       func() Login       // called for each connection; nil: no authentication
	Replication func() Login       // of a replica at its master; nil: the same as Login
	TLS         func() *tls.Config // called for each connection; nil: no TLS
	Name        string             // CLIENT SETNAME, "resec:<id>"
	Timeout     time.Duration      // of one command, and of one dial
	Ping        time.Duration      // interval of the pings between two probes of Watch; 0: pingInterval
	Idle        time.Duration      // TCP keep-alive interval of the command connection; 0: the same as Ping
	Counters    Counters           // counts what is done; nil: nothing is counted

	sent *sentPasswords // set by Open and NewEmergencyFence
}

// pingInterval bounds how late a server that hangs is noticed. Pings are most of what an idle agent does.
const pingInterval = 200 * time.Millisecond

// idleInterval is the keep-alive interval of a command connection to a server that Watch probes anyway.
const idleInterval = time.Second

// peerPingInterval is how often a connection to another member's server is pinged. That member's own agent does so more often.
const peerPingInterval = time.Second

// At returns the same options for the server at addr (host:port).
func (o Options) At(addr string) Options {
	o.Addr = addr
	return o
}

// AtPeer returns the same options for another member's server at addr (host:port) that is watched.
func (o Options) AtPeer(addr string) Options {
	o.Addr, o.Ping = addr, peerPingInterval
	return o
}

// WithTimeout returns the same options with the timeout d for each command and each dial.
func (o Options) WithTimeout(d time.Duration) Options {
	o.Timeout = d
	return o
}

// WithIdlePing returns the same options for a server that Watch probes. A command under way has a deadline of its own, so the
// command connection needs few keep-alive packets.
func (o Options) WithIdlePing() Options {
	o.Idle = idleInterval
	return o
}

func (o Options) ping() time.Duration { return cmp.Or(o.Ping, pingInterval) }

func (o Options) keepAlive() time.Duration { return cmp.Or(o.Idle, o.ping()) }
