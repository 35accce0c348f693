package commands

import "testing"

// A loopback address is refused where other hosts would be sent to it.
func TestCheckAnnounced(t *testing.T) {
	for _, tt := range []struct {
		host, node string
		refused    bool
	}{
		{"127.0.0.1", "10.0.0.1", true}, {"127.0.0.9", "10.0.0.1", true}, {"::1", "10.0.0.1", true}, {"localhost", "10.0.0.1", true},
		{"LOCALHOST.", "10.0.0.1", true}, {"a.localhost", "fd00::1", true}, {"", "10.0.0.1", false}, {"10.0.0.1", "10.0.0.1", false},
		{"redis", "10.0.0.1", false}, {"127.0.0.1", "127.0.0.1", false}, {"127.0.0.1", "::1", false}, {"127.0.0.1", "", false},
	} {
		c := config{announceHost: tt.host, announcePort: 6379}
		if err := c.checkAnnounced(tt.node); (err != nil) != tt.refused {
			t.Errorf("%q on node %q: got %v", tt.host, tt.node, err)
		}
	}
}
