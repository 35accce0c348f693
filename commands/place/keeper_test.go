package place

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/consultest"
	"resec/commands/expect"
	"resec/handlers"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// TestMain fails if a goroutine is left when all tests are over.
func TestMain(m *testing.M) { os.Exit(consultest.Main(m)) }

// keeper is the keeper of "me" with a real Redis, on the node "n" whose address is that of Redis.
func keeper(t *testing.T) (k *Keeper, r *lab.Redis, moves *[]cluster.Place, log *bytes.Buffer) {
	t.Helper()
	r, err := lab.ForTest(t).StartRedis("own")
	expect.OK(t, err)
	runID, err := r.Info("run_id")
	expect.OK(t, err)
	_, port, err := net.SplitHostPort(r.Addr)
	expect.OK(t, err)
	moves, log = new([]cluster.Place), new(bytes.Buffer)
	k = &Keeper{Me: cluster.Master{Peer: handlers.Peer{ID: "me", Address: r.Addr}, Node: "n"}, Interval: 10 * time.Millisecond,
		Creds: redis.Options{Timeout: 10 * time.Second, Name: "resec:me"}, Log: slog.New(slog.NewTextHandler(log, nil)),
		Own:   func() redis.Health { return redis.Health{Status: redis.Status{RunID: runID}} },
		Moved: func(p cluster.Place) { *moves = append(*moves, p) }}
	k.Port, err = strconv.Atoi(port)
	expect.OK(t, err)
	k.was = cluster.Place{Node: "n", Address: r.Addr}
	return k, r, moves, log
}

// A member is announced at the new address of its node once its Redis answers there.
func TestFollow(t *testing.T) {
	t.Parallel()
	k, r, moves, log := keeper(t)
	other := lab.Host()
	at := func(host string) string { return net.JoinHostPort(host, strconv.Itoa(k.Port)) }
	k.follow(t.Context(), "n", r.Host)
	k.follow(t.Context(), "n", other) // nothing listens there
	k.follow(t.Context(), "n", other)
	_, err := r.Do("CONFIG", "SET", "bind", r.Host+" "+other)
	expect.OK(t, err)
	k.follow(t.Context(), "n", other)
	k.follow(t.Context(), "n", other)
	want := []cluster.Place{{Node: "n", Address: r.Addr, KeptHost: r.Host}, {Node: "n", Address: at(other)}}
	if d := cmp.Diff(want, *moves); d != "" {
		t.Errorf("moves: %s", d)
	}
	expect.Equal(t, "kept", strings.Count(log.String(), "event=address_kept"), 1)
	expect.Equal(t, "moved", strings.Count(log.String(), "event=member_moved"), 1)
}

// What is no better than the old address is not announced.
func TestFollow_Keeps(t *testing.T) {
	t.Parallel()
	k, r, moves, _ := keeper(t)
	stranger, err := lab.ForTest(t).StartRedis("stranger")
	expect.OK(t, err)
	k.follow(t.Context(), "n", stranger.Host)
	kept := cluster.Place{Node: "n", Address: r.Addr, KeptHost: r.Host}
	if d := cmp.Diff([]cluster.Place{kept}, *moves); d != "" {
		t.Errorf("another redis answers there: %s", d)
	}
	healthy := k.Own
	k.Own = func() redis.Health { return redis.Health{Err: context.DeadlineExceeded} }
	other := lab.Host()
	_, err = r.Do("CONFIG", "SET", "bind", other)
	expect.OK(t, err)
	k.follow(t.Context(), "n", other)
	expect.Equal(t, "moves while our redis is unhealthy", len(*moves), 1)
	k.Own = healthy
	k.follow(t.Context(), "n", other)
	k.follow(t.Context(), "m", other)
	moved := cluster.Place{Node: "n", Address: net.JoinHostPort(other, strconv.Itoa(k.Port))}
	renamed := moved
	renamed.Node = "m"
	if d := cmp.Diff([]cluster.Place{kept, moved, renamed}, *moves); d != "" {
		t.Errorf("it answers there, and then its node has another name: %s", d)
	}
}

// A server that accepts and hangs, or closes each connection, is no evidence that our Redis is not at an address.
func TestFollow_NoEvidence(t *testing.T) {
	t.Parallel()
	for _, closes := range []bool{false, true} {
		k, r, moves, _ := keeper(t)
		k.Creds.Timeout = 100 * time.Millisecond
		mute, nobody := listenMute(t, closes), lab.Host()
		k.Port = mute.Port
		k.was.Address = mute.String()
		k.follow(t.Context(), "n", nobody)
		k.was = cluster.Place{Node: "n", Address: net.JoinHostPort(nobody, strconv.Itoa(mute.Port))}
		k.follow(t.Context(), "n", mute.IP.String())
		want := []cluster.Place{{Node: "n", Address: mute.String(), KeptHost: mute.IP.String()},
			{Node: "n", Address: net.JoinHostPort(nobody, strconv.Itoa(mute.Port)), KeptHost: nobody}}
		if d := cmp.Diff(want, *moves); d != "" {
			t.Errorf("%s, closes %t: %s", r.Addr, closes, d)
		}
	}
}

