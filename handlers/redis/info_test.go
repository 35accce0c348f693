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
			got, err := parseInfo(infoFields(tt.text))
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
			got, err := parseInfo(infoFields(tt.text))
			if err == nil || err.Error() != tt.want || errors.Is(err, ErrTooOld) != tt.tooOld {
				t.Errorf("got error %v, want %q (too old: %t)", err, tt.want, tt.tooOld)
			}
			if d := cmp.Diff(Status{}, got); d != "" {
				t.Error(d)
			}
		})
	}
}
