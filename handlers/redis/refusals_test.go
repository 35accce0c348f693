package redis

import (
	"errors"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRefusals(t *testing.T) {
	full := map[string]string{"maxmemory": "3000000", "maxmemory_policy": "noeviction", "used_memory": "3100000",
		"mem_not_counted_for_evict": "0"}
	const memory = "(OOM): maxmemory is 3000000, and nothing may be evicted "
	unsaved := map[string]string{"rdb_last_bgsave_status": "err"}
	saves := map[string]string{"stop-writes-on-bgsave-error": "yes", "save": "3600 1"}
	const misconf = "it cannot save its data to disk (MISCONF, stop-writes-on-bgsave-error)"
	for _, tt := range []struct {
		name         string
		info, save   map[string]string
		now, toMove  string // Refusing, RefusingUntilMoved
		worseThanAny string // Drawback
		clients      string // RefusingClients
	}{
		{name: "a healthy server", info: map[string]string{"rdb_last_bgsave_status": "ok", "aof_enabled": "1",
			"aof_last_write_status": "ok", "master_failover_state": "no-failover", "paused_reason": "none", "maxmemory": "0"}},
		{name: "a failed save", info: unsaved, save: saves, now: misconf, toMove: misconf, worseThanAny: misconf},
		{name: "a failed save that the operator accepts", info: unsaved, save: changed(saves, "stop-writes-on-bgsave-error", "no")},
		{name: "a failed save by hand, where none is configured", info: unsaved, save: changed(saves, "save", "")},
		{name: "a failed write of the append-only file",
			info:         map[string]string{"aof_enabled": "1", "aof_last_write_status": "err"},
			now:          "it cannot write its append-only file to disk (MISCONF)",
			toMove:       "it cannot write its append-only file to disk (MISCONF)",
			worseThanAny: "it cannot write its append-only file to disk (MISCONF)"},
		{name: "an append-only file that is off again", info: map[string]string{"aof_enabled": "0", "aof_last_write_status": "err"}},
		{name: "full, without eviction", info: full, now: "its memory is full " + memory + "(noeviction)",
			toMove: "its memory is full " + memory + "(noeviction)", worseThanAny: "its memory is full " + memory + "(noeviction)"},
		{name: "nearly full", info: changed(full, "used_memory", "2800000"), worseThanAny: "its memory is nearly full " + memory + "(noeviction)"},
		{name: "half full", info: changed(full, "used_memory", "1500000")},
		{name: "buffers of replicas do not count", info: changed(full, "mem_not_counted_for_evict", "1600000")},
		{name: "any key may be evicted", info: changed(full, "maxmemory_policy", "allkeys-lru")},
		{name: "a replica that evicts by itself",
			info:         map[string]string{"role": "slave", "evicted_keys": "3"},
			save:         map[string]string{"replica-ignore-maxmemory": "no"},
			worseThanAny: "it evicts keys that its master may have (replica-ignore-maxmemory no)"},
		{name: "one that leaves it to its master", info: map[string]string{"role": "slave", "evicted_keys": "3"},
			save: map[string]string{"replica-ignore-maxmemory": "yes"}},
		{name: "a master that evicts", info: map[string]string{"role": "master", "evicted_keys": "3"},
			save: map[string]string{"replica-ignore-maxmemory": "no"}},
		{name: "keys that expire may be evicted",
			info: changed(changed(full, "maxmemory_policy", "volatile-lru"), "db0", "keys=3,expires=1,avg_ttl=0")},
		{name: "no key expires", info: changed(changed(full, "maxmemory_policy", "volatile-lru"), "db0", "keys=3,expires=0,avg_ttl=0"),
			now: "its memory is full " + memory + "(volatile-lru)", toMove: "its memory is full " + memory + "(volatile-lru)",
			worseThanAny: "its memory is full " + memory + "(volatile-lru)"},
		{name: "shutting down, and full", info: changed(full, "shutdown_in_milliseconds", "9000"),
			now: "it is shutting down", toMove: "it is shutting down", worseThanAny: "it is shutting down"},
		{name: "somebody's pause", info: map[string]string{"paused_reason": "client_pause"},
			now:          "the command CLIENT PAUSE holds its writes back; `CLIENT UNPAUSE` ends that",
			worseThanAny: "the command CLIENT PAUSE holds its writes back; `CLIENT UNPAUSE` ends that"},
		{name: "somebody's failover", info: map[string]string{"master_failover_state": "waiting-for-sync"},
			now:          "the command FAILOVER holds its writes back (waiting-for-sync); `FAILOVER ABORT` ends that",
			worseThanAny: "the command FAILOVER holds its writes back (waiting-for-sync); `FAILOVER ABORT` ends that"},
		{name: "as many clients as it may have", info: map[string]string{"maxclients": "10", "connected_clients": "8", "connected_slaves": "2"},
			worseThanAny: "it refuses new clients: maxclients is 10", clients: "it refuses new clients: maxclients is 10"},
		{name: "one client less", info: map[string]string{"maxclients": "10", "connected_clients": "7", "connected_slaves": "2"}},
		{name: "too many clients, and a full memory",
			info: changed(changed(full, "maxclients", "10"), "connected_clients", "11"),
			now:  "its memory is full " + memory + "(noeviction)", toMove: "its memory is full " + memory + "(noeviction)",
			worseThanAny: "its memory is full " + memory + "(noeviction)", clients: "it refuses new clients: maxclients is 10"},
		{name: "a pause and a full memory", info: changed(full, "paused_reason", "client_pause"),
			now:          "the command CLIENT PAUSE holds its writes back; `CLIENT UNPAUSE` ends that",
			toMove:       "its memory is full " + memory + "(noeviction)",
			worseThanAny: "the command CLIENT PAUSE holds its writes back; `CLIENT UNPAUSE` ends that"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st := Status{Refusals: refusalsOf(tt.info, tt.save)}
			if st.RefusingClients() != tt.clients {
				t.Errorf("refusing clients %q, want %q", st.RefusingClients(), tt.clients)
			}
			if st.Refusing() != tt.now || st.RefusingUntilMoved() != tt.toMove || st.Drawback() != tt.worseThanAny {
				t.Errorf("refusing %q, until moved %q, drawback %q; want %q, %q, %q", st.Refusing(), st.RefusingUntilMoved(),
					st.Drawback(), tt.now, tt.toMove, tt.worseThanAny)
			}
		})
	}
}

