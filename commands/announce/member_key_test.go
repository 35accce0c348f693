package announce

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"resec/commands/cluster"
	"resec/commands/consultest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/logonce"
	"resec/scripts/lab"
)

// The key says which instance we manage. It is deleted at the end, unless our Redis keeps a guard of ours.
func TestKeepMemberKey(t *testing.T) {
	t.Parallel()
	for _, left := range []bool{false, true} {
		a := onConsul(t)
		a.GuardLeftBehind = func() bool { return left }
		s := consultest.Session(t, a.Lock.Client)
		ctx, stop := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { a.KeepMemberKey(ctx) })
		shows := func(want cluster.MemberKey) {
			t.Helper()
			lab.Eventually(t, expect.Patience, func() error {
				v, err := a.Lock.Read(t.Context())
				if err != nil {
					return err
				}
				if got := v.LiveAgents["me"]; got != want {
					return fmt.Errorf("got %+v, want %+v", got, want)
				}
				a.Known.Update(func(k *known.Snapshot) { k.View = v })
				return nil
			})
		}
		a.Known.Update(func(k *known.Snapshot) {
			k.SetSession(s)
			k.Fresh, k.Health.Status.RunID, k.Health.Status.MinReplicas, k.Health.Status.MaxLag = true, "run-me", 2, 9
		})
		guard := cluster.MinReplicas{Replicas: 2, MaxLag: 9}
		want := cluster.MemberKey{Session: s.ID, RunID: "run-me", Address: a.Me.Address, OperatorGuard: guard,
			Place: a.Me.Node + "/" + a.Me.ServiceID}
		shows(want)
		expect.Equal(t, "the operator's", a.Known.Load().Operator, cluster.OperatorSettings{RunID: "run-me", MinReplicas: guard})
		expect.OK(t, a.Lock.DeleteMember(t.Context(), "me")) // by hand
		v, err := a.Lock.Read(t.Context())
		expect.OK(t, err)
		a.Known.Update(func(k *known.Snapshot) { k.View = v })
		shows(want)
		stop()
		done.Wait()
		if !left {
			want = cluster.MemberKey{}
		}
		shows(want)
	}
}

// A key that cannot be written makes the session verified: it may be lost.
func TestWriteMemberKey_OfALostSession(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	s := consultest.Session(t, a.Lock.Client)
	a.writeMemberKey(t.Context(), cluster.MemberKey{Session: s.ID, RunID: "run-me"}, &logonce.Once{})
	expect.Equal(t, "verified", len(a.Verify), 0)
	expect.OK(t, s.Destroy(t.Context()))
	a.writeMemberKey(t.Context(), cluster.MemberKey{Session: s.ID, RunID: "run-me"}, &logonce.Once{})
	expect.Equal(t, "verified", len(a.Verify), 1)
}
