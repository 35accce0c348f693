package sentinel

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"resec/commands/expect"
	"resec/commands/topology"
	"resec/scripts/lab"
)

// differences are the requests that an endpoint answers otherwise than Redis 7.0's Sentinel, and why.
var differences = map[string]string{
	"QUIT":                                "Redis's Sentinel refuses it since 7.0; clients send it as they close",
	"RESET":                               "Redis's Sentinel refuses it since 7.0; clients with a pool send it",
	"CLIENT SETINFO LIB-NAME x":           "Redis knows it since 7.2",
	"CLIENT NO-TOUCH on":                  "Redis knows it since 7.2",
	"SENTINEL GET-PRIMARY-ADDR-BY-NAME n": "Valkey's name",
	"SENTINEL PRIMARY n":                  "Valkey's name",
	"SENTINEL PRIMARIES":                  "Valkey's name",
	"SENTINEL SET n quorum 2":             "an endpoint has no configuration",
	"SENTINEL MONITOR x 127.0.0.1 1 0":    "an endpoint has no configuration",
	"SENTINEL REMOVE x":                   "an endpoint has no configuration",
	"SENTINEL CONFIG GET *":               "an endpoint has no configuration",
	"COMMAND DOCS PING":                   "it describes no command; redis-cli then shows no hints",
}

// Each request is answered as by a real Sentinel of the same cluster: the same kinds of values, the same names of fields in the
// same order, the same errors, in both protocols. What differs is in differences, and differs.
func TestCompare_RealSentinel(t *testing.T) {
	l := lab.New(t.TempDir())
	t.Cleanup(l.Close)
	master, err := l.StartRedis("master")
	expect.OK(t, err)
	replica, err := l.StartRedis("replica")
	expect.OK(t, err)
	host, port := hostPort(replica.Addr)
	_, err = replica.Do("CONFIG", "SET", "replica-announce-ip", host, "replica-announce-port", port)
	expect.OK(t, err)
	host, port = hostPort(master.Addr)
	_, err = replica.Do("REPLICAOF", host, port)
	expect.OK(t, err)
	sentinels := []string{startSentinel(t, l, master), startSentinel(t, l, master)}
	eachSees(t, sentinels)
	s := serving(t)
	s.Publish(Topology{Name: "n", Master: topology.Instance{Addr: master.Addr, RunID: strings.Repeat("a", 40), Version: "7.0.15", Up: true},
		Replicas:  []topology.Instance{{Addr: replica.Addr, RunID: strings.Repeat("b", 40), Version: "7.0.15", Up: true}},
		Endpoints: []topology.Peer{{ID: "own", Addr: sentinels[0]}, {ID: strings.Repeat("c", 40), Addr: sentinels[1]}}, Reachable: true})
	requests := []string{
		"PING", "PING a", "PING a b", "HELLO x", "HELLO 4", "AUTH x", "AUTH a b", "AUTH default x", "ROLE", "GET a", "GET a b c", "SELECT 0", "ECHO a",
		"COMMAND COUNT", "COMMAND DOCS PING", "QUIT", "RESET", "PUBLISH a b", "INFO", "INFO server", "INFO sentinel",
		"CLIENT", "CLIENT x", "CLIENT ID", "CLIENT INFO", "CLIENT LIST", "CLIENT GETNAME", "CLIENT SETNAME a", "CLIENT GETNAME", "CLIENT REPLY ON",
		"CLIENT REPLY x", "CLIENT TRACKING ON OPTIN", "CLIENT NO-EVICT on", "CLIENT NO-TOUCH on", "CLIENT SETINFO LIB-NAME x",
		"SENTINEL", "SENTINEL x", "SENTINEL MASTERS", "SENTINEL MASTER n", "SENTINEL MASTER x", "SENTINEL MASTER", "SENTINEL REPLICAS n",
		"SENTINEL REPLICAS x", "SENTINEL SLAVES n", "SENTINEL SENTINELS n", "SENTINEL SENTINELS x", "SENTINEL GET-MASTER-ADDR-BY-NAME n",
		"SENTINEL GET-MASTER-ADDR-BY-NAME x", "SENTINEL CKQUORUM n", "SENTINEL CKQUORUM x", "SENTINEL MYID", "SENTINEL INFO-CACHE n",
		"SENTINEL INFO-CACHE x", "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 0 *", "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 x 0 *",
		"SENTINEL FAILOVER x", "SENTINEL RESET x", "SENTINEL PENDING-SCRIPTS", "SENTINEL FLUSHCONFIG", "SENTINEL CONFIG GET *",
		"SENTINEL SET n quorum 2", "SENTINEL MONITOR x 127.0.0.1 1 0", "SENTINEL REMOVE x",
		"SENTINEL PRIMARIES", "SENTINEL PRIMARY n", "SENTINEL GET-PRIMARY-ADDR-BY-NAME n",
		"UNSUBSCRIBE", "PUNSUBSCRIBE a", "SUBSCRIBE a", "PSUBSCRIBE b", "PING", "PING a", "ROLE", "UNSUBSCRIBE", "PUNSUBSCRIBE",
		"SUBSCRIBE", "HELLO 2 SETNAME", "HELLO 2 AUTH a b", "SENTINEL RESET *", // the last: it makes the real one forget
	}
	for known := range differences {
		if !slices.Contains(requests, known) {
			t.Errorf("%s is not compared", known)
		}
	}
	for _, proto := range []string{"HELLO 2", "HELLO 3"} {
		for _, batch := range batches(requests) {
			real, ours := dial(t, sentinels[0]), dial(t, s.addr())
			for _, request := range slices.Concat([]string{proto}, batch) {
				if proto == "HELLO 2" && request == "HELLO 3" {
					continue
				}
				want, got := shape(t, real, request), shape(t, ours, request)
				why, differs := differences[request]
				if differs != (want != got) {
					t.Errorf("%s, %s (%s)\nreal %s\nours %s", proto, request, why, want, got)
				}
			}
		}
		eachSees(t, sentinels)
	}
}

