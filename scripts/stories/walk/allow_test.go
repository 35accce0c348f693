package main

import (
	"reflect"
	"testing"
	"time"

	"resec/scripts/lab"
)

var began = time.Now()

// at is a moment of a round, in seconds.
func at(seconds float64) time.Time { return began.Add(time.Duration(seconds * float64(time.Second))) }

func span(from, to float64) lab.Interval { return lab.Interval{From: at(from), To: at(to)} }

// did is a harm to a member.
func did(k Kind, member int, from, until float64) Harm {
	return Harm{Fault: Fault{Kind: k}, Member: member, Other: nobody, From: at(from), Until: at(until)}
}

// link is a harm to a link between members.
func link(a, b int, from, until float64) Harm {
	h := did(MemberLink, a, from, until)
	h.Other = b
	return h
}

func TestMayLose(t *testing.T) {
	moved := func(members int) map[int][]lab.Interval { // from member 0 to member 1, at 11 s
		m := map[int][]lab.Interval{0: {span(0, 10)}, 1: {span(11, 30)}}
		for i := 2; i < members; i++ {
			m[i] = nil
		}
		return m
	}
	stayed := map[int][]lab.Interval{0: {span(0, 30)}, 1: nil, 2: nil}
	for _, tt := range []struct {
		name     string
		persist  lab.Persist
		accepted map[int][]lab.Interval
		harms    []Harm
		want     []lab.Interval
	}{
		{"nothing but agents, Consul and sessions", lab.None, moved(3), []Harm{did(AgentKilled, 0, 10, 12), did(AgentLeft, 1, 10, 12), did(ServerKilled, nobody, 5, 9),
			did(ClientLeft, 0, 8, 9), did(SessionDestroyed, 0, 10, 10), did(ConsulLink, 0, 10, 20)}, nil},
		{"replicas alone", lab.None, moved(3), []Harm{did(RedisKilled, 1, 2, 4), did(Isolated, 2, 3, 9), link(1, 2, 1, 9), did(ByHand, 1, 1, 1)}, nil},
		{"the master is killed", lab.None, moved(3), []Harm{did(RedisKilled, 0, 10, 12)}, []lab.Interval{span(9, 11.1)}},
		{"a member that led until just before is killed", lab.None, moved(3), []Harm{did(RedisKilled, 0, 10.5, 12)}, []lab.Interval{span(9.5, 11.1)}},
		{"the master is killed, and leads again", lab.AOF, map[int][]lab.Interval{0: {span(0, 10), span(14, 30)}, 1: nil}, []Harm{did(RedisKilled, 0, 10, 11)}, []lab.Interval{span(9, 14.1)}},
		{"the master is cut off, and another leads", lab.None, moved(3), []Harm{did(Isolated, 0, 5, 20)}, []lab.Interval{span(4, 11.1)}},
		{"a link is cut, and the master stays", lab.None, stayed, []Harm{link(2, 0, 5, 20)}, []lab.Interval{span(4, 30.1)}},
		{"the same, and it is whole before", lab.None, stayed, []Harm{link(2, 0, 1, 2)}, []lab.Interval{span(0, 3.1)}},
		{"the master is frozen, and thawed after", lab.None, moved(3), []Harm{did(RedisFrozen, 0, 10, 15)}, []lab.Interval{span(9, 11.1), span(15, 15.15)}},
		{"no replica was well all the time", lab.None, moved(2), []Harm{did(RedisFrozen, 1, 5, 7), did(RedisKilled, 0, 10, 12)}, []lab.Interval{span(4, 11.1)}},
		{"one of them was", lab.None, moved(3), []Harm{did(RedisFrozen, 1, 5, 7), did(RedisKilled, 0, 10, 12)}, []lab.Interval{span(9, 11.1)}},
		{"it was whole in between", lab.None, moved(2), []Harm{did(RedisFrozen, 1, 1, 2), did(RedisKilled, 0, 10, 12)}, []lab.Interval{span(9, 11.1)}},
		{"all were killed, and have old disks", lab.RDB, moved(2), []Harm{did(RedisKilled, 1, 9, 10.5), did(RedisKilled, 0, 10, 12)}, []lab.Interval{span(0, 11.1)}},
		{"all were killed, and have what they wrote", lab.AOF, moved(2), []Harm{did(RedisKilled, 1, 9, 10.5), did(RedisKilled, 0, 10, 12)}, []lab.Interval{span(8, 11.1)}},
	} {
		s := Sight{Began: began, Persist: tt.persist, Harms: tt.harms, Accepted: tt.accepted, Whole: []time.Time{at(0.1), at(3), at(30)}}
		if got := s.mayLose(); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %v, not %v", tt.name, seconds(got), seconds(tt.want))
		}
	}
}

// seconds are intervals as a person reads them.
func seconds(all []lab.Interval) (out [][2]float64) {
	for _, i := range all {
		out = append(out, [2]float64{i.From.Sub(began).Seconds(), i.To.Sub(began).Seconds()})
	}
	return out
}

func TestMayBeTwo(t *testing.T) {
	s := Sight{Harms: []Harm{did(RedisFrozen, 0, 1, 5), did(RedisKilled, 2, 1, 5)}, Noise: 10 * time.Millisecond}
	for _, tt := range []struct {
		name string
		a, b int
		when lab.Interval
		want bool
	}{
		{"right after a thaw", 0, 1, span(5.01, 5.05), true},
		{"the same, seen from the other side", 1, 0, span(5.01, 5.05), true},
		{"as long as the machine was late", 0, 1, span(5.01, 5.07), true},
		{"longer", 0, 1, span(5.01, 5.09), false},
		{"later", 0, 1, span(6, 6), false},
		{"before it", 0, 1, span(4.99, 5.01), false},
		{"two others", 1, 2, span(5.01, 5.02), false},
	} {
		if got := s.mayBeTwo(tt.a, tt.b, tt.when); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

func TestMayBeListed(t *testing.T) {
	for _, tt := range []struct {
		name    string
		clients bool
		harm    Harm
		when    lab.Interval
		want    bool
	}{
		{"a Consul agent is back", true, did(ClientKilled, 0, 1, 5), span(6, 6.9), true},
		{"for too long", true, did(ClientKilled, 0, 1, 5), span(6, 7.1), false},
		{"it is not back yet", true, did(ClientKilled, 0, 1, 5), span(4, 4.1), false},
		{"it was back long ago", true, did(ClientKilled, 0, 1, 5), span(35.1, 35.2), false},
		{"a master hands over", false, did(AgentLeft, 0, 1, 5), span(4, 4.1), true},
		{"it takes longer to", false, did(Switchover, 0, 1, 5), span(4, 4.2), false},
		{"it has", false, did(AgentLeft, 0, 1, 5), span(6, 6.05), false},
		{"a link to it is healed", false, did(ConsulLink, 0, 1, 5), span(5, 5.1), true},
		{"a crashed member is back, with its Consul agent", true, did(Crashed, 0, 1, 5), span(6, 6.1), true},
		{"a crashed member is back, without one", false, did(Crashed, 0, 1, 5), span(6, 6.1), false},
		{"an agent of ours is back", true, did(AgentKilled, 0, 1, 5), span(6, 6.1), false},
	} {
		s := Sight{Clients: tt.clients, Harms: []Harm{tt.harm}}
		if got := s.mayBeListed(tt.when); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
		s = Sight{Clients: tt.clients, Before: []Harm{tt.harm}}
		if got := s.mayBeListed(tt.when); got != tt.want {
			t.Errorf("%s, in the round before: %t", tt.name, got)
		}
	}
}
