package cluster

import (
	"testing"
	"time"
)

func TestRestarts_Observe(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	lately, longAgo := now.Add(-time.Minute).Unix(), now.Add(-RestartWindow-2*time.Second).Unix()
	persisted := func(run string, r Restarts) MemberKey { return MemberKey{RunID: run, Restarts: r} }
	for _, tt := range []struct {
		name      string
		r         Restarts
		was       string
		persisted MemberKey
		want      Restarts
	}{
		{"the first run", Restarts{}, "", MemberKey{}, Restarts{}},
		{"a restart", Restarts{}, "old", MemberKey{}, Restarts{1, now.Unix()}},
		{"one more", Restarts{2, lately}, "old", MemberKey{}, Restarts{3, now.Unix()}},
		{"one after a long time", Restarts{2, longAgo}, "old", MemberKey{}, Restarts{1, now.Unix()}},
		{"the same run", Restarts{2, lately}, "new", MemberKey{}, Restarts{2, lately}},
		{"a new agent of the same run", Restarts{}, "", persisted("new", Restarts{2, lately}), Restarts{2, lately}},
		{"a restart while there was no agent", Restarts{}, "", persisted("old", Restarts{2, lately}), Restarts{3, now.Unix()}},
	} {
		if got := tt.r.Observe(tt.was, "new", tt.persisted, now); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