// batches are the requests for one connection each: after QUIT there is another, and a subscriber is one of its own.
func batches(requests []string) (out [][]string) {
	for i, r := range requests {
		if i == 0 || requests[i-1] == "QUIT" || requests[i-1] == "RESET" || r == "UNSUBSCRIBE" && requests[i-1] != "ROLE" {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], r)
	}
	return out
}

var portNumber = regexp.MustCompile(`\d{4,5}`)

// shape asks, and returns what kinds of values the answer has.
func shape(t *testing.T, c *client, request string) string {
	t.Helper()
	c.send(request)
	v, err := c.value(true) // without the values of strings and numbers
	expect.OK(t, err)
	return portNumber.ReplaceAllString(v, "PORT")
}

func startSentinel(t *testing.T, l *lab.Lab, master *lab.Redis) (addr string) {
	t.Helper()
	port, err := lab.FreePort("127.0.0.1")
	expect.OK(t, err)
	host, masterPort := hostPort(master.Addr)
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	expect.OK(t, os.WriteFile(conf, fmt.Appendf(nil, "port %d\nbind 127.0.0.1\nsentinel monitor n %s %s 2\n", port, host, masterPort), 0o600))
	_, err = l.Start(fmt.Sprint("sentinel-", port), nil, "redis-server", conf, "--sentinel")
	expect.OK(t, err)
	return joinPort("127.0.0.1", port)
}

// eachSees waits until each Sentinel knows the other one and the replica.
func eachSees(t *testing.T, sentinels []string) {
	t.Helper()
	lab.Eventually(t, expect.Patience, func() error {
		for _, addr := range sentinels {
			c, err := tryDial(t, addr)
			if err != nil {
				return err
			}
			defer c.conn.Close()
			if got := c.ask("SENTINEL MASTERS"); !strings.Contains(got, " num-slaves 1 num-other-sentinels 1 ") {
				return fmt.Errorf("%s: %s", addr, got)
			}
			if got := c.ask("SENTINEL REPLICAS n"); !strings.Contains(got, " master-link-status ok ") {
				return fmt.Errorf("%s: %s", addr, got)
			}
		}
		return nil
	})
}
