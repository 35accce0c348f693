package stories_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
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
