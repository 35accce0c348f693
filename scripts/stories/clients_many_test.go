package stories_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"resec/scripts/lab"
)

// A thousand clients have subscribed to an endpoint, and half of them read nothing. At a planned move the others are told of the
// new master, none before it accepts writes, and the endpoint takes little memory.
func TestClients02_AThousandSubscribers(t *testing.T) {
	t.Parallel()
	bin, err := lab.Build(t.TempDir()) // without the race detector, which takes memory of its own
	ok(t, err)
	k := planned(t, lab.Plan{Members: 3, StartParked: true})
	started(t, k)
	port, err := lab.FreePort("127.0.0.1")
	ok(t, err)
	addr := net.JoinHostPort("127.0.0.1", fmt.Sprint(port))
	endpoint, err := lab.ForTest(t).Start("endpoint", k.Env, bin, "sentinel", "-sentinel-addr", addr)
	ok(t, err)
	const subscribers = 1000
	var told, refused atomic.Int64
	var reading sync.WaitGroup
	var conns []net.Conn
	for i := range subscribers {
		conn := subscribe(t, addr)
		conns = append(conns, conn)
		if i%2 == 0 {
			continue
		}
		reading.Go(func() {
			for in := bufio.NewReader(conn); ; {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if strings.HasPrefix(line, k.Name+" ") && strings.Count(line, " ") == 4 { // the message of +switch-master
					if i < 20 && !takesWrite(strings.Fields(line)) {
						refused.Add(1)
					}
					told.Add(1)
				}
			}
		})
	}
	switchedOver(t, k)
	lab.Eventually(t, patience, func() error {
		if n := told.Load(); n != subscribers/2 {
			return fmt.Errorf("%d of %d were told", n, subscribers/2)
		}
		return nil
	})
	if n := refused.Load(); n > 0 {
		t.Errorf("%d were told of a master that did not accept writes yet", n)
	}
	usage, err := endpoint.Usage()
	ok(t, err)
	t.Logf("%d subscribers: the endpoint takes %d MB", subscribers, usage.RSS>>20)
	if usage.RSS > 64<<20 {
		t.Errorf("the endpoint takes %d MB", usage.RSS>>20)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	reading.Wait()
	ok(t, errors.Join(k.Stop(), endpoint.Sane()))
}

// takesWrite reports whether the new master of a +switch-master message accepts a write at once.
func takesWrite(message []string) bool {
	conn, err := net.Dial("tcp", net.JoinHostPort(message[3], message[4]))
	if err != nil {
		return false
	}
	defer conn.Close()
	if _, err := fmt.Fprint(conn, "SET told 1\r\n"); err != nil {
		return false
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && answer == "+OK\r\n"
}

// subscribe returns a connection that has subscribed to +switch-master.
func subscribe(t *testing.T, addr string) (conn net.Conn) {
	t.Helper()
	lab.Eventually(t, patience, func() (err error) {
		conn, err = net.Dial("tcp", addr)
		return err
	})
	_, err := fmt.Fprint(conn, "SUBSCRIBE +switch-master\r\n")
	ok(t, err)
	return conn
}
