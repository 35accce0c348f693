package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// Sentinel is one redis-sentinel, for comparison.
type Sentinel struct {
	*Process
	Addr string // host:port
	dial Dial
	name string // of the master, as it calls it

	mu     sync.Mutex
	client rueidis.Client
}

// watched is what the Sentinels call the master.
const watched = "bench"

// Sentinels makes the first of the cluster's Redis servers the master, the others its replicas, and starts a Sentinel for
// each, with down-after-milliseconds set and all else as Redis ships it. It waits until they know of one another and of the replicas.
func (k *Cluster) Sentinels(downAfter time.Duration) (all []*Sentinel, err error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(k.Redis[0].Addr)
	if err != nil {
		return nil, err
	}
	for i, r := range k.Redis {
		if i > 0 {
			if _, err := r.Do("REPLICAOF", host, port); err != nil {
				return nil, err
			}
		}
		s := &Sentinel{Addr: net.JoinHostPort(r.Host, "26379"), dial: r.Net.Dial, name: watched}
		name := fmt.Sprintf("%s-sentinel%d", k.Name, i)
		dir := filepath.Join(k.Dir, name)
		conf := fmt.Sprintf("port 26379\nbind %s\nbind-source-addr %s\ndir %s\nprotected-mode no\nsentinel monitor %s %s %s %d\nsentinel down-after-milliseconds %s %d\n",
			r.Host, r.Host, dir, watched, host, port, len(k.Redis)/2+1, watched, downAfter.Milliseconds())
		file := filepath.Join(dir, "sentinel.conf")
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(file, []byte(conf), 0o600)); err != nil {
			return nil, err
		}
		if s.Process, err = k.Start(name, nil, r.Net.In(bin, file, "--sentinel")...); err != nil {
			return nil, err
		}
		k.onClose(s.close)
		all = append(all, s)
	}
	for _, s := range all {
		if err := Until(context.Background(), time.Minute, func() error { return s.Knows(len(all)-1, len(k.Redis)-1) }); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (s *Sentinel) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		s.client.Close()
	}
}

// connected is a client of the Sentinel.
func (s *Sentinel) connected() (rueidis.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	c, err := connect(s.dial, s.Addr, "", sentinelTimeout, "")
	if err == nil {
		s.client = c
	} else if c != nil {
		c.Close()
	}
	return s.client, err
}

// sentinelTimeout is after how long a client asks the next one.
const sentinelTimeout = 200 * time.Millisecond

// do asks the Sentinel.
func (s *Sentinel) do(ctx context.Context, args ...string) (r rueidis.RedisResult, err error) {
	c, err := s.connected()
	if err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(ctx, sentinelTimeout)
	defer cancel()
	r = c.Do(ctx, c.B().Arbitrary("SENTINEL").Args(args...).Build())
	return r, r.Error()
}

// Knows returns nil if the Sentinel knows that many others, and replicas.
func (s *Sentinel) Knows(sentinels, replicas int) error {
	r, err := s.do(context.Background(), "MASTER", s.name)
	if err != nil {
		return err
	}
	m, err := r.AsStrMap()
	if err != nil {
		return err
	}
	if m["num-other-sentinels"] != fmt.Sprint(sentinels) || m["num-slaves"] != fmt.Sprint(replicas) || m["flags"] != "master" {
		return fmt.Errorf("%s knows %s sentinels and %s replicas, of a %s", s.Process.Name, m["num-other-sentinels"], m["num-slaves"], m["flags"])
	}
	return nil
}

// Master is the master's host:port, as the Sentinel says.
func (s *Sentinel) Master(ctx context.Context) (string, error) {
	r, err := s.do(ctx, "GET-MASTER-ADDR-BY-NAME", s.name)
	if err != nil {
		return "", err
	}
	addr, err := r.AsStrSlice()
	if err != nil || len(addr) != 2 {
		return "", fmt.Errorf("%s names no master: %v: %w", s.Process.Name, addr, err)
	}
	return net.JoinHostPort(addr[0], addr[1]), nil
}

// Failover asks for a planned one.
func (s *Sentinel) Failover(ctx context.Context) error {
	_, err := s.do(ctx, "FAILOVER", s.name)
	return err
}
