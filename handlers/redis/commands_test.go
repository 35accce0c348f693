package redis

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"resec/scripts/lab"
)

// leastUser are the permissions of an agent's user, as the README has them.
var leastUser = strings.Fields("reset on >secret resetchannels -@all +ping +info +replicaof +config|get +config|set +client|pause " +
	"+client|unpause +client|kill +client|list +client|setname +client|id")

// Each command that we need is tried on a real Redis, without an effect; what its ACL denies, or rename-command took away, is named.
func TestTryCommands(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	plain, err := l.StartRedis("plain")
	if err != nil {
		t.Fatal(err)
	}
	renamed, err := l.StartRedis("renamed", "--rename-command", "REPLICAOF", "")
	if err != nil {
		t.Fatal(err)
	}
	all := "its ACL denies "
	for _, tt := range []struct {
		name         string
		on           *lab.Redis
		user         []string
		refuses, led string
	}{
		{"the README's user is enough", plain, leastUser, "", ""},
		{"without replicaof", plain, append(leastUser[:len(leastUser):len(leastUser)], "-replicaof"),
			all + "REPLICAOF to resec's user", all + "REPLICAOF to resec's user"},
		{"without config|set", plain, append(leastUser[:len(leastUser):len(leastUser)], "-config|set"),
			all + "CONFIG SET to resec's user", all + "CONFIG SET to resec's user"},
		{"without client|pause", plain, append(leastUser[:len(leastUser):len(leastUser)], "-client|pause"),
			all + "CLIENT PAUSE to resec's user", all + "CLIENT PAUSE to resec's user"},
		{"without client|kill, a member may lead", plain, append(leastUser[:len(leastUser):len(leastUser)], "-client|kill"),
			all + "CLIENT KILL to resec's user", ""},
		{"without client|list, too", plain, append(leastUser[:len(leastUser):len(leastUser)], "-client|list"),
			all + "CLIENT LIST to resec's user", ""},
		{"renamed", renamed, slices.DeleteFunc(slices.Clone(leastUser), func(rule string) bool { return rule == "+replicaof" }),
			"it does not know REPLICAOF (rename-command)", "it does not know REPLICAOF (rename-command)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := tt.on.Do(append([]string{"ACL", "SETUSER", "resec"}, tt.user...)...); err != nil {
				t.Fatal(err)
			}
			before := settings(t, tt.on)
			s, err := Open(t.Context(), Options{Addr: tt.on.Addr, Timeout: 5 * time.Second, Login: StaticLogin("resec", "secret")})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			refused, err := s.TryCommands(t.Context())
			if err != nil || refused.String() != tt.refuses || refused.Lead() != tt.led {
				t.Errorf("refused %q, to lead %q, %v; want %q, %q", refused, refused.Lead(), err, tt.refuses, tt.led)
			}
			if after := settings(t, tt.on); after != before {
				t.Errorf("the server is changed: %s, was %s", after, before)
			}
			if _, err := tt.on.Do("SET", "key", tt.name); err != nil { // a pause would hold it back
				t.Error(err)
			}
		})
	}
}

// settings are the role and the configuration of a server.
func settings(t *testing.T, r *lab.Redis) string {
	t.Helper()
	role, err := r.Info("role")
	if err != nil {
		t.Fatal(err)
	}
	config, err := r.Do("CONFIG", "GET", "*replica*")
	if err != nil {
		t.Fatal(err)
	}
	return role + " " + config
}

// A server that answers nothing, or rejects our login, says nothing of commands.
func TestTryCommands_Unknown(t *testing.T) {
	t.Parallel()
	r, err := lab.ForTest(t).StartRedis("locked", "--requirepass", "secret")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Options{Addr: r.Addr, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if refused, err := s.TryCommands(t.Context()); err == nil || refused != nil {
		t.Errorf("without a password: %v, %v", refused, err)
	}
	r.Kill()
	if refused, err := s.TryCommands(t.Context()); err == nil || refused != nil {
		t.Errorf("it is down: %v, %v", refused, err)
	}
}

// A server that refuses to be promoted keeps no fence of that try; one that was fenced before stays fenced.
func TestPromote_RefusedLeavesNoFence(t *testing.T) {
	t.Parallel()
	r, err := lab.ForTest(t).StartRedis("parked", "--replicaof", "127.0.0.1", "1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Do("ACL", "SETUSER", "default", "-replicaof"); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Options{Addr: r.Addr, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, fenced := range []bool{false, true} {
		if fenced {
			if err := s.Fence(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Promote(t.Context()); !CommandRefused(err) {
			t.Errorf("got %v", err)
		}
		if st, err := s.Status(t.Context()); err != nil || st.Fenced() != fenced {
			t.Errorf("fenced: %v, %v; want %v", st.Fenced(), err, fenced)
		}
	}
}

func TestCommandRefused(t *testing.T) {
	p := newPeer(t, nil)
	s := p.open(t, Options{})
	for reply, want := range map[string]bool{
		"-NOPERM this user has no permissions to run the 'replicaof' command": true,
		"-ERR unknown command 'REPLICAOF', with args beginning with: 'a' 'b'": true,
		"-ERR unknown command `REPLICAOF`, with args beginning with: `a`":     true,
		"-ERR Unknown subcommand or wrong number of arguments for 'PAUSE'.":   true,
		"-ERR unknown subcommand 'pause'. Try CLIENT HELP.":                   true,
		"-ERR Unknown option or number of arguments for CONFIG SET - 'resec'": false,
		"-ERR Unsupported CONFIG parameter: resec":                            false,
		"-ERR Invalid master port":                                            false,
		"-WRONGPASS invalid username-password pair or user is disabled.":      false,
		"-NOAUTH Authentication required.":                                    false,
		"-ERR REPLICAOF not allowed in cluster mode.":                         false,
	} {
		p.fail("REPLICAOF", reply)
		_, err := s.do(t.Context(), []string{"REPLICAOF", "a", "b"})
		if got := CommandRefused(err); got != want {
			t.Errorf("%s: %v, want %v", reply, got, want)
		}
	}
	for _, err := range []error{nil, context.DeadlineExceeded, errors.New("NOPERM"), rueidis.Nil} {
		if CommandRefused(err) {
			t.Errorf("%v is taken for a reply", err)
		}
	}
}
