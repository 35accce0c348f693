package stories_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"resec/scripts/lab"
)

// persistence is how a Redis keeps its keys on its disk.
type persistence string

const (
	aof persistence = "AOF"
	rdb persistence = "RDB"
)

// args make AOF sync each write before it is acknowledged; an RDB file is written when a test says so.
func (p persistence) args() []string {
	if p == aof {
		return []string{"--appendonly", "yes", "--appendfsync", "always"}
	}
	return nil
}

// synced waits until all that the servers hold is on their disks.
func (p persistence) synced(t *testing.T, rs ...*lab.Redis) {
	t.Helper()
	for _, r := range rs {
		if p == rdb {
			do(t, r, "SAVE")
			continue
		}
		lab.Eventually(t, patience, func() error { // after a sync from its master a replica rewrites its file first
			return r.Is("aof_rewrite_in_progress", "0", "aof_rewrite_scheduled", "0", "aof_last_bgrewrite_status", "ok")
		})
	}
}

// nobody is an index that no server has.
const nobody = -1

// A power cut: all three servers and agents stop at once, and return in any order, one of them with an empty disk.
func TestLead04_AllRestarted(t *testing.T) {
	t.Parallel()
	for j, p := range []persistence{aof, rdb} {
		for n, wiped := range []string{"", ", the master's disk wiped", ", a replica's disk wiped"} {
			for i, order := range orders {
				for _, parked := range []bool{false, true} {
					if parked == ((i/2+n)%2 == 0) && !*all || !turn(i, j, n) {
						continue
					}
					t.Run(string(p)+wiped+", "+order+named(parked, ", started parked"), func(t *testing.T) {
						t.Parallel()
						args := p.args()
						if parked {
							args = append(args, bornParked...)
						}
						k := cluster(t, 3, args...)
						m := started(t, k)
						stored := wrote(t, k, m, keys{prefix: "stored", n: 1000})
						p.synced(t, k.Redis...)
						lost, best := nobody, []int{m}
						switch wiped {
						case ", the master's disk wiped":
							lost = m
						case ", a replica's disk wiped":
							lost = (m + 1) % 3
						}
						if lost != nobody {
							best = others(k, lost)
						}
						allRestarted(t, k, m, lost, order, best...)
						for _, i := range others(k, lost) {
							keep(t, stored.n, k.Redis[i])
						}
						whole(t, k, stored)
						ok(t, k.Stop())
					})
				}
			}
		}
	}
}

// orders are those in which all are started again.
var orders = []string{"the master first", "the master last", "the agents first", "the best ones' agents later"}

// allRestarted kills everything at once, empties the disk of one server, and starts all again. The best are those that
// must not lose what they have.
func allRestarted(t *testing.T, k *lab.Cluster, m, wiped int, order string, best ...int) {
	t.Helper()
	var all []*lab.Process
	for i := range k.Redis {
		all = append(all, k.Redis[i].Process, k.Agents[i])
	}
	kill(all...)
	if wiped != nobody {
		files, err := filepath.Glob(filepath.Join(k.Redis[wiped].Dir, "*"))
		ok(t, err)
		for _, f := range files {
			ok(t, os.RemoveAll(f))
		}
	}
	members := append([]int{m}, others(k, m)...)
	redis := func(i int) { ok(t, k.Redis[i].Start()) }
	agent := func(i int) { ok(t, k.Agent(i)) }
	switch order {
	case "the master last":
		slices.Reverse(members)
		fallthrough
	case "the master first":
		each(members, func(i int) { redis(i); agent(i) })
	case "the agents first":
		each(members, agent)
		each(members, redis)
	case "the best ones' agents later": // as on a host that boots slowly
		each(members, redis)
		each(others(k, best...), agent)
		throughout(t, 1500*time.Millisecond, func() error { return nil })
		each(best, agent)
	}
}

func each(all []int, do func(int)) {
	for _, i := range all {
		do(i)
	}
}

// A replica saved later than the master did: what it has is all that there is.
func TestLead04_ReplicasDumpIsNewer(t *testing.T) {
	t.Parallel()
	for _, parked := range []bool{false, true} {
		for i, order := range orders {
			if !turn(i, bit(!parked)) {
				continue
			}
			t.Run(order+named(parked, ", started parked"), func(t *testing.T) {
				t.Parallel()
				var args []string
				if parked {
					args = bornParked
				}
				k := cluster(t, 3, args...)
				m := started(t, k)
				saved := wrote(t, k, m, keys{prefix: "saved", n: 1000})
				rdb.synced(t, k.Redis...)
				later := wrote(t, k, m, keys{prefix: "later", n: 100})
				newest := (m + 2) % 3
				rdb.synced(t, k.Redis[newest])
				allRestarted(t, k, m, nobody, order, newest)
				keep(t, saved.n+later.n, k.Redis[newest])
				whole(t, k, saved, later)
				if order != "the best ones' agents later" { // another may have caught up from it by then
					leads(t, k, newest)
				}
				ok(t, k.Stop())
			})
		}
	}
}

