package cluster

import (
	"errors"
	"testing"

	"resec/handlers"
)

// duplicates is what "me" knows, whose Redis is run-me at 10.0.0.9:6379, and whose session is "mine".
func duplicates(change ...func(*Snapshot)) Snapshot {
	k := Snapshot{SessionID: "mine", Observation: Observation{Fresh: true, Probed: true}}
	k.Health.Status.RunID = "run-me"
	k.View = View{LiveAgents: map[string]MemberKey{"me": {Session: "mine", RunID: "run-me", Address: "10.0.0.9:6379", Since: 5}}}
	for _, f := range change {
		f(&k)
	}
	return k
}

func TestNotUniqueReason(t *testing.T) {
	me := Master{Peer: handlers.Peer{ID: "me", Address: "10.0.0.9:6379"}}
	key := func(id string, m MemberKey) func(*Snapshot) { return func(k *Snapshot) { k.View.LiveAgents[id] = m } }
	published := func(id, run, addr, session string) func(*Snapshot) {
		return func(k *Snapshot) {
			k.View.State.Master = &Master{Peer: handlers.Peer{ID: id, RunID: run, Address: addr}}
			k.View.Session, k.View.Holder = session, id
		}
	}
	inPlace := func(id string, since int64, run string) func(*Snapshot) {
		session := map[bool]string{true: "mine", false: "other"}[id == "me"]
		return key(id, MemberKey{Session: session, RunID: run, Address: "10.0.0.9:6379", Since: since, Place: "node/redis-:6379"})
	}
	noKey := func(k *Snapshot) { delete(k.View.LiveAgents, "me") }
	noSession := func(k *Snapshot) { k.SessionID = "" }
	elsewhere := MemberKey{Session: "other", RunID: "run-x", Address: "10.0.0.7:6379"}
	ours := func(since int64) MemberKey {
		return MemberKey{Session: "other", RunID: "run-me", Address: "10.0.0.9:6379", Since: since}
	}
	for _, tt := range []struct {
		name  string
		k     Snapshot
		leave bool
	}{
		{"alone", duplicates(), false},
		{"another member", duplicates(key("a", elsewhere)), false},
		{"another agent has our member key", duplicates(key("me", elsewhere)), true},
		{"it had our key, and is dead", duplicates(key("me", MemberKey{RunID: "run-x", Address: "10.0.0.7:6379"})), false},
		{"our own key of the redis that was there before",
			duplicates(key("me", MemberKey{Session: "other", RunID: "run-x", Address: me.Address})), false},
		{"a predecessor's key, before its session is adopted", duplicates(key("me", elsewhere), noSession), false},
		{"another agent has our key, and we are published", duplicates(key("me", elsewhere),
			published("me", "run-me", me.Address, "mine")), false},
		{"another redis is published under our id", duplicates(published("me", "run-x", "10.0.0.7:6379", "other")), true},
		{"a predecessor's instance is published", duplicates(published("me", "run-x", me.Address, "other")), false},
		{"its agent has lost the lock", duplicates(published("me", "run-x", "10.0.0.7:6379", "")), false},
		{"another id manages our redis, and is younger", duplicates(key("a", ours(6))), false},
		{"and is older", duplicates(key("a", ours(4))), true},
		{"and is published", duplicates(key("a", ours(6)), published("a", "run-me", me.Address, "other")), true},
		{"and is older, and we are published", duplicates(key("a", ours(4)), published("me", "run-me", me.Address, "mine")), false},
		{"and has a key before us", duplicates(key("a", ours(6)), noKey), true},
		{"and has a key before we have a session", duplicates(key("a", ours(6)), noKey, noSession), true},
		{"another redis is registered in our place by a younger agent", duplicates(inPlace("me", 5, "run-me"), inPlace("a", 6, "run-a")),
			false},
		{"by an older one", duplicates(inPlace("me", 5, "run-me"), inPlace("a", 4, "run-a")), true},
		{"by a younger one whose redis is published", duplicates(inPlace("me", 5, "run-me"), inPlace("a", 6, "run-a"),
			published("a", "run-a", "10.0.0.7:6379", "other")), true},
		{"and started in the same moment, with a lower id", duplicates(key("a", ours(5))), true},
		{"and with a higher id", duplicates(key("z", ours(5))), false},
		{"and is dead", duplicates(key("a", MemberKey{RunID: "run-me"})), false},
		{"our redis does not answer", duplicates(key("me", elsewhere), func(k *Snapshot) { k.Health.Err = errors.New("down") }), false},
		{"consul has not answered yet", duplicates(key("me", elsewhere), func(k *Snapshot) { k.Fresh = false }), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if why := NotUniqueReason(tt.k, me); (why != "") != tt.leave {
				t.Errorf("got %q", why)
			}
		})
	}
}

func TestSharesEntry(t *testing.T) {
	for _, tt := range []struct {
		name string
		m    MemberKey
		want bool
	}{
		{"an agent of our redis", MemberKey{Session: "s", RunID: "run-me"}, true},
		{"a dead one", MemberKey{RunID: "run-me"}, false},
		{"an agent of another redis", MemberKey{Session: "s", RunID: "run-x"}, false},
	} {
		k := duplicates(func(k *Snapshot) { k.View.LiveAgents["a"] = tt.m })
		if got := SharesEntry(k, "me"); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}

// Of two agents beside one Redis exactly one gives way, whatever is published.
func TestNotUniqueReason_OneOfTwo(t *testing.T) {
	for _, since := range []int64{4, 5, 6} {
		for _, published := range []string{"", "me", "other"} {
			k := duplicates()
			k.View.LiveAgents["other"] = MemberKey{Session: "others", RunID: "run-me", Address: "10.0.0.9:6379", Since: since}
			if published != "" {
				k.View.State.Master = &Master{Peer: handlers.Peer{ID: published, RunID: "run-me", Address: "10.0.0.9:6379"}}
			}
			seen := k
			seen.SessionID = "others"
			mine := NotUniqueReason(k, Master{Peer: handlers.Peer{ID: "me", Address: "10.0.0.9:6379"}})
			others := NotUniqueReason(seen, Master{Peer: handlers.Peer{ID: "other", Address: "10.0.0.9:6379"}})
			if (mine == "") == (others == "") {
				t.Errorf("since %d, published %q: %q and %q", since, published, mine, others)
			}
		}
	}
}