// changed returns a copy of fields with one changed.
func changed(fields map[string]string, name, value string) map[string]string {
	out := maps.Clone(fields)
	out[name] = value
	return out
}

// The settings of saves are read only when INFO says that a save failed.
func TestStatus_ReadsSettingsOfSave(t *testing.T) {
	p := newPeer(t, nil)
	for name, value := range map[string]string{"replica-priority": "100", "stop-writes-on-bgsave-error": "yes", "save": "1 1"} {
		p.set(name, value)
	}
	s := p.open(t, Options{})
	p.fail("CONFIG GET save", "-ERR asked for without need")
	if st, err := s.Status(t.Context()); err != nil || st.Refusals != nil {
		t.Errorf("got %v, %v", st.Refusals, err)
	}
	p.setInfo(map[string]string{"rdb_last_bgsave_status": "err"})
	p.succeed("CONFIG GET save")
	st, err := s.Status(t.Context())
	want := []Refusal{{Code: RefusalDisk, Text: "it cannot save its data to disk (MISCONF, stop-writes-on-bgsave-error)", Now: true}}
	if d := cmp.Diff(want, st.Refusals); err != nil || d != "" {
		t.Error(err, d)
	}
	for setting, ends := range map[string]bool{"yes": false, "no": true} {
		p.set("replica-ignore-disk-write-errors", setting)
		if st, err := s.Status(t.Context()); err != nil || st.WriteEndsReplica != ends {
			t.Errorf("replica-ignore-disk-write-errors %s: %t, %v", setting, st.WriteEndsReplica, err)
		}
	}
	p.setInfo(map[string]string{"cluster_enabled": "1"})
	if _, err := s.Status(t.Context()); !errors.Is(err, ErrClusterMode) || !Unsupported(err) || !AccessDenied(err) {
		t.Errorf("got %v, want ErrClusterMode", err)
	}
}