// All Redis servers die while their agents live, and the master's is back before the others'. That its agent has led for long
// says nothing of for how long nobody does.
func TestLead04_ReplicasDumpIsNewerAndTheAgentsLive(t *testing.T) {
	t.Parallel()
	k := cluster(t, 3)
	m := started(t, k)
	saved := wrote(t, k, m, keys{prefix: "saved", n: 1000})
	rdb.synced(t, k.Redis...)
	later := wrote(t, k, m, keys{prefix: "later", n: 100})
	newest := (m + 2) % 3
	rdb.synced(t, k.Redis[newest])
	throughout(t, 7*time.Second, func() error { return nil }) // more than two of the lock's TTLs
	kill(k.Redis[0].Process, k.Redis[1].Process, k.Redis[2].Process)
	ok(t, k.Redis[m].Start())
	throughout(t, 1500*time.Millisecond, func() error { return nil })
	each(others(k, m), func(i int) { ok(t, k.Redis[i].Start()) })
	keep(t, saved.n+later.n, k.Redis[newest])
	whole(t, k, saved, later)
	leads(t, k, newest)
	ok(t, k.Stop())
}

// And its agent does not come back for now: the others catch up from its Redis, which begins a new history with that, for it was
// started parked, from a dump, and has no backlog. What they got that way is not worth less than what they had.
func TestLead04_ReplicasDumpIsNewerAndItsAgentDead(t *testing.T) {
	t.Parallel()
	for _, amid := range []bool{false, true} {
		t.Run("it comes back later"+named(amid, ", amid the catching up"), func(t *testing.T) {
			t.Parallel()
			k := cluster(t, 3, bornParked...)
			m := started(t, k)
			saved := wrote(t, k, m, keys{prefix: "saved", n: 1000})
			rdb.synced(t, k.Redis...)
			last := wrote(t, k, m, keys{prefix: "later", n: 100})
			newest := (m + 2) % 3
			rdb.synced(t, k.Redis[newest])
			var all []*lab.Process
			for i := range k.Redis {
				all = append(all, k.Redis[i].Process, k.Agents[i])
			}
			kill(all...)
			for _, r := range k.Redis {
				ok(t, r.Restart())
			}
			rest := others(k, newest)
			each(rest, func(i int) { ok(t, k.Agent(i)) })
			lab.Eventually(t, patience, func() error {
				if !amid {
					_, err := k.Redis[rest[0]].Do("SET", "written", "1")
					_, err2 := k.Redis[rest[1]].Do("SET", "written", "1")
					if err != nil && err2 != nil {
						return err
					}
					return nil
				}
				if k.Agents[rest[0]].Said("we catch up from it") != nil {
					return k.Agents[rest[1]].Said("we catch up from it")
				}
				return nil
			})
			keep(t, saved.n+last.n, k.Redis[newest])
			ok(t, k.Agent(newest))
			whole(t, k, saved, last)
			ok(t, k.Stop())
		})
	}
}

// The replicas lag when all goes down: the master's AOF holds writes that were acknowledged, synced, and nowhere else.
func TestLead04_MastersAOFHoldsMore(t *testing.T) {
	t.Parallel()
	for _, parked := range []bool{false, true} {
		for i, order := range orders {
			if !turn(i, bit(parked)) {
				continue
			}
			t.Run(order+named(parked, ", started parked"), func(t *testing.T) {
				t.Parallel()
				args := aof.args()
				if parked {
					args = append(args, bornParked...)
				}
				k := cluster(t, 3, args...)
				m := started(t, k)
				stored := wrote(t, k, m, keys{prefix: "stored", n: 1000})
				aof.synced(t, k.Redis...)
				for _, i := range others(k, m) {
					k.Redis[i].Freeze()
				}
				last := keys{prefix: "last", n: 100}
				ok(t, last.write(k.Redis[m]))
				allRestarted(t, k, m, nobody, order, m)
				keep(t, stored.n+last.n, k.Redis[m])
				whole(t, k, stored, last)
				ok(t, k.Stop())
			})
		}
	}
}

// A Redis with AOF restarts with a new replication ID: it rejoins by itself.
func TestLead04_OneRestarted(t *testing.T) {
	t.Parallel()
	for _, parked := range []bool{false, true} {
		for _, master := range []bool{false, true} {
			for _, agentToo := range []bool{false, true} {
				if !turn(bit(parked), bit(master), bit(agentToo)) {
					continue
				}
				name := "a replica" + named(agentToo, " and its agent") + named(parked, ", started parked")
				if master {
					name = "the master" + name[len("a replica"):]
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					args := aof.args()
					if parked {
						args = append(args, bornParked...)
					}
					k := cluster(t, 3, args...)
					m := started(t, k)
					stored := wrote(t, k, m, keys{prefix: "stored", n: 1000})
					aof.synced(t, k.Redis...)
					keep(t, stored.n, k.Redis...)
					one := m
					if !master {
						one = (m + 1) % 3
					}
					k.Redis[one].Kill()
					if agentToo {
						k.Agents[one].Kill()
					}
					away := keys{prefix: "away", n: 100}
					lab.Eventually(t, patience, func() error { // the others continue
						now, err := k.Master()
						if err != nil {
							return err
						}
						return errors.Join(k.Redis[now].IsMaster(1), away.write(k.Redis[now]))
					})
					ok(t, k.Redis[one].Start())
					if agentToo {
						ok(t, k.Agent(one))
					}
					whole(t, k, stored, away)
					if !master {
						leads(t, k, m)
					}
					ok(t, k.Stop())
				})
			}
		}
	}
}
