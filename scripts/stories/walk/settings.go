package main

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"resec/scripts/lab"
)

// option is what an operator may set, and the values that the walk draws; "" leaves it as it is.
type option struct {
	name   string
	values []string
}

// ofRedis are options of redis-server. None of them keeps a member from leading, and none deletes data.
var ofRedis = []option{
	{"--maxmemory", []string{"", "200mb"}},
	{"--maxmemory-policy", []string{"", "allkeys-lru"}},
	{"--maxclients", []string{"", "200"}},
	{"--timeout", []string{"", "1", "5"}},
	{"--tcp-keepalive", []string{"", "0", "1"}},
	{"--hz", []string{"", "1", "100"}},
	{"--busy-reply-threshold", []string{"", "300"}},
	{"--replica-priority", []string{"", "1", "200"}},
	{"--replica-serve-stale-data", []string{"", "no"}},
	{"--replica-lazy-flush", []string{"", "yes"}},
	{"--repl-diskless-sync", []string{"", "no"}},
	{"--repl-diskless-load", []string{"", "swapdb"}},
	{"--repl-backlog-size", []string{"", "16kb"}},
	{"--repl-backlog-ttl", []string{"", "1"}},
	{"--repl-ping-replica-period", []string{"", "1", "60"}},
	{"--repl-timeout", []string{"", "3"}},
	{"--client-output-buffer-limit", []string{"", "replica 1mb 512kb 5"}},
	{"--rename-command", []string{"", "KEYS ", "FLUSHALL wipe"}},
}

// ofAgent are variables of an agent.
var ofAgent = []option{
	{"HEALTHCHECK_INTERVAL", []string{"", "700ms", "2s"}},
	{"HEALTHCHECK_TIMEOUT", []string{"", "300ms", "450ms"}},
	{"HEALTHCHECK_FAILURES", []string{"", "2"}},
	{"LOG_FORMAT", []string{"", "json"}},
	{"LOG_LEVEL", []string{"", "INFO"}},
}

// ofAll are variables that all agents have in common.
var ofAll = []option{
	{"CONSUL_LOCK_TTL", []string{"", "5s"}},
	{"EARLY_TAKEOVER", []string{"", "false"}},
	{"GUARD_MAX_LAG", []string{"", "1s", "3s"}},
}

// ofConsul are settings of Consul's agents, as JSON names them.
var ofConsul = []option{
	{"check_update_interval", []string{"", "0s", "10s"}},
}

// password of a cluster that has one.
const password = "the walk's password"

// draw draws the settings of Consul and of each member, and opens what is before their Consul agents. A cluster like that has no
// network of its own: the walk asks its agents by HTTP.
func (s *setting) draw(seed uint64) (err error) {
	r := rand.New(rand.NewPCG(seed, 1<<32+uint64(s.Members)))
	s.Network, s.Rejects = false, false
	s.Env = append([]string{"CONSUL_LOCK_SESSION_NAME=" + name}, variables(r, ofAll)...)
	s.Settings = map[string]any{}
	for _, o := range ofConsul {
		if v := o.draw(r); v != "" {
			s.Settings[o.name] = v
		}
	}
	if r.IntN(3) == 0 {
		s.Settings["performance"] = map[string]int{"raft_multiplier": 5}
	}
	s.words = append(s.words, fmt.Sprintf("all: %s, consul %v", strings.Join(s.Env[1:], " "), s.Settings))
	secret := r.IntN(3) == 0
	never := s.Members // whose priority is 0: nobody's
	if s.Members > 2 {
		never = r.IntN(2 * s.Members)
	}
	for i := range s.Members {
		m, f := lab.Member{Env: variables(r, ofAgent)}, newFront(r)
		for _, o := range ofRedis {
			if v := o.draw(r); v != "" {
				m.RedisArgs = append(append(m.RedisArgs, o.name), strings.Split(v, " ")...) // "KEYS ": its new name is empty
			}
		}
		if i == never {
			m.RedisArgs = append(m.RedisArgs, "--replica-priority", "0")
		}
		words := fmt.Sprintf("m%d: %s %s, consul %s", i, strings.Join(m.Env, " "), strings.Join(m.RedisArgs, " "), f)
		if secret {
			m.RedisArgs = append(m.RedisArgs, "--requirepass", password, "--masterauth", password)
			m.Env = append(m.Env, "REDIS_PASSWORD="+password)
			words += ", a password"
		}
		port, err := lab.FreePort("127.0.0.1")
		if err != nil {
			return err
		}
		listen := fmt.Sprint("127.0.0.1:", port)
		addr, err := f.open()
		if err != nil {
			return err
		}
		m.Env = append(m.Env, "LISTEN_ADDR="+listen, "CONSUL_HTTP_ADDR="+addr)
		s.Each, s.fronts = append(s.Each, m), append(s.fronts, f)
		s.listen, s.words = append(s.listen, listen), append(s.words, words)
	}
	return nil
}

// close closes what draw has opened.
func (s *setting) close() {
	for _, f := range s.fronts {
		f.close()
	}
}

func (o option) draw(r *rand.Rand) string {
	if r.IntN(2) == 0 {
		return ""
	}
	return o.values[r.IntN(len(o.values))]
}

// variables are those of an environment.
func variables(r *rand.Rand, all []option) (env []string) {
	for _, o := range all {
		if v := o.draw(r); v != "" {
			env = append(env, o.name+"="+v)
		}
	}
	return env
}
