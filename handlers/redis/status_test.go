package redis

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// id40 is a replication ID or run id: 40 digits.
func id40(c string) string { return strings.Repeat(c, 40) }

// info is the INFO of a master without keys, with changed fields; an empty value leaves the field out.
func info(change map[string]string) string {
	f := map[string]string{
		"redis_version": "7.0.15", "run_id": id40("a"), "loading": "0", "role": "master", "connected_slaves": "0",
		"master_replid": id40("b"), "master_replid2": id40("0"), "master_repl_offset": "1234", "second_repl_offset": "-1",
	}
	maps.Copy(f, change)
	text := "# Server\r\n\r\n"
	for k, v := range f {
		if v != "" {
			text += k + ":" + v + "\r\n"
		}
	}
	return text
}

// replica is the INFO of a streaming replica, with changed fields.
func replica(change map[string]string) string {
	f := map[string]string{
		"role": "slave", "master_host": "10.0.0.1", "master_port": "6379", "master_link_status": "up",
		"master_sync_in_progress": "0", "slave_read_repl_offset": "999", "slave_repl_offset": "988",
	}
	maps.Copy(f, change)
	return info(f)
}

// with returns a changed status.
func with(st Status, change func(*Status)) Status {
	change(&st)
	return st
}

func TestParseInfo(t *testing.T) {
	master := Status{RunID: id40("a"), Version: "7.0.15", Master: true, Priority: 100,
		Position: Position{ReplID: id40("b"), Offset: 1234}}
	linked := Status{RunID: id40("a"), Version: "7.0.15", MasterAddr: "10.0.0.1:6379", LinkUp: true, Priority: 100,
		Position: Position{ReplID: id40("b"), Offset: 988}}
	for _, tt := range []struct {
		name, text string
		want       Status
	}{
		{"a master has its own offset", info(nil), master},
		{"lines may end without a carriage return", strings.ReplaceAll(info(nil), "\r\n", "\n"), master},
		{"a history that continues another has both replication IDs",
			info(map[string]string{"master_replid2": id40("c"), "second_repl_offset": "1200"}),
			with(master, func(s *Status) { s.Position.ReplID2, s.Position.ReplID2EndOffset = id40("c"), 1200 })},
		{"a replica has the offset that it has applied", replica(nil), linked},
		{"a link that is down is not up", replica(map[string]string{"master_link_status": "down"}),
			with(linked, func(s *Status) { s.LinkUp = false })},
		{"the time since the link went down",
			replica(map[string]string{"master_link_status": "down", "master_link_down_since_seconds": "7"}),
			with(linked, func(s *Status) { s.LinkUp, s.LinkDownFor = false, 7 })},
		{"a link that never was up has no such time",
			replica(map[string]string{"master_link_status": "down", "master_link_down_since_seconds": "-1"}),
			with(linked, func(s *Status) { s.LinkUp = false })},
		{"a full sync in progress", replica(map[string]string{"master_link_status": "down", "master_sync_in_progress": "1"}),
			with(linked, func(s *Status) { s.LinkUp, s.Syncing = false, true })},
		{"an IPv6 master is in brackets", replica(map[string]string{"master_host": "fd00::1"}),
			with(linked, func(s *Status) { s.MasterAddr = "[fd00::1]:6379" })},
		{"a parked server follows the sink",
			replica(map[string]string{"master_host": "127.0.0.1", "master_port": "1", "master_link_status": "down"}),
			with(linked, func(s *Status) { s.MasterAddr, s.LinkUp = Sink, false })},
		{"a server that is loading", info(map[string]string{"loading": "1"}),
			with(master, func(s *Status) { s.Loading = true })},
		{"keys are those of all databases",
			info(map[string]string{"db0": "keys=5,expires=1,avg_ttl=0", "db11": "keys=37,expires=0,avg_ttl=0,subexpiry=0"}),
			with(master, func(s *Status) { s.Keys = 42 })},
		{"a field that only looks like a database",
			info(map[string]string{"db0_distrib": "keys=5", "dbsize": "keys=6", "db1": "7"}), master},
		{"replicas are listed in order, IPv6 in brackets", info(map[string]string{
			"slave0": "ip=10.0.0.2,port=6379,state=online,offset=1200,lag=0",
			"slave1": "ip=fd00::3,port=6380,state=wait_bgsave,offset=0,lag=0"}),
			with(master, func(s *Status) {
				s.Replicas = []Replica{{Addr: "10.0.0.2:6379", Online: true, Offset: 1200}, {Addr: "[fd00::3]:6380"}}
			})},
		{"Valkey reports the Redis version that it is compatible with",
			info(map[string]string{"redis_version": "7.2.4", "valkey_version": "8.1.0", "server_name": "valkey"}),
			with(master, func(s *Status) { s.Version = "7.2.4" })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseInfo(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseInfo_Refuses(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
		tooOld           bool
	}{
		{"an empty answer", "", "its answer cannot be understood: it names no run_id or role", false},
		{"a server without a run id",
			info(map[string]string{"run_id": ""}), "its answer cannot be understood: it names no run_id or role", false},
		{"a server without a role",
			info(map[string]string{"role": ""}), "its answer cannot be understood: it names no run_id or role", false},
		{"a server without CLIENT PAUSE WRITE",
			info(map[string]string{"redis_version": "6.0.16"}), "redis 6.2 or newer is needed: it is 6.0.16", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseInfo(tt.text)
			if err == nil || err.Error() != tt.want || errors.Is(err, ErrTooOld) != tt.tooOld {
				t.Errorf("got error %v, want %q (too old: %t)", err, tt.want, tt.tooOld)
			}
			if d := cmp.Diff(Status{}, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestSupported(t *testing.T) {
	for version, want := range map[string]bool{
		"6.2.0": true, "6.2": true, "6.10.1": true, "7.0.15": true, "7": true, "10.0.0": true, "255.255.255": true,
		"6.1.9": false, "6.0.16": false, "6": false, "5.9.9": false, "": false, "unstable": false, "v7.0.0": false,
	} {
		if got := supported(version); got != want {
			t.Errorf("supported(%q) = %t, want %t", version, got, want)
		}
	}
}

func TestStatus_Predicates(t *testing.T) {
	type predicates struct{ Fenced, Parked, Streaming bool }
	for _, tt := range []struct {
		name string
		st   Status
		want predicates
	}{
		{"a master is neither parked nor streaming", Status{Master: true, LinkUp: true, MasterAddr: Sink}, predicates{}},
		{"a replica of the sink is parked", Status{MasterAddr: Sink}, predicates{Parked: true}},
		{"a replica whose link is up is streaming",
			Status{MasterAddr: "10.0.0.1:6379", LinkUp: true}, predicates{Streaming: true}},
		{"a replica in a full sync is not streaming",
			Status{MasterAddr: "10.0.0.1:6379", LinkUp: true, Syncing: true}, predicates{}},
		{"an operator's setting is no fence", Status{Master: true, MinReplicas: 2}, predicates{}},
		{"a fence over an operator's setting", Status{Master: true, MinReplicas: fenceOver(2)}, predicates{Fenced: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, predicates{tt.st.Fenced(), tt.st.Parked(), tt.st.Streaming()}); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestIsAncestorOf(t *testing.T) {
	q := Position{ReplID: "b", ReplID2: "a", ReplID2EndOffset: 100, Offset: 150}
	for _, tt := range []struct {
		p    Position
		want bool
	}{
		{Position{ReplID: "b", Offset: 150}, true},
		{Position{ReplID: "b", Offset: 151}, false},
		{Position{ReplID: "a", Offset: 99}, true},
		{Position{ReplID: "a", Offset: 100}, false}, // the histories diverged at offset 100
		{Position{ReplID: "c", Offset: 1}, false},
		{Position{}, false},
		{Position{ReplID: "a", Offset: 151}, false},
	} {
		if got := tt.p.IsAncestorOf(q); got != tt.want {
			t.Errorf("%+v is an ancestor: %t", tt.p, got)
		}
	}
	q.ReplID2EndOffset = 0 // unknown
	if p := (Position{ReplID: "a", Offset: 150}); !p.IsAncestorOf(q) {
		t.Errorf("%+v is no ancestor, although the end of its history is unknown", p)
	}
}

func TestAttached(t *testing.T) {
	st := Status{Replicas: []Replica{{Online: true, Lag: 0}, {Online: true, Lag: 1}, {Online: true, Lag: 2}, {Lag: 0}}}
	for lag, want := range map[int]int{0: 0, 1: 1, 2: 2, 3: 3, 10: 3} {
		if got := st.Attached(lag); got != want {
			t.Errorf("Attached(%d) = %d, want %d", lag, got, want)
		}
	}
}

func TestBelowMinReplicas(t *testing.T) {
	one := []Replica{{Online: true, Lag: 10}}
	for _, tt := range []struct {
		name string
		st   Status
		want bool
	}{
		{"too few", Status{Master: true, MinReplicas: 2, MaxLag: 10, Replicas: one}, true},
		{"enough, at the largest lag", Status{Master: true, MinReplicas: 1, MaxLag: 10, Replicas: one}, false},
		{"one that lags too much", Status{Master: true, MinReplicas: 1, MaxLag: 9, Replicas: one}, true},
		{"a max-lag of 0 switches it off", Status{Master: true, MinReplicas: 2, Replicas: one}, false},
		{"a max-lag of 1", Status{Master: true, MinReplicas: 1, MaxLag: 1}, true},
		{"a replica", Status{MinReplicas: 2, MaxLag: 10}, false},
	} {
		if got := tt.st.BelowMinReplicas(); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestStatus(t *testing.T) {
	p := newPeer(t, nil)
	for name, value := range map[string]string{
		"replica-priority": "0", "replica-read-only": "no", "min-replicas-to-write": "2", "min-replicas-max-lag": "7",
	} {
		p.set(name, value)
	}
	s := p.open(t, Options{})
	want := Status{RunID: id40("a"), Version: "7.0.15", Master: true, Position: Position{ReplID: id40("b"), Offset: 1234},
		ReplicaWritable: true, MinReplicas: 2, MaxLag: 7}
	got, err := s.Status(t.Context())
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
	p.set("replica-priority", "")
	p.set("replica-read-only", "yes")
	want.Priority, want.ReplicaWritable = 100, false
	got, err = s.Status(t.Context())
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
	p.setInfo(map[string]string{"redis_version": "6.0.0"})
	if _, err := s.Status(t.Context()); !errors.Is(err, ErrTooOld) || !strings.Contains(err.Error(), p.addr()) {
		t.Errorf("got %v, want ErrTooOld with the address", err)
	}
	for command, reply := range map[string]string{"INFO": ":1", "CONFIG GET": ":1"} {
		p.setInfo(map[string]string{"redis_version": "7.0.15"})
		p.fail(command, reply)
		if _, err := s.Status(t.Context()); err == nil {
			t.Errorf("a number in reply to %s is no error", command)
		}
		p.succeed(command)
	}
}
