package catalog

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/handlers/redis"
)

func TestEntryOf(t *testing.T) {
	refused := func(k *cluster.Snapshot) { k.Reason = "it is empty" }
	refusing := func(k *cluster.Snapshot) {
		k.Health.Status.Refusals = []redis.Refusal{{Code: redis.RefusalDisk, Text: "its disk is full", Now: true}}
	}
	crowded := func(k *cluster.Snapshot) {
		k.Health.Status.Refusals = []redis.Refusal{{Code: redis.RefusalClients, Text: "it refuses new clients"}}
	}
	paused := func(k *cluster.Snapshot) { k.Paused = true }
	commandRefused := func(k *cluster.Snapshot) { k.Refused = redis.MissingCommands{{Command: "REPLICAOF", ToLead: true}} }
	const commandRefusedText = "redis refuses commands that resec needs: its ACL denies REPLICAOF to resec's user"
	without := "master without election; waits for one"
	for _, tt := range []struct {
		name   string
		k      cluster.Snapshot
		leads  uint64
		role   Role
		status string
		output string
		term   string
	}{
		{"a master that was promoted is passing, under its own term", clustertest.Leading(), 5, Master, "passing", "master, term 5",
			"5"},
		{"so is one that refuses new clients: the others can write", clustertest.Leading(crowded), 5, Master, "passing",
			"master, term 5; it refuses new clients", "5"},
		{"one whose lock was lost is so still, until it has it again",
			clustertest.Leading(clustertest.LockFree, func(k *cluster.Snapshot) { k.HasLed = true }), 0, Master, "passing",
			"master, term 5, without its lock", "5"},
		{"after a start it waits for the lock: another member may be about to acquire it", clustertest.Leading(clustertest.LockFree), 0,
			Replica, "warning", "master without election; waits for one", "5"},
		{"in a pause the master stays what it is", clustertest.Leading(paused), 6, Master, "passing", "master, term 6", "6"},
		{"in a pause a restarted master is none", clustertest.Leading(paused, clustertest.RestartedRedis), 6, Replica, "warning",
			without, "5"},
		{"nor is one that does not answer", clustertest.Leading(paused, clustertest.RedisUnusable), 6, Replica, "critical",
			"redis is unusable: it does not answer", "5"},
		{"a linked replica is passing, under the published term", clustertest.Situation(), 0, Replica, "passing",
			"replica of 10.0.0.1:6379", "4"},
		{"before the first term it is 0", clustertest.Situation(clustertest.NoState), 0, Replica, "passing", "replica of 10.0.0.1:6379",
			"0"},
		{"a replica whose link is down is a warning",
			clustertest.Situation(func(k *cluster.Snapshot) { k.Health.Status.LinkUp = false }), 0, Replica, "warning",
			"the link to 10.0.0.1:6379 is down", "4"},
		{"so is one whose data are not the master's",
			clustertest.Situation(func(k *cluster.Snapshot) { k.StreamErrors.Count = 2 }), 0, Replica, "warning",
			cluster.StreamErrorsReason(2), "4"},
		{"so is one that is syncing", clustertest.Situation(clustertest.SyncingRedis), 0, Replica, "warning",
			"syncing from 10.0.0.1:6379", "4"},
		{"so is one that is parked", clustertest.Situation(clustertest.ParkedRedis), 0, Replica, "warning",
			"parked; waits for a master", "4"},
		{"so is a master that was not elected", clustertest.Situation(clustertest.Promoted), 0, Replica, "warning",
			"master without election; waits for one", "4"},
		{"so is one that may not follow, with the reason", clustertest.Situation(clustertest.ParkedRedis, refused), 0, Replica,
			"warning", "it is empty", "4"},
		{"a refusal is over once it follows the master after all", clustertest.Situation(refused), 0, Replica, "passing",
			"replica of 10.0.0.1:6379", "4"},
		{"one that still follows another says why",
			clustertest.Situation(refused, func(k *cluster.Snapshot) { k.Health.Status.MasterAddr = "10.0.0.2:6379" }), 0, Replica,
			"warning", "it is empty", "4"},
		{"a master whose address another member announces, too", clustertest.Leading(func(k *cluster.Snapshot) {
			k.View.LiveAgents["me"] = cluster.MemberKey{Session: "mine", RunID: "run-me", Address: "redis:1"}
			k.View.LiveAgents["b"] = cluster.MemberKey{Session: "b's", RunID: "run-b", Address: "redis:1"}
		}), 5, Master, "passing", "master, term 5; wrong address: b announces redis:1, too, for another redis: " +
			"ANNOUNCE_ADDR takes an address that leads every host to it", "5"},
		{"a replica that finds another redis at the master's address", clustertest.Situation(clustertest.ParkedRedis,
			func(k *cluster.Snapshot) { k.WrongAddresses = k.WrongAddresses.With("a", "10.0.0.1:6379", true) }), 0, Replica, "warning",
			"parked; waits for a master; wrong address: 10.0.0.1:6379, which a announces, leads from here to another redis: " +
				"correct its ANNOUNCE_ADDR", "4"},
		{"a Redis that denies access keeps its role",
			clustertest.Leading(func(k *cluster.Snapshot) { k.Health.AccessErr = errors.New("WRONGPASS") }), 5, Master, "passing",
			"master, term 5; redis denies access to resec", "5"},
		{"a Redis that this host cannot ask keeps its role",
			clustertest.Leading(func(k *cluster.Snapshot) { k.Health.LocalErr = syscall.EMFILE }), 5, Master, "passing",
			"master, term 5; this host cannot connect to it: too many open files", "5"},
		{"a Redis that refuses a command keeps its role, and says so", clustertest.Situation(commandRefused), 0, Replica, "passing",
			"replica of 10.0.0.1:6379; " + commandRefusedText, "4"},
		{"a master, too", clustertest.Leading(commandRefused), 5, Master, "passing", "master, term 5; " + commandRefusedText, "5"},
		{"once, if that is why it may not lead", clustertest.Situation(clustertest.ParkedRedis, commandRefused,
			func(k *cluster.Snapshot) { k.Reason = "redis may not lead: " + k.Refused.Lead() }), 0, Replica, "warning",
			"redis may not lead: its ACL denies REPLICAOF to resec's user", "4"},
		{"a master that refuses writes is a warning",
			clustertest.Leading(refusing), 5, Master, "warning", "master, term 5: it refuses writes: its disk is full", "5"},
		{"so is one with fewer replicas than its operator wants", clustertest.Leading(func(k *cluster.Snapshot) {
			k.Health.Status.MinReplicas, k.Health.Status.MaxLag = 2, 10
			k.Operator = cluster.OperatorSettings{RunID: k.Health.Status.RunID, MinReplicas: cluster.MinReplicas{Replicas: 2, MaxLag: 10}}
		}), 5, Master, "warning", "master, term 5: it refuses writes: the operator's min-replicas-to-write is 2, and 0 replicas " +
			"are attached", "5"},
		{"with fewer than the guard wants it is passing: the guard follows", clustertest.Leading(func(k *cluster.Snapshot) {
			k.Health.Status.MinReplicas, k.Health.Status.MaxLag = 2, 10
			k.Operator = cluster.OperatorSettings{RunID: k.Health.Status.RunID}
		}), 5, Master, "passing", "master, term 5", "5"},
		{"so is one whose lock was lost",
			clustertest.Leading(clustertest.LockFree, refusing, func(k *cluster.Snapshot) { k.HasLed = true }), 0, Master, "warning",
			"master, term 5, without its lock: it refuses writes: its disk is full", "5"},
		{"a replica that would refuse writes serves reads", clustertest.Situation(refusing), 0, Replica, "passing",
			"replica of 10.0.0.1:6379; as a master it would refuse writes: its disk is full", "4"},
		{"an unusable Redis is critical, whatever else it is",
			clustertest.Situation(clustertest.RedisUnusable, clustertest.ParkedRedis, refused), 0, Replica, "critical",
			"redis is unusable: it does not answer", "4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := Entry{Role: tt.role, Status: tt.status, Output: tt.output,
				Meta: map[string]string{"id": "me", "term": tt.term, "version": "7.0.15"}}
			if tt.k.Reason == tt.output {
				want.Meta["why"] = tt.output
			} else if len(tt.k.Refused) > 0 {
				want.Meta["why"] = commandRefusedText
			} else if at := strings.Index(tt.output, "wrong address: "); at >= 0 {
				want.Meta["why"] = tt.output[at:]
			}
			if d := cmp.Diff(want, EntryOf(tt.k, tt.leads, "me")); d != "" {
				t.Error(d)
			}
		})
	}
}
