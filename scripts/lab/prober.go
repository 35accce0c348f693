package lab

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Interval is a time between two moments; an instant if they are equal or in the wrong order.
type Interval struct{ From, To time.Time }

// Lasted is its length.
func (i Interval) Lasted() time.Duration { return max(0, i.To.Sub(i.From)) }

// Overlap is a time in which two servers both accepted writes.
type Overlap struct {
	A, B string // their names
	Interval
}

func (o Overlap) String() string { return fmt.Sprintf("%s and %s for %s", o.A, o.B, o.Lasted()) }

// Prober tries to write to each of its servers every 10 ms, and records which server accepted a write, and when.
//
// The write is a DEL of a key that is not there. Redis refuses it as any other write; if it accepts it, nothing has
// changed: no key, no offset, no history that forks.
type Prober struct {
	ctx  context.Context
	stop context.CancelFunc
	all  sync.WaitGroup

	mu       sync.Mutex
	accepted map[string][]Interval
}

const (
	probeEvery   = 10 * time.Millisecond
	probeTimeout = 100 * time.Millisecond
)

// StartProber starts to probe the servers. It connects from their own hosts, so that no cut of a network hides a server that
// accepts writes.
func StartProber(ctx context.Context, servers ...*Redis) *Prober {
	p := &Prober{accepted: map[string][]Interval{}}
	p.ctx, p.stop = context.WithCancel(ctx)
	for _, r := range servers {
		p.Add(r)
	}
	return p
}

// Add adds a server.
func (p *Prober) Add(r *Redis) {
	p.all.Go(func() {
		tick := time.NewTicker(probeEvery)
		defer tick.Stop()
		for p.ctx.Err() == nil {
			p.probe(r, tick)
			p.next(tick)
		}
	})
}

// next waits for the next try, and reports whether there is one.
func (p *Prober) next(tick *time.Ticker) bool {
	select {
	case <-p.ctx.Done():
		return false
	case <-tick.C:
		return true
	}
}

// probe tries on one connection until that fails, however long an answer takes: a server that is frozen answers when it is
// thawed, and until then there is no second try in its socket.
func (p *Prober) probe(r *Redis, tick *time.Ticker) {
	ctx, cancel := context.WithTimeout(p.ctx, probeTimeout)
	defer cancel()
	conn, err := r.Dial(ctx, "tcp", r.Addr)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(p.ctx, func() { _ = conn.Close() })()
	in := bufio.NewReader(conn)
	if r.password != "" {
		if _, err := ask(conn, in, "AUTH", r.password); err != nil {
			return
		}
	}
	var last time.Time // of the tries in a row that were accepted
	for {
		at, ok, err := try(conn, in, "probe:"+r.Name)
		if err != nil {
			return
		}
		if ok {
			p.accept(r.Name, at, !last.IsZero() && at.Sub(last) <= probeTimeout)
			last = at
		} else {
			last = time.Time{}
		}
		if !p.next(tick) {
			return
		}
	}
}

// try tries to write, and returns whether the write was accepted, and when. The next command on the connection reads the server's
// clock, so the time is known however late the answer is read.
func try(conn net.Conn, in *bufio.Reader, key string) (at time.Time, accepted bool, err error) {
	if _, err := conn.Write([]byte(resp("DEL", key) + resp("TIME"))); err != nil {
		return at, false, err
	}
	answer, err := in.ReadString('\n')
	if err != nil {
		return at, false, err
	}
	head, err := in.ReadString('\n')
	if err != nil || !strings.HasPrefix(head, "*2") {
		return at, false, err
	}
	var clock [2]int64
	for i := range clock {
		if _, err = in.ReadString('\n'); err != nil {
			return at, false, err
		}
		text, err := in.ReadString('\n')
		if err != nil {
			return at, false, err
		}
		if clock[i], err = strconv.ParseInt(strings.TrimSpace(text), 10, 64); err != nil {
			return at, false, err
		}
	}
	return time.Unix(clock[0], clock[1]*1000), strings.HasPrefix(answer, ":"), nil
}

// ask sends a command and waits for its answer of one line.
func ask(conn net.Conn, in *bufio.Reader, args ...string) (string, error) {
	if _, err := conn.Write([]byte(resp(args...))); err != nil {
		return "", err
	}
	return in.ReadString('\n')
}

// resp is a command as Redis reads it.
func resp(args ...string) string {
	var cmd strings.Builder
	fmt.Fprintf(&cmd, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&cmd, "$%d\r\n%s\r\n", len(a), a)
	}
	return cmd.String()
}

// accept notes an accepted try, which continues with the interval of the last one or begins another.
func (p *Prober) accept(name string, at time.Time, went bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if all := p.accepted[name]; went {
		all[len(all)-1].To = at
		return
	}
	p.accepted[name] = append(p.accepted[name], Interval{From: at, To: at})
}

// Stop ends the probing.
func (p *Prober) Stop() {
	p.stop()
	p.all.Wait()
}

// Accepted are the times in which a server accepted writes, by its name.
func (p *Prober) Accepted() map[string][]Interval {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string][]Interval{}
	for name, all := range p.accepted {
		out[name] = slices.Clone(all)
	}
	return out
}

// Overlaps are the times in which two servers accepted writes: of each, one was accepted before one that the other
// accepted, and one after.
func (p *Prober) Overlaps() (out []Overlap) {
	all := p.Accepted()
	names := slices.Sorted(maps.Keys(all))
	for i, a := range names {
		for _, b := range names[i+1:] {
			for _, x := range all[a] {
				for _, y := range all[b] {
					if !x.From.After(y.To) && !y.From.After(x.To) {
						out = append(out, Overlap{a, b, Interval{latest(x.From, y.From), earliest(x.To, y.To)}})
					}
				}
			}
		}
	}
	return out
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
