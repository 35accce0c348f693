package stories_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// lossy is a proxy before Consul that loses the answer to one transaction: it is done, and a 502 says nothing of that.
type lossy struct {
	*httptest.Server
	next atomic.Int32 // transactions until then; below 0: it is over
}

func newLossy(t *testing.T, c *lab.Consul) *lossy {
	t.Helper()
	u, err := url.Parse("http://" + c.HTTP())
	ok(t, err)
	l := &lossy{}
	l.next.Store(-1)
	p := httputil.NewSingleHostReverseProxy(u)
	p.FlushInterval = -1
	p.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	p.ModifyResponse = func(r *http.Response) error {
		if r.Request.URL.Path == "/v1/txn" && r.StatusCode == http.StatusOK && l.next.Add(-1) == -1 {
			return errors.Join(errors.New("lost"), r.Body.Close())
		}
		return nil
	}
	l.Server = httptest.NewServer(p)
	t.Cleanup(l.CloseClientConnections)
	return l
}

// addr is its address for agents.
func (l *lossy) addr() string { return "CONSUL_HTTP_ADDR=" + strings.TrimPrefix(l.URL, "http://") }

// Consul carries out a write and its answer is lost, at each step of a takeover and of a handover. The agent reads the
// result, and the cluster does not wait.
func TestWrite13_AnswerIsLost(t *testing.T) {
	t.Parallel()
	for step := range int32(3) {
		for i, leaves := range []bool{false, true} {
			if int(step)%2 == i && step > 0 && !*all { // the publication's is the second of a takeover, and the first of a handover
				continue
			}
			t.Run(fmt.Sprint("transaction ", step+1)+named(leaves, ", of a handover"), func(t *testing.T) {
				t.Parallel()
				k := planned(t, lab.Plan{Members: 3, StartParked: true})
				fronts := make([]*lossy, 3)
				for i := range fronts {
					fronts[i] = newLossy(t, k.Consul)
					ok(t, k.Agent(i, fronts[i].addr()))
				}
				m := started(t, k)
				fig, w := figures(t), watched(t, k)
				fig.consul(k)
				for _, i := range others(k, m) {
					fronts[i].next.Store(step)
				}
				if leaves {
					terminate(t, map[*lab.Process]time.Duration{k.Agents[m]: 0})
				} else {
					k.Agents[m].Kill()
				}
				succeeded(t, k, w, m)
				ok(t, k.Agent(m))
				v := became(t, k, w, m)
				fig.never("write pause", pause(w), 300*time.Millisecond)
				if err := errors.Join(v.NothingLost(), v.NeverTwo(0), k.Stop()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// Under `resec elect`, too, the lock is held by an acquisition whose answer was lost: the member leads.
func TestWrite13_AnswerToElectIsLost(t *testing.T) {
	t.Parallel()
	for _, child := range []bool{false, true} {
		t.Run("elect"+named(child, " -child"), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 2, StartParked: true})
			front := newLossy(t, k.Consul)
			front.next.Store(0)
			args := []string{"elect", "-http-addr", strings.TrimPrefix(front.URL, "http://")}
			if child {
				args = append(args, "-child", "touch led; sleep 1000")
			}
			e, err := k.Resec("elect", 0, args...)
			ok(t, err)
			if child {
				lab.Eventually(t, patience, func() error { _, err := os.Stat(filepath.Join(k.Dir, "led")); return err })
			} else {
				published(t, k, 0)
				do(t, k.Redis[0], "SET", "k", "v")
			}
			if front.next.Load() >= 0 {
				t.Error("no answer was lost")
			}
			if code, err := e.Stop(syscall.SIGTERM); err != nil || code != 0 {
				t.Errorf("it exits with %d: %v", code, err)
			}
			free(t, k)
		})
	}
}
