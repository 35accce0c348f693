package redis

import (
	"strings"
	"testing"
)

// What a server says of itself is read without harm, whatever it is; who has no identity is none.
func FuzzParseInfo(f *testing.F) {
	f.Add("run_id:a\r\nrole:master\r\nredis_version:7.0.15\r\nmaster_replid:b\r\nmaster_repl_offset:12\r\ndb0:keys=3,expires=0\r\nslave0:ip=10.0.0.1,port=6379,state=online,offset=12,lag=0\r\n")
	f.Add("run_id:a\nrole:slave\nredis_version:7.2.4\nmaster_host:::1\nmaster_port:6379\nmaster_link_status:up\nslave_repl_offset:-1\n")
	f.Fuzz(func(t *testing.T, text string) {
		st, err := parseInfo(text)
		switch {
		case err != nil:
			if st.RunID != "" {
				t.Errorf("%v, and yet %+v", err, st)
			}
			return
		case st.RunID == "" || !supported(st.Version):
			t.Errorf("a server without identity: %+v", st)
		case !st.Master && strings.Count(st.MasterAddr, ":") == 0:
			t.Errorf("it follows %q", st.MasterAddr)
		case len(st.Replicas) > strings.Count(text, "slave"):
			t.Errorf("%d replicas", len(st.Replicas))
		}
		for _, late := range []int{0, 1, 10} {
			if n := st.Attached(late); n < 0 || n > len(st.Replicas) {
				t.Errorf("%d of %d are attached", n, len(st.Replicas))
			}
		}
		if st.BelowMinReplicas() && !st.Master {
			t.Error("a replica is closed for want of replicas")
		}
		if over := fenceOver(st.MinReplicasUnfenced()); !fenced(over) || underFence(over) < 0 {
			t.Errorf("a fence over %d is %d", st.MinReplicasUnfenced(), over)
		}
	})
}

// Nobody who is named as ours is disconnected, whatever else the list says.
func FuzzStrangers(f *testing.F) {
	f.Add("id=3 addr=10.0.0.1:5000 name=resec:a db=0\nid=4 addr=10.0.0.2:5000 name= db=0\n")
	f.Fuzz(func(t *testing.T, list string) {
		for _, id := range foreignClients(list) {
			if id == "" || strings.ContainsAny(id, " \t\r\n") {
				t.Errorf("an id is %q", id)
			}
		}
		if len(foreignClients(list)) > strings.Count(list, "id=") {
			t.Error("more than there are")
		}
	})
}

// A command that is written by hand is one command, whatever its arguments hold.
func FuzzEncode(f *testing.F) {
	f.Add("AUTH", "pass\r\nword")
	f.Fuzz(func(t *testing.T, a, b string) {
		out := encode([]string{a, b})
		head := "*2\r\n"
		if !strings.HasPrefix(out, head) || len(out) < len(head)+len(a)+len(b) || !strings.HasSuffix(out, b+"\r\n") {
			t.Errorf("%q", out)
		}
	})
}
