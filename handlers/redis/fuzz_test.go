package redis

import (
	"strings"
	"testing"
)

// parseInfo accepts any text: it returns a usable status or an error.
func FuzzParseInfo(f *testing.F) {
	f.Add("run_id:a\r\nrole:master\r\nredis_version:7.0.15\r\nmaster_replid:b\r\nmaster_repl_offset:12\r\n" +
		"db0:keys=3,expires=0\r\nslave0:ip=10.0.0.1,port=6379,state=online,offset=12,lag=0\r\n")
	f.Add("run_id:a\nrole:slave\nredis_version:7.2.4\nmaster_host:::1\nmaster_port:6379\n" +
		"master_link_status:up\nslave_repl_offset:-1\n")
	f.Fuzz(func(t *testing.T, text string) {
		st, err := parseInfo(infoFields(text))
		switch {
		case err != nil:
			if st.RunID != "" {
				t.Errorf("got both %v and %+v", err, st)
			}
			return
		case st.RunID == "" || !supported(st.Version):
			t.Errorf("accepted without an identity: %+v", st)
		case !st.Master && strings.Count(st.MasterAddr, ":") == 0:
			t.Errorf("it follows %q", st.MasterAddr)
		case len(st.Replicas) > strings.Count(text, "slave"):
			t.Errorf("%d replicas", len(st.Replicas))
		}
		for _, lag := range []int{0, 1, 10} {
			if n := st.Attached(lag); n < 0 || n > len(st.Replicas) {
				t.Errorf("%d of %d are attached", n, len(st.Replicas))
			}
		}
		if st.BelowMinReplicas() && !st.Master {
			t.Error("a replica counts as closed by its min-replicas")
		}
		if fence := fenceOver(st.MinReplicasUnfenced()); !fenced(fence) || underFence(fence) < 0 {
			t.Errorf("the fence over %d is %d", st.MinReplicasUnfenced(), fence)
		}
	})
}

// encodeCommand writes one command, whatever its arguments contain.
func FuzzEncode(f *testing.F) {
	f.Add("AUTH", "pass\r\nword")
	f.Fuzz(func(t *testing.T, a, b string) {
		out := encodeCommand([]string{a, b})
		head := "*2\r\n"
		if !strings.HasPrefix(out, head) || len(out) < len(head)+len(a)+len(b) || !strings.HasSuffix(out, b+"\r\n") {
			t.Errorf("got %q", out)
		}
		var r respReader
		if err := r.consume([]byte(out)); len(a)+len(b) < maxReply && (err != nil || r.complete != 1) {
			t.Errorf("%q is read as %d commands, %v", out, r.complete, err)
		}
	})
}
