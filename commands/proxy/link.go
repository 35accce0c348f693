package proxy

import (
	"net"
	"sync/atomic"
	"time"

	"resec/commands/topology"
)

// keepAlive is after how long a client or a target that vanished is noticed.
const keepAlive = 60 * time.Second

// link is a client that is connected to a target.
type link struct {
	client, redis *net.TCPConn
	to            topology.Instance
	passed        [2]atomic.Int64
}

// bytes are those that were passed on until now.
func (l *link) bytes() int64 { return l.passed[0].Load() + l.passed[1].Load() }

// end disconnects both sides, which ends both relays.
func (l *link) end() {
	_ = l.client.Close()
	_ = l.redis.Close()
}

// alive makes a peer that vanished be noticed.
func alive(c *net.TCPConn) {
	_ = c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepAlive / 2, Interval: keepAlive / 6, Count: 3})
}
