package lab

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// Interval is a time between two moments; an instant where they are the same, or in the wrong order.
type Interval struct{ From, To time.Time }

// Lasted is its length.
func (i Interval) Lasted() time.Duration { return max(0, i.To.Sub(i.From)) }

// Overlap is a time in which two servers both accepted writes.
type Overlap struct {
	A, B string // their names
	Interval
}

func (o Overlap) String() string { return fmt.Sprintf("%s and %s for %s", o.A, o.B, o.Lasted()) }

// Prober tries to write to each of its servers every 10 ms, and remembers who accepted that, and when.
//
// The write is a DEL of a key that is not there. Redis refuses it as any other write; where it accepts it, nothing has
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

// StartProber begins to probe the servers. Each is reached from where it runs: no cut of a network hides who accepts.
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

// next waits for the next try, and says whether there is one.
func (p *Prober) next(tick *time.Ticker) bool {
	select {
	case <-p.ctx.Done():
		return false
	case <-tick.C:
		return true
	}
}

// probe tries on one connection until that fails.
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
	for went := false; ; {
		sent := time.Now()
		answer, err := ask(conn, in, "DEL", "probe:"+r.Name)
		if err != nil {
			return
		}
		now := time.Now()
		if late := now.Sub(sent) > probeTimeout; late {
			went, sent = false, now
		}
		if strings.HasPrefix(answer, ":") {
			p.accept(r.Name, sent, now, went)
			went = true
		} else {
			went = false
		}
		if !p.next(tick) {
			return
		}
	}
}

// ask sends a command and waits for its answer of one line, however long that takes: a server that is frozen answers when
// it is thawed, and until then there is no second try in its socket.
func ask(conn net.Conn, in *bufio.Reader, args ...string) (string, error) {
	var cmd strings.Builder
	fmt.Fprintf(&cmd, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&cmd, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := conn.Write([]byte(cmd.String())); err != nil {
		return "", err
	}
	return in.ReadString('\n')
}

// accept notes an accepted try, which goes on with the interval of the last one or begins another. The server accepted
// it at some moment between sending and answer: so an interval goes from the answer to its first try, before which
// nothing is sure, to the sending of its last. An answer that came late, from a frozen or paused server, counts as sent
// when it came.
func (p *Prober) accept(name string, sent, answered time.Time, went bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if all := p.accepted[name]; went {
		all[len(all)-1].To = sent
		return
	}
	p.accepted[name] = append(p.accepted[name], Interval{From: answered, To: sent})
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
