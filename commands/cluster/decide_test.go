package cluster

import (
	"testing"

	"resec/handlers/redis"
)

func TestDecide(t *testing.T) {
	for _, tt := range []struct {
		name string
		k    Snapshot
		want Action
		why  string
	}{
		{"wait until Consul has answered", situation(holdingLock, func(k *Snapshot) { k.Fresh = false }), Wait,
			"consul has not answered yet"},
		{"exit on another cluster's state, even while holding the lock",
			situation(holdingLock, func(k *Snapshot) { k.View.State.Service = "cache-master" }), Misconfigured,
			`the state under the lock key belongs to another cluster: its master service is "cache-master", ` +
				`ours is "redis-master"; two clusters need two CONSUL_LOCK_KEYs`},
		{"a state without a service belongs to no other cluster", situation(lockFree, noState), Contend, "the lock is free"},
		{"exit on a state of a newer version, if no state is known", situation(lockFree, noState, newerVersion), Misconfigured,
			newerVersionText},
		{"also while holding the lock", situation(holdingLock, noState, newerVersion), Misconfigured, newerVersionText},
		{"wait if an earlier state is known", situation(lockFree, newerVersion), Wait, newerVersionText},
		{"also while holding the lock with a known state", leading(newerVersion), Wait, newerVersionText},
		{"park a master that was not elected, although the state is newer", situation(newerVersion, promoted), Park, unelectedReason},
		{"also one that was restarted", situation(publishedOwn, promoted, newerVersion, restartedRedis), Park, unelectedReason},
		{"also while the lock is free", situation(newerVersion, promoted, lockFree), Park, unelectedReason},
		{"not in a pause", situation(newerVersion, promoted, pausedCluster), Wait, newerVersionText},
		{"not one that does not answer", situation(newerVersion, promoted, redisUnusable), Wait, newerVersionText},
		{"not one that is fenced", situation(newerVersion, promoted, fencedRedis), Wait, newerVersionText},
		{"not before it was probed", situation(newerVersion, promoted, func(k *Snapshot) { k.Probed = false }), Wait,
			newerVersionText},
		{"wait for a state that cannot be read", situation(lockFree, unreadable), Wait, "unexpected end of JSON input"},
		{"unless we hold the lock", leading(unreadable), Lead, "this agent holds the lock"},
		{"exit on a key that is no lock", situation(lockFree, func(k *Snapshot) { k.View.Err = ErrConflict }), Misconfigured,
			ErrConflict.Error()},
		{"a Redis with priority 0 follows", situation(neverPromoted, parkedRedis), Follow, "the master is a"},
		{"but does not contend", situation(neverPromoted, lockFree), Ineligible, "its replica-priority is 0"},
		{"an unusable Redis does not follow", situation(redisUnusable, parkedRedis), Wait, "redis is unusable: it does not answer"},
		{"wait until Redis has answered", situation(holdingLock, func(k *Snapshot) { k.Probed = false }), Wait,
			"redis has not answered yet"},
		{"the lock holder leads", situation(holdingLock), Lead, "this agent holds the lock"},
		{"the holder with an unusable Redis steps down", situation(holdingLock, redisUnusable), StepDown,
			"redis is unusable: it does not answer"},
		{"and with a syncing Redis", situation(holdingLock, syncingRedis), StepDown, "redis is syncing"},
		{"without a session the free lock is not ours", situation(withoutSession, func(k *Snapshot) { k.View.Session = "" }), Wait,
			"there is no consul session yet"},
		{"contend for a free lock", situation(lockFree), Contend, "the lock is free"},
		{"not without a session", situation(lockFree, withoutSession), Wait, "there is no consul session yet"},
		{"not with an unusable Redis", situation(lockFree, redisUnusable), Wait, "redis is unusable: it does not answer"},
		{"not with priority 0", situation(lockFree, neverPromoted), Ineligible, "its replica-priority is 0"},
		{"not with a Redis that refuses a command", situation(lockFree, commandRefused), Ineligible, commandRefusedText},
		{"nor keep a lock that was transferred", situation(holdingLock, commandRefused), StepDown, commandRefusedText},
		{"unless a command is refused that is not needed to lead", situation(lockFree, func(k *Snapshot) {
			k.Refused = redis.MissingCommands{{Command: "CLIENT KILL"}}
		}), Contend, "the lock is free"},
		{"a master that serves takes its lock again all the same", leading(lockFree, commandRefused), Contend, "the lock is free"},
		{"and leads, fenced or not", leading(commandRefused, fencedRedis), Lead, "this agent holds the lock"},
		{"one that was restarted does not", leading(commandRefused, restartedRedis), StepDown, commandRefusedText},
		{"such a Redis follows", situation(commandRefused, parkedRedis), Follow, "the master is a"},
		{"and preempts nobody", situation(parkedRedis, masterDown, commandRefused), Follow, "the master is a"},
		{"a master with priority 0 takes its lock again", leading(lockFree, neverPromoted), Contend, "the lock is free"},
		{"and leads with it", leading(neverPromoted), Lead, "this agent holds the lock"},
		{"a parked Redis that is unusable does not follow", situation(parkedRedis, redisUnusable), Wait,
			"redis is unusable: it does not answer"},
		{"follow the published master", situation(parkedRedis), Follow, "the master is a"},
		{"park an unelected master", situation(lockFree, promoted, restartedRedis), Park, "redis is a master that was not elected"},
		{"not before the first election, because it may already serve clients",
			situation(lockFree, promoted, restartedRedis, func(k *Snapshot) { k.View.State.Master = nil }), Contend, "the lock is free"},
		{"not a fenced one, because it accepts no writes", situation(lockFree, promoted, restartedRedis, fencedRedis), Contend,
			"the lock is free"},
		{"leave the lock to the requested member", situation(lockFree, requested("a")), Wait, "an operator requested a as master"},
		{"not to a member whose agent is dead", situation(lockFree, requested("dead")), Contend, "the lock is free"},
		{"contend if requested", situation(lockFree, requested("me")), Contend, "the lock is free"},
		{"transfer the lock to the requested member", situation(holdingLock, requested("a")), TransferLock,
			"an operator requested a as master"},
		{"do not contend while paused", situation(lockFree, pausedCluster), Wait, "the cluster is " + pausedText},
		{"do not follow while paused", situation(parkedRedis, pausedCluster), Wait, "the cluster is " + pausedText},
		{"do not park while paused", situation(lockFree, promoted, restartedRedis, pausedCluster), Wait,
			"the cluster is " + pausedText},
		{"give back a lock that was transferred before the pause", situation(holdingLock, pausedCluster), StepDown,
			"the cluster is " + pausedText},
		{"do not step down with an unusable Redis while paused", situation(holdingLock, publishedOwn, redisUnusable, pausedCluster),
			Wait, "the cluster is " + pausedText},
		{"the serving master reacquires its lost lock while paused", leading(lockFree, pausedCluster), Contend, "the lock is free"},
		{"the serving master leads while paused, whatever is requested", leading(pausedCluster, requested("a")), Lead,
			"this agent holds the lock"},
		{"preempt a master that is down while its session holds the lock", situation(parkedRedis, masterDown), Preempt,
			"the master a is down or unreachable, and its session still holds the lock"},
		{"preempt an unreachable master with a guard", situation(masterUnreachable, withGuard), Preempt,
			"the master a is down or unreachable, and its session still holds the lock"},
		{"not without a guard, because it may accept writes", situation(parkedRedis, masterUnreachable), Follow, "the master is a"},
		{"not for the failure of another run",
			situation(parkedRedis, masterDown, func(k *Snapshot) { k.View.State.Master.RunID = "run-b" }), Follow, "the master is a"},
		{"not if another member than the published one holds the lock",
			situation(parkedRedis, masterDown, func(k *Snapshot) { k.View.Holder = "b" }), Wait,
			"the lock holder has not published itself as master yet"},
		{"not with priority 0 ourselves", situation(parkedRedis, masterDown, neverPromoted), Follow, "the master is a"},
		{"not if we are not recorded", situation(parkedRedis, masterDown, notRecorded), Wait,
			"the master's agent has not recorded this member yet"},
		{"not without a session of ours", situation(parkedRedis, masterDown, withoutSession), Follow, "the master is a"},
		{"not while an operator requests a master", situation(parkedRedis, masterDown, requested("a")), Follow, "the master is a"},
		{"not while paused", situation(parkedRedis, masterDown, pausedCluster), Wait, "the cluster is " + pausedText},
		{"do not transfer the lock to a member whose agent is dead", situation(holdingLock, requested("dead")), Lead,
			"this agent holds the lock"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, why := Decide(tt.k, "me", "redis-master"); got != tt.want || why != tt.why {
				t.Errorf("got %s (%s), want %s (%s)", got, why, tt.want, tt.why)
			}
		})
	}
}

