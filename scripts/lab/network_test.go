package lab_test

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

func TestNetwork_Cuts(t *testing.T) {
	n, err := lab.ForTest(t).NewNetwork()
	if err != nil {
		t.Fatal(err)
	}
	a, err := n.Host("a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := n.Host("b")
	if err != nil {
		t.Fatal(err)
	}
	// What listens on b: a process there, for a listener of ours would live in this process's namespace.
	l := lab.ForTest(t)
	redis, err := l.Start("redis", nil, b.In("redis-server", "--bind", b.Addr, "--protected-mode", "no", "--save", "")...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(redis.Output())
		}
	})
	dial := func() (net.Conn, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		return a.Dial(ctx, "tcp", b.Addr+":6379")
	}
	ping := func(c net.Conn) error {
		_ = c.SetDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := c.Write([]byte("PING\r\n")); err != nil {
			return err
		}
		_, err := c.Read(make([]byte, 7))
		return err
	}
	var open net.Conn
	lab.Eventually(t, 5*time.Second, func() (err error) { open, err = dial(); return err })
	defer open.Close()
	for _, c := range []struct {
		cut           lab.Cut
		wantNew, open error // what a new connection and an open one get
	}{
		{lab.Drop, context.DeadlineExceeded, context.DeadlineExceeded},
		{lab.Refuse, syscall.ECONNREFUSED, nil},
		{lab.Reset, syscall.ECONNREFUSED, syscall.ECONNRESET},
	} {
		if err := ping(open); err != nil {
			t.Fatalf("before %q: %v", c.cut, err)
		}
		if err := n.Cut(a, b, c.cut); err != nil {
			t.Fatal(err)
		}
		if conn, err := dial(); !is(err, c.wantNew) {
			t.Errorf("%q: a new connection got %v %v, want %v", c.cut, conn, err, c.wantNew)
		}
		if err := ping(open); !is(err, c.open) {
			t.Errorf("%q: an open connection got %v, want %v", c.cut, err, c.open)
		}
		if err := n.Heal(a, b); err != nil {
			t.Fatal(err)
		}
		if c.cut == lab.Drop { // TCP sends again what was dropped
			lab.Eventually(t, 5*time.Second, func() error { return ping(open) })
			open.Close()
			if open, err = dial(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// is compares, all kinds of timeout being one.
func is(err, want error) bool {
	var ne net.Error
	if want == context.DeadlineExceeded && errors.As(err, &ne) && ne.Timeout() {
		return true
	}
	return errors.Is(err, want)
}

func TestNetwork_Isolate(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	n, err := l.NewNetwork()
	ok(t, err)
	var hosts []*lab.NetHost
	for _, name := range []string{"a", "b", "c"} {
		h, err := n.Host(name)
		ok(t, err)
		hosts = append(hosts, h)
		_, err = l.Start(name, nil, h.In("redis-server", "--bind", h.Addr, "--protected-mode", "no", "--save", "")...)
		ok(t, err)
	}
	a, b, c := hosts[0], hosts[1], hosts[2]
	reaches := func(from, to *lab.NetHost) bool {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		conn, err := from.Dial(ctx, "tcp", to.Addr+":6379")
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	for _, h := range hosts {
		lab.Eventually(t, 5*time.Second, func() error {
			if !reaches(h, h) {
				return errors.New("redis is not up yet")
			}
			return nil
		})
	}
	check := func(what string, err error, ab, bc, ac bool) {
		t.Helper()
		ok(t, err)
		if reaches(a, b) != ab || reaches(b, c) != bc || reaches(c, a) != ac || !reaches(a, a) {
			t.Errorf("%s: a-b %t, b-c %t, c-a %t, a-a %t", what, reaches(a, b), reaches(b, c), reaches(c, a), reaches(a, a))
		}
	}
	check("nothing is cut", nil, true, true, true)
	check("a is alone but for c", n.Isolate(a, lab.Drop, c), false, true, true)
	check("c is alone too", n.Isolate(c, lab.Reset), false, false, false)
	check("a is healed", n.HealAll(a), true, false, true)
	check("all is healed", n.HealAll(), true, true, true)
	check("b is not heard by c", n.CutOneWay(b, c, lab.Drop), true, false, true)
}
