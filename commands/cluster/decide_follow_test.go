package cluster

import (
	"testing"

	"resec/handlers/redis"
)

const refusedText = "refused: its 1 keys were never this cluster's, and following would wipe them; " +
	"`resec failover -to ID -force` overrides"

const dyingText = "as a replica redis would end with the first write: it cannot save its data to disk"

// dying makes our Redis one that cannot save its data, which Redis 7 does not survive as a replica.
func dying(k *Snapshot) {
	k.Health.Status.WriteEndsReplica = true
	k.Health.Status.Refusals = []redis.Refusal{{Code: redis.RefusalDisk, Text: "it cannot save its data to disk", Now: true}}
}

func TestDecideFollow(t *testing.T) {
	for _, tt := range []struct {
		name string
		k    Snapshot
		want Action
		why  string
	}{
		{"wait if no master is published", situation(parkedRedis, noState), Wait,
			"the lock holder has not published itself as master yet"},
		{"wait while the previous master is still published", situation(parkedRedis, func(k *Snapshot) { k.View.Holder = "b" }), Wait,
			"the lock holder has not published itself as master yet"},
		{"wait if another process holds the lock under our id",
			situation(publishedOwn, func(k *Snapshot) { k.View.Holder, k.View.State.Master.RunID = "me", "run-other" }), Wait,
			"the lock is held under our member id, or the published master is our redis"},
		{"not if our id is published and another member holds the lock",
			situation(publishedOwn, func(k *Snapshot) { k.View.State.Master.RunID = "run-other" }), Wait,
			"the lock holder has not published itself as master yet"},
		{"wait if the published master is our own Redis under another id",
			situation(promoted, func(k *Snapshot) { k.View.State.Master.RunID = "run-me" }), Wait,
			"the lock is held under our member id, or the published master is our redis"},
		{"continue to follow", situation(), Wait, "following a"},
		{"also while the link is down", situation(func(k *Snapshot) { k.Health.Status.LinkUp = false }), Wait, "following a"},
		{"verify one that has nothing yet", situation(withoutData), Follow,
			"following a without data: verifying that redis can read what the master sends"},
		{"not before it is recorded", situation(withoutData, notRecorded), Wait, "following a"},
		{"not one that a command emptied", situation(withoutData, func(k *Snapshot) { k.Health.Status.Position.Offset = 9 }), Wait,
			"following a"},
		{"nor one that is linked", situation(withoutData, func(k *Snapshot) { k.Health.Status.LinkUp = true }), Wait, "following a"},
		{"follow again to end a fence", situation(fencedRedis), Follow, "the master is a"},
		{"follow from a parked Redis", situation(parkedRedis), Follow, "the master is a"},
		{"a master that lost the lock follows", situation(promoted), Follow, "the master is a"},
		{"a restarted member follows by its recorded id, whatever its replication ID",
			situation(parkedRedis, restartedRedis, unrelated), Follow, "the master is a"},
		{"a parked member waits to be recorded", situation(parkedRedis, notRecorded), Wait,
			"the master's agent has not recorded this member yet"},
		{"a new member is parked until it is recorded", situation(promoted, notRecorded, restartedRedis), Park,
			"the master's agent has not recorded this member yet"},
		{"an unrecorded member that already follows continues", situation(notRecorded), Wait, "following a"},
		{"without members, as under elect, none waits to be recorded",
			situation(parkedRedis, func(k *Snapshot) { k.View.State.Members = nil }), Follow, "the master is a"},
		{"unrelated data are parked", situation(promoted, notRecorded, unrelated), Park, refusedText},
		{"and stay parked", situation(parkedRedis, notRecorded, unrelated), Park, refusedText},
		{"an unrelated empty Redis waits to be recorded", situation(parkedRedis, notRecorded, unrelated, emptyRedis), Wait,
			"the master's agent has not recorded this member yet"},
		{"a former master that the first write would end is parked", situation(promoted, dying), Park, dyingText},
		{"and stays parked", situation(parkedRedis, dying), Park, dyingText},
		{"if it follows already it is left alone", situation(dying), Wait, "following a"},
		{"an operator can force it to follow", situation(parkedRedis, notRecorded, unrelated, forcedToFollow), Follow,
			"an operator forces this member to follow a"},
		{"an unelected master is parked before the lock holder has published itself",
			situation(promoted, restartedRedis, func(k *Snapshot) { k.View.Holder = "b" }), Park,
			"redis is a master that was not elected"},
		{"a replica of another master follows the published one",
			situation(func(k *Snapshot) { k.Health.Status.MasterAddr = "10.0.0.2:6379" }), Follow, "the master is a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, why := decideFollow(tt.k, "me"); got != tt.want || why != tt.why {
				t.Errorf("got %s (%s), want %s (%s)", got, why, tt.want, tt.why)
			}
		})
	}
}
