package catalog

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"resec/commands/observable"
)

// A Consul agent that is slow carries a call out, and answers late. A frozen one answers nothing. Run cannot tell them apart
// before an answer comes, so after an update without an answer it sends only reads. It gives no call up, though. A late answer
// shows that Consul is slow, and that it carried the call out: from then on Run updates the check without waiting for each
// answer.

// maxUnanswered and maxUnansweredSlow bound the updates of the check that Consul has not answered; the second holds after a late
// answer. A Consul that is frozen carries them out, all at once, when it continues.
const maxUnanswered, maxUnansweredSlow = 1, 3

var (
	// errLate says that Consul has not answered a call in time.
	errLate = errors.New("consul has not answered yet")
	// errLateAnswer says that an earlier call was answered, so that there is something better to do than to wait.
	errLateAnswer = errors.New("consul has answered an earlier call")
	// errUnanswered says that an update of the check counts as carried out, although it was not answered in time.
	errUnanswered = errors.New("consul may still answer")
)

// callKind is what a call does.
type callKind int

const (
	readCall callKind = iota
	registerCall
	updateCall
	confirmCall
)

// call is one call to Consul that was not answered in time.
type call struct {
	kind   callKind
	sent   time.Time
	answer chan error // has a buffer of one
}

// calls are those of one Run. All but what the calls' goroutines send is Run's alone.
type calls struct {
	under      context.Context // ends with Run
	running    sync.WaitGroup
	answered   chan struct{} // receives a signal with each answer
	unanswered []call
}

func newCalls(under context.Context) *calls {
	return &calls{under: under, answered: make(chan struct{}, 1)}
}

// lateAnswerTimeout is how long a late answer is waited for.
func (r *Registrar) lateAnswerTimeout() time.Duration { return max(lateWriteWindow, r.TTL()) }

// call makes a call, and returns its error. If it is not answered by the deadline it is remembered, and errLate is returned. What
// only asks also ends, with errLateAnswer, when the late answer to an earlier call shows that Consul is slow.
func (r *Registrar) call(ctx context.Context, kind callKind, deadline time.Time, do func(context.Context) error) error {
	cs, c := r.inFlight, call{kind: kind, sent: time.Now(), answer: make(chan error, 1)}
	patient, cancel := context.WithTimeout(cs.under, max(r.lateAnswerTimeout(), time.Until(deadline)))
	cs.running.Go(func() {
		defer cancel()
		c.answer <- do(patient)
		observable.Signal(cs.answered)
	})
	var late <-chan struct{}
	if kind == readCall || kind == confirmCall {
		late = cs.answered
	}
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	for {
		select {
		case err := <-c.answer:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout.C:
			cs.unanswered = append(cs.unanswered, c)
			return errLate
		case <-late:
			if len(c.answer) == 0 && r.takeLate(time.Now()) {
				cs.unanswered = append(cs.unanswered, c)
				return errLateAnswer
			}
		}
	}
}

// takeLate takes the late answers that have come, and reports whether one is news: Consul has carried out a write, or is slow
// and was not known to be. The answer to a read is none from a Consul that is known to be slow. If it ended the next read, that
// one's answer would end the one after it, and so on: the check would never be updated.
func (r *Registrar) takeLate(now time.Time) (news bool) {
	cs, slow, gone := r.inFlight, false, false
	known := r.known.slow(now)
	cs.unanswered = slices.DeleteFunc(cs.unanswered, func(c call) bool {
		select {
		case err := <-c.answer:
			if err == nil && c.kind == updateCall {
				r.updated(c.sent)
			}
			slow = slow || err == nil && c.kind != confirmCall
			news = news || err == nil && (c.kind == registerCall || c.kind == updateCall)
			gone = gone || c.kind == updateCall && isStatus(err, http.StatusNotFound)
			if err != nil && c.kind == registerCall { // it was rejected, or its connection was lost
				r.known.sent = nil
			}
			return true
		default:
			return now.Sub(c.sent) > 2*r.lateAnswerTimeout()
		}
	})
	if gone { // another client deregistered the service, or the Consul agent lost its data
		r.known.listed, r.known.sent = nil, nil
	}
	if slow {
		r.known = r.known.answeredLate(cs.count(registerCall) == 0, now)
	}
	return news || slow && !known
}

// count counts the unanswered calls of a kind.
func (cs *calls) count(kind callKind) (n int) {
	for _, c := range cs.unanswered {
		if c.kind == kind {
			n++
		}
	}
	return n
}

// end ends the calls that are under way, and joins them.
func (cs *calls) end(cancel context.CancelFunc) {
	cancel()
	cs.running.Wait()
}

// answeredLate returns the registration after a late answer of Consul. What was sent last is listed if no registration is
// unanswered. After the check's TTL the entry may be outdated, so that it is confirmed first.
func (s registration) answeredLate(registered bool, now time.Time) registration {
	s.slowUntil = now.Add(max(lateWriteWindow, s.ttl()))
	if registered && s.listed == nil && s.sent != nil && !s.checkExpired(now) {
		s.listed, s.failing = s.sent, false
	}
	return s
}

// slow reports whether Consul has answered late lately.
func (s registration) slow(now time.Time) bool { return now.Before(s.slowUntil) }

// maxUnanswered returns how many updates may be unanswered; 0 if one that is not answered in time has failed.
func (s registration) maxUnanswered(now time.Time) int {
	switch {
	case s.slow(now):
		return maxUnansweredSlow
	case s.failing || s.listed == nil:
		return 0
	}
	return maxUnanswered
}

// updated notes an update of the check that was carried out.
func (r *Registrar) updated(sent time.Time) {
	if sent.Before(r.known.lastUpdate) {
		return
	}
	r.known.lastUpdate = sent
	if r.Updated != nil {
		r.Updated(sent, r.TTL())
	}
}
