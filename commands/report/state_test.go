package report

import (
	"fmt"
	"testing"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/known"
	"resec/commands/known/knowntest"
	"resec/handlers/redis"
)

func TestStateAttrs(t *testing.T) {
	type said map[string]string
	replica := catalog.Entry{Role: catalog.Replica, Status: "passing", Output: "replica of a"}
	for _, tt := range []struct {
		name string
		k    known.Snapshot
		want said
	}{
		{"a replica that streams", knowntest.Situation(),
			said{"redis_answers": "true", "run_id": "run-me", "role": "replica", "follows": "10.0.0.1:6379", "link_up": "true",
				"offset": "9", "fenced": "false", "session": "mine", "lease_left": "0s", "lock_holder": "a", "published": "a",
				"term": "4", "members": "a=run-a, me=run-me", "registered": "true", "registered_as": "slave", "check": "passing",
				"output": "replica of a", "next": "following a", "consul_index": "10"}},
		{"a master with a guard", knowntest.Leading(func(k *cluster.Snapshot) {
			k.Health.Status.MinReplicas, k.Health.Status.MaxLag, k.View.State.Master.Guard = 1, 5, cluster.GuardOff
		}),
			said{"role": "master", "guard_set": "1 within 5s", "guard_published": "off", "lock_holder": "me",
				"next": "this agent holds the lock"}},
		{"a fenced one", knowntest.Leading(clustertest.FencedRedis), said{"fenced": "true"}},
		{"nothing is known", known.Snapshot{},
			said{"redis_answers": "false", "session": "none", "lock_holder": "none", "published": "none",
				"next": "consul has not answered yet"}},
		{"why it waits", knowntest.Situation(func(k *cluster.Snapshot) { k.Health.Err, k.Reason = redis.ErrLoading, "no master" }),
			said{"redis_answers": "false", "redis_error": "redis is loading its data set", "reason": "no master",
				"next": "redis is unusable: redis is loading its data set"}},
		{"a member that has not caught up", knowntest.Situation(func(k *cluster.Snapshot) {
			k.View.State.Members = map[string]cluster.MemberRecord{"b": {RunID: "run-b", CatchingUp: true}, "a": {RunID: "run-a"}}
		}), said{"members": "a=run-a, b=run-b (catching up)"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, args := said{}, StateAttrs(tt.k, "me", "redis-master", replica, time.Now())
			for i := 0; i < len(args); i += 2 {
				got[args[i].(string)] = fmt.Sprint(args[i+1])
			}
			for name, want := range tt.want {
				if got[name] != want {
					t.Errorf("%s is %q, want %q", name, got[name], want)
				}
			}
		})
	}
}
