package takeover

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

func TestRun(t *testing.T) {
	newer := redis.Position{ReplID: "aaaa", Offset: 200}
	catchesUp := func(f *fake) { // it has no link, and gets the newer data from whatever it follows next
		f.st.LinkUp = false
		f.onChange = func(line string, f *fake) {
			if strings.HasPrefix(line, "REPLICAOF") && f.st.LinkUp {
				f.st.Position = newer
			}
		}
	}
	for _, tt := range []struct {
		name    string
		arrange func(*scene)
		want    error    // nil: our Redis is master
		steps   []string // that must be recorded
		not     []string // that must not
		check   func(*scene) bool
	}{
		{name: "the old master is down",
			arrange: func(s *scene) { s.other["old"].stop(); s.me.set(func(f *fake) { f.st.LinkUp = false }) },
			steps:   []string{StepPromoted, StepWritesEnabled}, not: []string{StepPaused, StepUnreachable}},
		{name: "it refuses and our redis still streams from it", arrange: func(s *scene) { s.other["old"].stop() },
			want: errNetworkRejects},
		{name: "it refuses, our redis streams, and its own agent has reported it", arrange: func(s *scene) {
			s.other["old"].stop()
			s.view.State.Why = cluster.WhyDead
		}, steps: []string{StepWritesEnabled}},
		{name: "it refuses, our redis streams, and an operator forces it", arrange: func(s *scene) {
			s.other["old"].stop()
			s.Operator.ForcedFailover = &cluster.Request{To: "me"}
		}, steps: []string{StepWritesEnabled}},
		{name: "no master was published", arrange: func(s *scene) {
			s.view.State = cluster.State{}
			s.me.set(func(f *fake) { f.st.MasterAddr, f.st.LinkUp = redis.Sink, false })
		}, steps: []string{StepPromoted, StepWritesEnabled}, not: []string{StepPaused},
			check: func(s *scene) bool { return s.me.status().Master }},
		{name: "our redis is the master already", arrange: func(s *scene) {
			s.view.State.Master.ID, s.view.State.Master.RunID = "me", "run-me"
			s.me.set(func(f *fake) { f.st.Master, f.st.MasterAddr = true, "" })
		}, not: []string{StepPeersParked, StepPromoted, StepWritesEnabled}},
		{name: "the old master is frozen and unguarded", arrange: func(s *scene) {
			s.other["old"].set(func(f *fake) { f.frozen = true })
			s.Self.Creds.Timeout = 100 * time.Millisecond
			s.view.State.Master.Guard = 0
		}, want: errGuardUnproven, not: []string{StepPromoted, StepUnreachable}},
		{name: "the old master is frozen with GUARD=off", arrange: func(s *scene) {
			s.other["old"].set(func(f *fake) { f.frozen = true })
			s.Self.Creds.Timeout = 100 * time.Millisecond
			s.view.State.Master.Guard = cluster.GuardOff
			s.view.State.Why = cluster.WhyFrozen
		}, steps: []string{StepUnreachable, StepPromoted}, not: []string{StepGuardClosed}},
		{name: "an operator wants a switchover and the old master is frozen", arrange: func(s *scene) {
			s.other["old"].set(func(f *fake) { f.frozen = true })
			s.Self.Creds.Timeout = 100 * time.Millisecond
			s.Operator.Switchover = &cluster.Request{To: "me", Planned: true}
		}, want: errAny, not: []string{StepUnreachable}},
		{name: "the old master denies CLIENT PAUSE", arrange: func(s *scene) {
			s.other["old"].set(func(f *fake) { f.forbids = "CLIENT PAUSE" })
		}, steps: []string{StepFenced, StepDrained, StepParked, StepPromoted, StepWritesEnabled}, not: []string{StepPaused},
			check: func(s *scene) bool { return s.other["old"].status().MasterAddr == s.me.addr }},
		{name: "it denies CONFIG SET: its pause lasts until it is parked", arrange: func(s *scene) {
			s.other["old"].set(func(f *fake) { f.forbids = "CONFIG SET" })
		}, steps: []string{StepPaused, StepDrained, StepParked}, not: []string{StepFenced},
			check: func(s *scene) bool { return s.other["old"].status().Parked() }},
		{name: "it denies REPLICAOF: it stays fenced", arrange: func(s *scene) {
			s.other["old"].set(func(f *fake) { f.forbids = "REPLICAOF" })
		}, steps: []string{StepFenced, StepDrained, StepPromoted}, not: []string{StepParked},
			check: func(s *scene) bool { return s.other["old"].status().Master && s.other["old"].status().Fenced() }},
		{name: "the old master denies access and a replica streams from it", arrange: func(s *scene) {
			s.other["old"].set(func(f *fake) { f.denied = true })
		}, want: errAny, not: []string{StepPeersParked}},
		{name: "only another replica streams from the old master that denies access", arrange: func(s *scene) {
			s.other["old"].set(func(f *fake) { f.denied = true })
			s.me.set(func(f *fake) { f.st.LinkUp = false })
		}, want: errAny, not: []string{StepPeersParked}},
		{name: "a master that only the catalogue names has unrelated data", arrange: func(s *scene) {
			s.Evidence.CatalogMaster, s.view.State, s.Peers.Recorded = s.view.State.Master, cluster.State{}, nil
			s.me.set(func(f *fake) { f.st.MasterAddr, f.st.LinkUp = redis.Sink, false })
			s.other["old"].set(func(f *fake) { f.st.Position.ReplID = "zzzz" })
		}, want: errUnrelated},
		{name: "another member has newer data", arrange: func(s *scene) {
			s.other["old"].stop()
			s.me.set(func(f *fake) { f.st.LinkUp = false })
			s.other["b"].set(func(f *fake) { f.st.Position = newer })
		}, want: ErrYielded, steps: []string{StepLockTransferred}, not: []string{StepChecked},
			check: func(s *scene) bool { return s.consul.kv[lockKey].Session == "b's" }},
		{name: "an operator forces a failover to a member with older data", arrange: func(s *scene) {
			s.other["old"].stop()
			s.other["b"].set(func(f *fake) { f.st.Position = newer })
			s.Operator.ForcedFailover = &cluster.Request{To: "me", ForceFollow: []string{"b"}}
		}, steps: []string{StepWritesEnabled}, not: []string{StepLockTransferred}},
		{name: "another member has newer data and its agent is dead", arrange: func(s *scene) {
			s.other["old"].stop()
			s.me.set(catchesUp)
			s.other["b"].set(func(f *fake) { f.st.Position = newer })
			s.Peers.Recorded[0].Session = ""
		}, steps: []string{StepCatchUp, StepSourcePromoted, StepWritesEnabled},
			check: func(s *scene) bool {
				return s.me.status().Position.Offset == 200 && s.other["b"].status().MasterAddr == s.me.addr
			}},
		{name: "a member that may never lead has newer data, and ours was restarted", arrange: func(s *scene) {
			s.other["old"].stop()
			s.me.set(catchesUp)
			s.other["b"].set(func(f *fake) { f.st.Position, f.passive = newer, true })
			s.view.State.Members["me"] = cluster.MemberRecord{RunID: "run-before"}
		}, steps: []string{StepCatchUp, StepSourcePromoted, StepWritesEnabled}, not: []string{StepLockTransferred},
			check: func(s *scene) bool {
				return s.me.status().Position.Offset == 200 && s.other["b"].status().MasterAddr == s.me.addr
			}},
		{name: "a member whose agent is refused a command has newer data", arrange: func(s *scene) {
			s.other["old"].stop()
			s.me.set(catchesUp)
			s.other["b"].set(func(f *fake) { f.st.Position = newer })
			s.view.LiveAgents["b"] = cluster.MemberKey{Session: "b's", RunID: "run-b", Refused: "its ACL denies CLIENT PAUSE"}
		}, steps: []string{StepCatchUp, StepSourcePromoted, StepWritesEnabled}, not: []string{StepLockTransferred},
			check: func(s *scene) bool { return s.me.status().Position.Offset == 200 }},
		{name: "the source of a catch-up restarts", arrange: func(s *scene) {
			s.other["old"].stop()
			s.other["b"].set(func(f *fake) { f.st.Position = newer })
			s.me.set(func(f *fake) {
				f.st.LinkUp = false
				f.onChange = func(line string, f *fake) {
					if f.st.LinkUp { // it follows b
						f.st.LinkUp = false
						s.other["b"].set(func(f *fake) { f.st.RunID = "run-b2" })
					}
				}
			})
			s.Peers.Recorded[0].Session = ""
		}, want: errRestarted, steps: []string{StepSourcePromoted}, not: []string{StepChecked},
			check: func(s *scene) bool { return s.me.status().Parked() && s.other["b"].status().Parked() }},
		{name: "the lease is over", arrange: leaseOver, want: lock.ErrLease,
			not:   []string{StepPaused},
			check: func(s *scene) bool { return !s.other["b"].status().Parked() }},
		{name: "the lock is lost while the old master is drained", arrange: func(s *scene) {
			s.other["old"].set(func(f *fake) {
				f.onChange = func(line string, _ *fake) {
					if line == "fence" {
						s.consul.put(lockKey, []byte("b"), "b's", lock.Flag)
					}
				}
			})
		}, want: ErrLost, steps: []string{StepDrained}, not: []string{StepParked, StepPromoted},
			check: func(s *scene) bool { return s.other["old"].status().Fenced() }}, // the next holder relies on it
		{name: "consul is away while the old master is drained", arrange: func(s *scene) {
			s.other["old"].set(func(f *fake) {
				f.onChange = func(line string, _ *fake) {
					if line == "fence" {
						s.consul.set(func() { s.consul.down = true })
					}
				}
			})
		}, want: errAny, steps: []string{StepDrained}, not: []string{StepParked, StepPromoted},
			check: func(s *scene) bool { return !s.other["old"].status().Fenced() && s.other["old"].status().Master }},
		// rolled back
		{name: "the old master restarts while it is drained", arrange: func(s *scene) {
			s.other["old"].set(func(f *fake) {
				f.onChange = func(line string, f *fake) {
					if strings.HasPrefix(line, "CLIENT PAUSE") {
						f.st.RunID = "run-old2"
					}
				}
			})
		}, want: errRestarted, not: []string{StepFenced},
			check: func(s *scene) bool { return s.me.status().Parked() }},
		{name: "our redis has lost its link to the old master", arrange: func(s *scene) {
			s.me.set(func(f *fake) { f.st.MasterAddr, f.st.LinkUp = redis.Sink, false })
		}, steps: []string{StepDrained, StepWritesEnabled}},
		{name: "our redis has data and the old master is empty", arrange: func(s *scene) {
			s.me.set(func(f *fake) { f.st.MasterAddr, f.st.LinkUp = redis.Sink, false })
			s.other["old"].set(func(f *fake) { f.st.Keys, f.st.Position = 0, redis.Position{ReplID: "aaaa", Offset: 1} })
		}, want: handlers.ErrRefused},
		{name: "an operator forces it and our redis lacks data", arrange: func(s *scene) {
			s.me.set(func(f *fake) { f.st.MasterAddr, f.st.LinkUp = redis.Sink, false })
			s.Operator.ForcedFailover = &cluster.Request{To: "me"}
		}, steps: []string{StepWritesEnabled}, not: []string{StepPaused}},
		{name: "a replica answers at the old master's address", arrange: func(s *scene) {
			s.other["old"].set(func(f *fake) { f.st.Master, f.st.MasterAddr = false, s.me.addr })
		}, steps: []string{StepWritesEnabled}, not: []string{StepPaused}},
		{name: "an unknown master answers at the old master's address", arrange: func(s *scene) {
			s.other["old"].set(func(f *fake) {
				f.st = redis.Status{RunID: "x", Master: true,
					Position: redis.Position{ReplID: "zzzz"}}
			})
			s.Evidence.MasterCheckPassing = true
		}, steps: []string{StepWritesEnabled}, not: []string{StepPaused},
			check: func(s *scene) bool { return s.other["old"].status().Parked() }},
		{name: "our redis may not lead any more", arrange: func(s *scene) {
			s.view.State.Members["me"] = cluster.MemberRecord{RunID: "run-before"}
			s.Peers.ConfirmEligible = func(context.Context, cluster.State) error { return errAny }
		}, want: errAny, not: []string{StepChecked}},
		{name: "a fence that the old master had before stays after a failure", arrange: func(s *scene) {
			s.other["old"].set(func(f *fake) {
				f.st.MinReplicas, f.st.MaxLag = 1<<31-1, 10
				f.onChange = func(line string, _ *fake) {
					if strings.HasPrefix(line, "CLIENT PAUSE") {
						s.consul.set(func() { s.consul.down = true })
					}
				}
			})
		}, want: errAny, not: []string{StepParked}, check: func(s *scene) bool { return s.other["old"].status().Fenced() }},
		{name: "a successor that gave up has left a pause", arrange: func(s *scene) { s.Self.HandedOff = true },
			check: func(s *scene) bool { return slices.Contains(s.log.list(), "me: CLIENT UNPAUSE") }},
		{name: "elect without an agent", arrange: func(s *scene) {
			s.Peers, s.view.State.Members, s.Self.Guard = Peers{}, nil, cluster.GuardPolicy{}
		}, steps: []string{StepDrained, StepWritesEnabled},
			check: func(s *scene) bool { return !s.other["b"].status().Parked() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			tt.arrange(s)
			v, err := s.run()
			if tt.want == nil && err != nil || tt.want != nil && (err == nil || tt.want != errAny && !errors.Is(err, tt.want)) {
				t.Errorf("error %v, want %v\n%s", err, tt.want, strings.Join(s.log.list(), "\n"))
			}
			if master := v.State.Master != nil && v.State.Master.ID == "me"; master != (tt.want == nil) {
				t.Errorf("published: %t", master)
			}
			if tt.want != nil && s.me.status().Master && !s.me.status().Fenced() {
				t.Error("our redis accepts writes after a failure")
			}
			for _, step := range tt.steps {
				if !slices.Contains(s.steps(), step) {
					t.Errorf("no step %s in %v", step, s.steps())
				}
			}
			for _, step := range tt.not {
				if slices.Contains(s.steps(), step) {
					t.Errorf("step %s in %v", step, s.steps())
				}
			}
			if tt.check != nil && !tt.check(s) {
				t.Errorf("not as expected:\n%s", strings.Join(s.log.list(), "\n"))
			}
		})
	}
}