func TestChangedByOther(t *testing.T) {
	made, of := situation(promoted), func(addr string) Snapshot {
		return situation(func(k *Snapshot) { k.Health.Status.MasterAddr = addr })
	}
	ours := situation().View.State.Master.Address
	for _, tt := range []struct {
		name string
		k    Snapshot
		run  string // that has followed
		want string
	}{
		{"a replica that is a master now", made, "run-me", "a master"},
		{"it has not followed in this run", made, "run-before", ""},
		{"it has led since", made, "", ""},
		{"it still follows", situation(), "run-me", ""},
		{"it is fenced, by a takeover", situation(promoted, fencedRedis), "run-me", ""},
		{"it is the published master", leading(), "run-me", ""},
		{"no master is published", situation(promoted, noState), "run-me", ""},
		{"in a pause an operator may do so", situation(promoted, pausedCluster), "run-me", ""},
		{"it does not answer", situation(promoted, redisUnusable), "run-me", ""},
		{"a replica of another server", of("10.0.0.9:6379"), "run-me", "a replica of 10.0.0.9:6379"},
		{"one that another server has had before", of("10.0.0.9:6379"), "run-before", ""},
		{"it still follows the last master", of("10.0.0.8:6379"), "run-me", ""},
		{"the lock's holder makes it follow before it is published", situation(func(k *Snapshot) {
			k.View.Holder, k.View.LiveAgents = "b", map[string]MemberKey{"b": {Address: "10.0.0.2:6379"}}
			k.Health.Status.MasterAddr = "10.0.0.2:6379"
		}), "run-me", ""},
		{"it is parked", situation(parkedRedis), "run-me", ""},
		{"it follows the master", of(ours), "run-me", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ChangedByOther(tt.k, Followed{RunID: tt.run, Address: "10.0.0.8:6379"}); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestUnusableReason(t *testing.T) {
	for _, tt := range []struct {
		name string
		k    Snapshot
		want string
	}{
		{"a streaming replica is usable", situation(), ""},
		{"a parked one is", situation(parkedRedis), ""},
		{"a master is", situation(promoted), ""},
		{"a fenced one is", situation(promoted, fencedRedis), ""},
		{"one that does not answer is not", situation(redisUnusable), "redis is unusable: it does not answer"},
		{"one that is loading is not", situation(func(k *Snapshot) { k.Health.Err = redis.ErrLoading }),
			"redis is unusable: redis is loading its data set"},
		{"one that is syncing is not", situation(syncingRedis), "redis is syncing"},
		{"one with priority 0 is not", situation(neverPromoted), "its replica-priority is 0"},
		{"nor is a master with priority 0 that was not elected", situation(promoted, neverPromoted), "its replica-priority is 0"},
		{"the published master is, whatever its priority", leading(neverPromoted), ""},
		{"and while it is fenced", leading(neverPromoted, fencedRedis), ""},
		{"not in another run", leading(neverPromoted, restartedRedis), "its replica-priority is 0"},
		{"before the first term a master with replicas is", situation(promoted, noState, neverPromoted, func(k *Snapshot) {
			k.Health.Status.Replicas = []redis.Replica{{Online: true}}
		}), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := UnusableReason(tt.k, "me"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAction_String(t *testing.T) {
	names := map[string]Action{"wait": Wait, "contend": Contend, "step down": StepDown, "transfer the lock": TransferLock,
		"park": Park, "exit": Misconfigured}
	for want, action := range names {
		if got := action.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if len(actionNames) != int(Misconfigured)+1 {
		t.Errorf("%d names for %d actions", len(actionNames), Misconfigured+1)
	}
}

func TestOtherRequested(t *testing.T) {
	planned := func(k *Snapshot) { k.View.Request.Planned = true }
	for _, tt := range []struct {
		name string
		k    Snapshot
		want bool
	}{
		{"another member", situation(requested("a")), true},
		{"no request", situation(), false},
		{"this member", situation(requested("me")), false},
		{"a switchover that is not accepted", situation(requested("a"), planned), false},
		{"a member whose agent is dead", situation(requested("dead")), false},
		{"while paused", situation(requested("a"), pausedCluster), false},
	} {
		if got := OtherRequested(tt.k, "me"); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}