// listenMute listens on a host of its own, and answers nothing. It closes each connection, or keeps it.
func listenMute(t *testing.T, closes bool) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(lab.Host(), "0"))
	expect.OK(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if closes {
				_ = c.Close()
			} else {
				t.Cleanup(func() { _ = c.Close() })
			}
		}
	})
	t.Cleanup(func() { _ = l.Close(); serving.Wait() })
	return l.Addr().(*net.TCPAddr)
}

// A member that followed its node while both addresses refused is announced at the former one again when its Redis answers there,
// and at the new one for good when it answers there.
func TestFollow_Returns(t *testing.T) {
	t.Parallel()
	k, r, moves, log := keeper(t)
	at := func(host string) string { return net.JoinHostPort(host, strconv.Itoa(k.Port)) }
	bind := func(hosts string) {
		t.Helper()
		_, err := r.Do("CONFIG", "SET", "bind", hosts)
		expect.OK(t, err)
	}
	elsewhere, other := lab.Host(), lab.Host()
	k.was.Address = at(elsewhere) // nobody listens there, nor at the new address
	k.follow(t.Context(), "n", other)
	k.follow(t.Context(), "n", other)
	bind(r.Host + " " + elsewhere)
	k.follow(t.Context(), "n", other)
	k.follow(t.Context(), "n", other)
	bind(r.Host + " " + other)
	k.follow(t.Context(), "n", other)
	bind(r.Host + " " + elsewhere)
	k.follow(t.Context(), "n", other) // it was seen at the new one, and that is still its node's
	want := []cluster.Place{{Node: "n", Address: at(other)}, {Node: "n", Address: at(elsewhere), KeptHost: elsewhere},
		{Node: "n", Address: at(other)}}
	if d := cmp.Diff(want, *moves); d != "" {
		t.Errorf("moves: %s", d)
	}
	expect.Equal(t, "moved", strings.Count(log.String(), "event=member_moved"), 3)
}

// An address that is configured stays; only the node's name is followed.
func TestFollow_ConfiguredHost(t *testing.T) {
	t.Parallel()
	k, r, moves, _ := keeper(t)
	k.Host = "redis.example"
	k.follow(t.Context(), "n", lab.Host())
	k.follow(t.Context(), "m", lab.Host())
	if d := cmp.Diff([]cluster.Place{{Node: "m", Address: r.Addr}}, *moves); d != "" {
		t.Error(d)
	}
}

// The node is read from Consul's agent once an interval. An outage is logged once.
func TestRun(t *testing.T) {
	t.Parallel()
	k, r, _, log := keeper(t)
	k.Client = consultest.Consul(t).Client
	node, addr, err := catalog.Node(t.Context(), k.Client)
	expect.OK(t, err)
	_, err = r.Do("CONFIG", "SET", "bind", r.Host+" "+addr)
	expect.OK(t, err)
	moved := make(chan cluster.Place, 1)
	k.Moved = func(p cluster.Place) { moved <- p }
	ctx, cancel := context.WithTimeout(t.Context(), expect.Patience)
	defer cancel()
	var done sync.WaitGroup
	done.Go(func() { k.Run(ctx) })
	want := cluster.Place{Node: node, Address: net.JoinHostPort(addr, strconv.Itoa(k.Port))}
	select {
	case got := <-moved:
		expect.Equal(t, "place", got, want)
	case <-ctx.Done():
		t.Error("the member did not move")
	}
	cancel()
	done.Wait()
	expect.Equal(t, "moved", strings.Count(log.String(), "event=member_moved"), 1)
}

// Other hosts do not reach a loopback address.
func TestMovesToLoopback(t *testing.T) {
	for _, tt := range []struct {
		addr, old string
		want      bool
	}{
		{"127.0.0.1:1", "10.0.0.1:1", true}, {"[::1]:1", "redis:1", true}, {"127.0.0.1:1", "127.0.0.2:1", false},
		{"10.0.0.2:1", "10.0.0.1:1", false}, {"10.0.0.2:1", "127.0.0.1:1", false}, {"redis:1", "10.0.0.1:1", false},
	} {
		expect.Equal(t, tt.addr+" after "+tt.old, movesToLoopback(tt.addr, tt.old), tt.want)
	}
}
