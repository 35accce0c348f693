package cluster

import (
	"testing"
	"time"

	"resec/commands/expect"
	"resec/handlers/redis"
)

func TestFollowsUnnamed(t *testing.T) {
	own := redis.Status{RunID: "run-me", MasterAddr: "m:1", LinkUp: true}
	member := []Member{{ID: "m", Address: "m:1"}}
	for _, tt := range []struct {
		name    string
		view    View
		own     redis.Status
		members []Member
		want    bool
	}{
		{"a server that nothing names", View{}, own, nil, true},
		{"whatever its link is", View{}, redis.Status{MasterAddr: "m:1"}, nil, true},
		{"whatever other members there are", View{}, own, []Member{{ID: "b", Address: "b:1"}}, true},
		{"a member, or a service instance", View{}, own, member, false},
		{"the lock's key names it", View{LastHolder: "m:1"}, own, nil, false},
		{"a master was published, whichever", situation().View, own, nil, false},
		{"our redis is parked", View{}, redis.Status{MasterAddr: redis.Sink}, nil, false},
		{"our redis is a master", View{}, redis.Status{Master: true}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := FollowsUnnamed(tt.view, tt.own, tt.members); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// A server that has answered counts as answering for a while, unless something names it, or our Redis follows another one.
func TestUnnamedMaster(t *testing.T) {
	now := time.Unix(1e9, 0)
	seen, addr := UnnamedMaster{}.Observe("m:1", true, now)
	expect.Equal(t, "one that answers", addr, "m:1")
	for _, tt := range []struct {
		name, addr, want string
		after            time.Duration
	}{
		{"it is restarted", "m:1", "m:1", unnamedGrace - 1},
		{"it stays away", "m:1", "", unnamedGrace},
		{"it is named, or our redis is parked", "", "", time.Second},
		{"another one", "n:1", "", time.Second},
	} {
		_, addr := seen.Observe(tt.addr, false, now.Add(tt.after))
		expect.Equal(t, tt.name, addr, tt.want)
	}
	_, addr = UnnamedMaster{}.Observe("m:1", false, now)
	expect.Equal(t, "one that has never answered", addr, "")
}
