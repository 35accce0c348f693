package cluster

import (
	"testing"

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
