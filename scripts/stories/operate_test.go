package stories_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"resec/scripts/lab"
)

// webPort is the HTTP port of the agents of these stories, each on the host of its Redis.
const webPort = "8280"

// web is the HTTP address of the i-th member's agent.
func web(k *lab.Cluster, i int) string { return net.JoinHostPort(k.Redis[i].Host, webPort) }

// answering starts the i-th agent so that it answers.
func answering(t *testing.T, k *lab.Cluster, i int) {
	t.Helper()
	ok(t, k.Agent(i, "LISTEN_ADDR="+web(k, i)))
}

// answeringAll is started for agents that answer.
func answeringAll(t *testing.T, k *lab.Cluster) (m int) {
	t.Helper()
	for i := range k.Redis {
		answering(t, k, i)
	}
	return started(t, k)
}

// unkept asks over a connection of its own each time.
var unkept = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// answer is what a path of an agent gives.
func answer(ctx context.Context, method, addr, path string) (code int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, nil)
	if err != nil {
		return 0, "", err
	}
	res, err := unkept.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return res.StatusCode, string(data), err
}

// answers returns nil if a path of the i-th agent gives that code, and says that.
func answers(t *testing.T, k *lab.Cluster, i int, path string, want int, says string) error {
	code, body, err := answer(t.Context(), "GET", web(k, i), path)
	if err == nil && (code != want || !strings.Contains(body, says)) {
		err = fmt.Errorf("m%d: %s is %d %s, not %d %s", i, path, code, body, want, says)
	}
	return err
}

// healthy waits until each of these members says that it is.
func healthy(t *testing.T, k *lab.Cluster, is ...int) {
	t.Helper()
	lab.Eventually(t, patience, func() (err error) {
		for _, i := range is {
			err = errors.Join(err, answers(t, k, i, "/health", 200, ""))
		}
		return err
	})
}

// metric is a metric's value, as the i-th agent gives it.
func metric(t *testing.T, k *lab.Cluster, i int, name string) (float64, error) {
	code, body, err := answer(t.Context(), "GET", web(k, i), "/metrics")
	if err != nil || code != 200 {
		return 0, fmt.Errorf("m%d: /metrics is %d: %w", i, code, err)
	}
	for line := range strings.Lines(body) {
		if v, is := strings.CutPrefix(line, name+" "); is {
			return strconv.ParseFloat(strings.TrimSpace(v), 64)
		}
	}
	return 0, fmt.Errorf("m%d has no metric %s:\n%s", i, name, body)
}

// polled are the looks at one path of an agent, one after the other.
type polled struct {
	mu   sync.Mutex
	said []saying
}

type saying struct {
	sent, answered time.Time
	code           int // 0: no answer
}

// poll looks at a path of each member until the test's end, or stop.
func poll(t *testing.T, k *lab.Cluster, path string) (of []*polled, stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range k.Redis {
		p := &polled{}
		of = append(of, p)
		all.Go(func() {
			for tick := time.NewTicker(5 * time.Millisecond); ctx.Err() == nil; <-tick.C {
				s := saying{sent: time.Now()}
				s.code, _, _ = answer(ctx, "GET", web(k, i), path)
				s.answered = time.Now()
				p.mu.Lock()
				p.said = append(p.said, s)
				p.mu.Unlock()
			}
		})
	}
	stop = func() { cancel(); all.Wait() }
	t.Cleanup(stop)
	return of, stop
}

// well are the looks that gave 200.
func (p *polled) well() (out []saying) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.said), func(s saying) bool { return s.code != 200 })
}

// exclusive returns nil if no member was asked after another had begun to say 200 and said so as well: once there is a
// successor nobody is sent to who was before.
func exclusive(before, after *polled) error {
	next := after.well()
	if len(next) == 0 {
		return errors.New("the successor never said 200")
	}
	for _, s := range before.well() {
		if s.sent.After(next[0].answered) {
			return fmt.Errorf("the old one said 200 %s after the new one had", s.sent.Sub(next[0].answered))
		}
	}
	return nil
}
