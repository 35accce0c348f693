package commands

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/scripts/lab"
)

func TestTextFault(t *testing.T) {
	for _, tt := range []struct{ value, want string }{
		{"", ""}, {"redis", ""}, {"a b", ""}, {"café", ""}, {`it's "quoted" inside`, ""}, {`"`, ""}, {`'a"`, ""}, {`"a`, ""},
		{"redis\r", `the control character '\r'`}, {"a\tb", `the control character '\t'`}, {"a\x00", `the control character '\x00'`},
		{"\ufeffredis", `the control character '\ufeff'`}, {"re\u200bdis", `the control character '\u200b'`},
		{" redis", "blanks at an end"}, {"redis ", "blanks at an end"}, {" ", "blanks at an end"}, {"redis\u00a0", "blanks at an end"},
		{`"redis"`, "the quotes around it"}, {`'redis'`, "the quotes around it"}, {`""`, "the quotes around it"},
	} {
		if got := textFault(tt.value); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.value, got, tt.want)
		}
	}
}

func TestConsulAddress(t *testing.T) {
	for _, tt := range []struct{ given, want string }{ // an empty want: it can never work
		{"localhost:8500", "localhost:8500"}, {"consul", "consul"}, {":8500", ":8500"}, {"[::1]:8500", "[::1]:8500"},
		{"[fe80::1%eth0]:8500", "[fe80::1%eth0]:8500"}, {"http://h:8500", "http://h:8500"}, {"https://h", "https://h"},
		{"http://h:8500/", "http://h:8500"}, {"h:8500/", "h:8500"}, {"http://h:8500//", "http://h:8500"},
		{"https://h/consul", "https://h/consul"}, {"https://h/consul/", "https://h/consul"},
		{"unix:///run/consul.sock", "unix:///run/consul.sock"}, {"unix://", ""}, {"unix://run", ""}, {"HTTP://h", "http://h"},
		{"ftp://x", "ftp://x"}, // the API names the scheme
		{"http://h:8500/v1", ""}, {"http://h:8500/v1/", ""}, {"h:8500/v1", ""}, {"http://h/consul/v1", ""},
		{"h:8500/consul", ""}, {"h:85000", ""}, {"h:0", ""}, {"h:", ""}, {"h:http", ""}, {"http://", ""}, {"::1:8500", ""},
		{"[::1", ""}, {"[]:8500", ""}, {"[::1]8500", ""}, {"user:secret@h:8500", ""}, {"http://h:8500?a=b", ""},
		{"h :8500", ""}, {"http://h/a//b", ""}, {"http://h/../b", ""},
	} {
		got, err := consulAddress(tt.given)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q: got %q, %v; want %q", tt.given, got, err, tt.want)
		}
	}
}

func TestNamesOutsideDNS(t *testing.T) {
	long := strings.Repeat("x", 57) // with "-master" 64, with "-slave" 63
	for _, tt := range []struct {
		name   string
		naming catalog.Naming
		want   []string
	}{
		{"plain", catalog.Naming{Prefix: "redis"}, nil},
		{"upper case and digits", catalog.Naming{Prefix: "Redis-7"}, nil},
		{"a dot", catalog.Naming{Prefix: "my.redis"}, []string{"my.redis-master", "my.redis-slave"}},
		{"an at sign", catalog.Naming{Prefix: "redis@x"}, []string{"redis@x-master", "redis@x-slave"}},
		{"an underscore", catalog.Naming{Prefix: "a_b"}, []string{"a_b-master", "a_b-slave"}},
		{"too long with one of the roles", catalog.Naming{Prefix: long}, []string{long + "-master"}},
		{"one service", catalog.Naming{Service: "redis", MasterTags: []string{"master", "a.b"}, ReplicaTags: []string{"replica"}}, nil},
		{"its tag", catalog.Naming{Service: "redis", MasterTags: []string{"the.master"}, ReplicaTags: []string{"replica"}},
			[]string{"the.master"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := namesOutsideDNS(tt.naming); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// What is accepted as the key of a lock, Consul keeps under that very key: one that is written by a transaction is read again by
// its path, and by a list of its prefix. What is refused, it does not.
func TestOwnName_IsConsulsOwn(t *testing.T) {
	t.Parallel()
	c, err := lab.ForTest(t).StartConsul("keys", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	for _, tt := range []struct {
		key string
		own bool
	}{
		{"redis/.lock", true}, {"a b/.lock", true}, {"a%2Fb", true}, {"a%b", true}, {"a?b#c", true}, {"café/é", true}, {"...", true},
		{"a/...b", true}, {"a+b&c=d;e", true}, {`a\b`, true}, {"a:b", true}, {".lock", true}, {`"a`, true},
		{"redis//.lock", false}, {"a/./b", false}, {"a/../b", false}, {"./a", false}, {"../a", false}, {"a/..", false}, {".", false},
		{"..", false}, {"a/", false}, {"/a", false}, {"", false}, {"a\xff", false},
	} {
		t.Run(tt.key, func(t *testing.T) {
			if got := ownName(tt.key); got != tt.own {
				t.Errorf("accepted: %v, want %v", got, tt.own)
			}
			if tt.key == "" {
				return
			}
			ops := api.TxnOps{{KV: &api.KVTxnOp{Verb: api.KVSet, Key: tt.key, Value: []byte("written")}}}
			if done, _, _, err := c.Client.Txn().Txn(ops, nil); err != nil || !done {
				t.Fatalf("write: %v %v", done, err)
			}
			defer func() {
				ops[0].KV.Verb = api.KVDelete
				_, _, _, _ = c.Client.Txn().Txn(ops, nil)
			}()
			one, _, err1 := c.Client.KV().Get(tt.key, nil)
			all, _, err2 := c.Client.KV().List(tt.key, nil)
			kept := err1 == nil && err2 == nil && one != nil && one.Key == tt.key &&
				slices.ContainsFunc(all, func(p *api.KVPair) bool { return p.Key == tt.key })
			if tt.own && !kept {
				t.Errorf("consul keeps it as another key: %v, %v; %v, %v", one, err1, all, err2)
			}
		})
	}
}

// The check of a value does not show a secret.
func TestSettings_SecretsAreNotShown(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{
		{"redis-password", "hunter2 ", `invalid value for X: takes a password, without blanks at an end`},
		{"redis-password-file", `"hunter2"`, `invalid value for X: takes a file, without the quotes around it`},
		{"token", "hunter2\r", `invalid value for X: takes a value, without the control character '\r'`},
		{"consul-master-tags", `a, "b"`, `invalid value "a, \"b\"" for X: takes unquoted tags, comma-separated`},
		{"consul-lock-session-name", `"mine"`, `invalid value "\"mine\"" for X: takes a name, without the quotes around it`},
	} {
		c := &config{}
		for _, s := range c.settings(^group(0)) {
			if s.name != tt.name {
				continue
			}
			if err := s.parse(tt.value); err == nil {
				t.Errorf("%s takes %q", tt.name, tt.value)
			} else if got := s.invalid(tt.value, "X", err).Error(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		}
	}
}

// What a shell or people read may have quotes and line breaks.
func TestSettings_FreeText(t *testing.T) {
	c := &config{}
	for _, s := range c.settings(forAgent) {
		if s.name == "on-promote" {
			if err := s.parse("\"/opt/my hook\"\n"); err != nil {
				t.Error(err)
			}
		}
	}
	if len(c.hooks) != 1 {
		t.Errorf("%d hooks", len(c.hooks))
	}
}
