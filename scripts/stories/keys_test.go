package stories_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"resec/scripts/lab"
)

// keys are n keys of one prefix, each with a value of its own, padded to a size.
type keys struct {
	prefix  string
	n, size int
}

// batch is how many of them one script deals with: one that takes longer would keep the server from answering its agent.
func (s keys) batch() int { return min(s.n, max(1, 2_000_000/(s.size+1000))) }

// each runs a script on batches of the keys. The script has their prefix, the first and the one after the last, and the
// padding's length.
func (s keys) each(r *lab.Redis, script string) (sum int, err error) {
	for from := 0; from < s.n; from += s.batch() {
		got, err := r.Do("EVAL", script, "0", s.prefix, strconv.Itoa(from), strconv.Itoa(min(from+s.batch(), s.n)), strconv.Itoa(s.size))
		if err != nil {
			return 0, fmt.Errorf("keys %s:%d… on %s: %w", s.prefix, from, r.Name, err)
		}
		n, err := strconv.Atoi(got)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// write sets the keys. A master whose replica has just lost its link refuses writes until that is back, or its guard lowered.
func (s keys) write(r *lab.Redis) error {
	for end := time.Now().Add(patience); ; {
		_, err := s.each(r, `local padding = string.rep('.', tonumber(ARGV[4]))
			for i = ARGV[2], ARGV[3] - 1 do redis.call('SET', ARGV[1] .. ':' .. i, ARGV[1] .. '=' .. i .. padding) end
			return 0`)
		if err == nil || !strings.Contains(err.Error(), "NOREPLICAS") || time.Now().After(end) {
			return err
		}
	}
}

// on returns nil if the server has every key with its value. Of the padding it looks at the length.
func (s keys) on(r *lab.Redis) error {
	have, err := s.each(r, `local n = 0
		for i = ARGV[2], ARGV[3] - 1 do
			local key, value = ARGV[1] .. ':' .. i, ARGV[1] .. '=' .. i
			if redis.call('GETRANGE', key, 0, #value - 1) == value and redis.call('STRLEN', key) == #value + ARGV[4] then n = n + 1 end
		end
		return n`)
	if err == nil && have != s.n {
		err = fmt.Errorf("%s has %d of the %d keys %s", r.Name, have, s.n, s.prefix)
	}
	return err
}

// had gives a Redis keys that it had before there was a cluster.
func had(t *testing.T, r *lab.Redis, s keys) {
	t.Helper()
	parked := r.Is("role", "slave") == nil
	do(t, r, "REPLICAOF", "NO", "ONE")
	ok(t, s.write(r))
	if parked {
		do(t, r, "REPLICAOF", "127.0.0.1", "1")
	}
}

// wrote writes keys to a master, and waits until all running replicas have them.
func wrote(t *testing.T, k *lab.Cluster, m int, s keys) keys {
	t.Helper()
	ok(t, s.write(k.Redis[m]))
	n := -1
	for _, r := range k.Redis {
		if r.Running() {
			n++
		}
	}
	received(t, k.Redis[m], n)
	return s
}

// received waits until n replicas have all that was written to their master so far, and stream. One answer of WAIT is not
// enough: it covers what was written before the client's last command, and a replica that has just loaded a full sync has
// acknowledged that much while what was written meanwhile is still to be sent to it.
func received(t *testing.T, master *lab.Redis, n int) {
	t.Helper()
	for range 2 {
		_, err := master.Do("PING") // WAIT covers what was written before it
		ok(t, err)
		lab.Eventually(t, patience, func() error {
			got, err := master.Do("WAIT", fmt.Sprint(n), "1000")
			if have, _ := strconv.Atoi(got); err == nil && have < n {
				err = fmt.Errorf("%d of %d replicas have what was written to %s", have, n, master.Name)
			}
			return err
		})
	}
}

// size is how many keys a server has.
func size(r *lab.Redis) (int, error) {
	v, err := r.Do("DBSIZE")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(v)
}

// keep watches servers until the test ends: as long as it is the same run, none of them may ever show fewer keys than
// that. One that loads what it got from its master shows none (-LOADING), and then all.
func keep(t *testing.T, n int, rs ...*lab.Redis) {
	var all sync.WaitGroup
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop); all.Wait() })
	for _, r := range rs {
		all.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for run := ""; ; {
				if run == "" {
					run, _ = r.Info("run_id")
				} else if got, err := size(r); err == nil && got < n {
					if now, err := r.Info("run_id"); err == nil && now == run {
						t.Errorf("%s was wiped: it had %d keys, and has %d", r.Name, n, got)
					}
					return
				}
				select {
				case <-stop:
					return
				case <-tick.C:
				}
			}
		})
	}
}
