package redis

import (
	"slices"
	"strings"
	"testing"
)

// A reply may quote a password, also one that was changed since it was sent. Only the arguments that Redis quotes are cut off.
func TestRedact(t *testing.T) {
	login := Login{"u", "first-secret"}
	reads := 0
	p := newPeer(t, nil)
	s := p.open(t, Options{
		Login:       func() Login { reads++; return login },
		Replication: StaticLogin("r", "replication-secret"),
	})
	if err := s.ConfigureReplication(t.Context()); err != nil {
		t.Fatal(err)
	}
	login.Password, reads = "second-secret", 0
	p.fail("CONFIG", "-ERR first-secret second-secret replication-secret abc")
	_, err := s.Status(t.Context())
	if err == nil || !strings.HasSuffix(err.Error(), ": … second-secret … abc") {
		t.Errorf("got %v, want both passwords that were sent redacted", err)
	}
	if !Replied(err) {
		t.Errorf("%v is no longer an error reply", err)
	}
	if reads != 0 {
		t.Errorf("the credentials were read %d times for an error", reads)
	}
	p.fail("CONFIG", "-ERR unknown command 'CONFIG', with args beginning with: 'x' 'y'")
	if _, err := s.Status(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "unknown command 'CONFIG'") {
		t.Errorf("got %v, want no arguments", err)
	}
}

func TestSentPasswords(t *testing.T) {
	var none *sentPasswords
	none.add("password")
	if got := none.remove("password"); got != "password" {
		t.Errorf("got %q, want no change", got)
	}
	for _, tt := range []struct {
		name string
		sent []string
		want string // of "abcd-efg abcd abc"
	}{
		{"none", nil, "abcd-efg abcd abc"},
		{"one", []string{"abcd"}, "…-efg … abc"},
		{"the longer one is replaced first", []string{"abcd", "abcd-efg"}, "… … abc"},
		{"in any order", []string{"abcd-efg", "abcd"}, "… … abc"},
		{"a short one is left", []string{"abc", ""}, "abcd-efg abcd abc"},
		{"the last ones are kept", []string{"abcd", "1111", "2222", "3333"}, "…-efg … abc"},
		{"an old one is forgotten", []string{"abcd", "1111", "2222", "3333", "4444"}, "abcd-efg abcd abc"},
		{"one that is sent again is new", []string{"abcd", "1111", "2222", "3333", "abcd", "4444"}, "…-efg … abc"},
		{"one counts once", []string{"abcd", "1111", "1111", "1111", "1111"}, "…-efg … abc"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p sentPasswords
			for _, password := range tt.sent {
				p.add(password)
			}
			kept := slices.Clone(p.last)
			if got := p.remove("abcd-efg abcd abc"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if !slices.Equal(kept, p.last) {
				t.Errorf("the order changed from %q to %q", kept, p.last)
			}
		})
	}
}
