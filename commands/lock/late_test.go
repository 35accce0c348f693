package lock

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"
)

// lateAnswers holds the answers of a Consul back, which has carried the calls out.
type lateAnswers struct {
	http.RoundTripper
	by time.Duration
}

func (l *lateAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := l.RoundTripper.RoundTrip(r)
	select {
	case <-time.After(l.by):
		return answer, err
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// The answers to renewals come later than each is waited for. The lease does not end, and one line says that they are late. The
// loss of the session is seen in a late answer, too.
func TestSession_KeepWithLateAnswers(t *testing.T) {
	const ttl = 15 * time.Second
	s := &sessions{lost: map[string]bool{}}
	l, c := fake(t, s.answer)
	late := &lateAnswers{RoundTripper: c}
	client, err := api.NewClient(&api.Config{Address: "http://consul", HttpClient: &http.Client{Transport: late}})
	if err != nil {
		t.Fatal(err)
	}
	l.Client = client
	synctest.Test(t, func(t *testing.T) {
		session, err := NewSession(t.Context(), l.Client, SessionOptions{Name: "test", TTL: ttl})
		if err != nil {
			t.Fatal(err)
		}
		late.by = 5 * time.Second
		var log bytes.Buffer
		done := make(chan error, 1)
		go func() {
			done <- session.Keep(context.WithoutCancel(t.Context()), nil, nil, slog.New(slog.NewTextHandler(&log, nil)))
		}()
		least, last := ttl, 0
		for range 600 {
			wait(100 * time.Millisecond)
			synctest.Wait()
			least = min(least, session.Lease.Left(time.Now()))
			if n := c.count() - 1; n > last+1 {
				t.Errorf("%d renewals at once", n-last)
			} else {
				last = n
			}
		}
		if least < ttl/6 {
			t.Errorf("the lease had %s left", least)
		}
		if last > 20 {
			t.Errorf("%d renewals in a minute", last)
		}
		if n := strings.Count(log.String(), "session_renew_failed"); n != 1 {
			t.Errorf("%d lines are logged:\n%s", n, log.String())
		}
		s.lose(session.ID)
		if err := <-done; err == nil || !strings.Contains(err.Error(), ErrSessionLost.Error()) {
			t.Errorf("it ends with %v", err)
		}
	})
}

// The answer to an earlier renewal does not shorten the lease that a later one has begun.
func TestRenewalDeadline_ExtendOnlyLengthens(t *testing.T) {
	d, now := &RenewalDeadline{}, time.Now()
	d.Extend(now.Add(2*time.Second), time.Minute)
	d.Extend(now, time.Minute)
	if left := d.left(now); left != time.Minute+2*time.Second {
		t.Errorf("%s are left", left)
	}
}
