package takeover

import (
	"context"
	"errors"
	"net"
	"strconv"
	"testing"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

// entryAt is a member's entry in the catalogue.
func entryAt(id, addr, check string) (e handlers.Entry) {
	host, port, _ := net.SplitHostPort(addr)
	e.Service.Port, _ = strconv.Atoi(port)
	e.Node.Address, e.Service.Meta = host, map[string]string{"id": id}
	e.Checks = append(e.Checks, handlers.Check{Status: check})
	return e
}

// listing makes the takeover read that catalogue, and counts how often.
func (s *scene) listing(reads *int, entries ...handlers.Entry) {
	s.Evidence.ReadCatalog = func(context.Context) ([]handlers.Entry, error) { *reads++; return entries, nil }
}

// gone is an address that refuses connections.
func gone(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// The old master does not answer at the published address, and answers where the catalogue lists it: it is drained and parked there.
func TestRun_OldMasterMoved(t *testing.T) {
	t.Parallel()
	for _, check := range []string{handlers.CheckPassing, handlers.CheckCritical} {
		s := newScene(t)
		old, former, reads := s.other["old"], gone(t), 0
		s.view.State.Master.Address = former
		s.me.set(func(f *fake) { f.st.MasterAddr, f.st.LinkUp = redis.Sink, false })
		s.listing(&reads, entryAt("old", old.addr, check))
		v, err := s.run()
		if err != nil || v.State.Master.ID != "me" {
			t.Fatalf("%s: %+v, %v", check, v.State.Master, err)
		}
		if st := old.status(); st.Master || st.MasterAddr != s.me.addr {
			t.Errorf("%s: the old master is %+v", check, st)
		}
		if reads != 1 {
			t.Errorf("%s: the catalogue was read %d times", check, reads)
		}
	}
}

func TestLocateOldMaster(t *testing.T) {
	t.Parallel()
	unlisted := errors.New("no leader")
	for _, tt := range []struct {
		name    string
		arrange func(s *scene, former, other string, reads *int)
		moved   bool // to where old listens
		other   bool // to another address that refuses connections
		err     error
		reads   int
	}{
		{name: "it answers where it is published", arrange: func(s *scene, former, other string, reads *int) {
			s.view.State.Master.Address = s.other["old"].addr
			s.listing(reads, entryAt("old", other, handlers.CheckPassing))
		}},
		{name: "it answers where it is listed", arrange: func(s *scene, former, other string, reads *int) {
			s.listing(reads, entryAt("old", other, handlers.CheckPassing), entryAt("old", s.other["old"].addr, handlers.CheckCritical))
		}, moved: true, reads: 1},
		{name: "its agent wrote where it is", arrange: func(s *scene, former, other string, reads *int) {
			s.view.LiveAgents["old"] = cluster.MemberKey{RunID: "run-old", Address: s.other["old"].addr}
			s.listing(reads)
		}, moved: true, reads: 1},
		{name: "it is passing elsewhere, and refuses there, too", arrange: func(s *scene, former, other string, reads *int) {
			s.listing(reads, entryAt("old", other, handlers.CheckPassing))
		}, other: true, reads: 1},
		{name: "it is critical elsewhere, and refuses there, too", arrange: func(s *scene, former, other string, reads *int) {
			s.listing(reads, entryAt("old", other, handlers.CheckCritical))
		}, reads: 1},
		{name: "it is silent, and refuses where it is passing", arrange: func(s *scene, former, other string, reads *int) {
			s.Evidence.UnresponsiveRun = "run-old"
			s.listing(reads, entryAt("old", other, handlers.CheckPassing))
		}, reads: 1},
		{name: "it is silent at its address, and refuses where it is passing", arrange: func(s *scene, former, other string, reads *int) {
			s.other["old"].set(func(f *fake) { f.frozen = true })
			s.view.State.Master.Address = s.other["old"].addr
			s.listing(reads, entryAt("old", other, handlers.CheckPassing))
		}, reads: 1},
		{name: "another run answers where it is critical", arrange: func(s *scene, former, other string, reads *int) {
			s.listing(reads, entryAt("old", s.other["b"].addr, handlers.CheckCritical))
		}, reads: 1},
		{name: "an operator forces the failover", arrange: func(s *scene, former, other string, reads *int) {
			s.Operator.ForcedFailover = &cluster.Request{To: "me"}
			s.listing(reads, entryAt("old", s.other["old"].addr, handlers.CheckPassing))
		}, moved: true, reads: 1},
		{name: "its own agent has reported it", arrange: func(s *scene, former, other string, reads *int) {
			s.view.State.Why = cluster.WhyDead
			s.listing(reads, entryAt("old", s.other["old"].addr, handlers.CheckPassing))
		}},
		{name: "no catalogue is known", arrange: func(*scene, string, string, *int) {}},
		{name: "the catalogue cannot be read", arrange: func(s *scene, former, other string, reads *int) {
			s.Evidence.ReadCatalog = func(context.Context) ([]handlers.Entry, error) { return nil, unlisted }
		}, err: unlisted},
	} {
		s := newScene(t)
		former, other, reads := gone(t), gone(t), 0
		s.view.State.Master.Address = former
		tt.arrange(s, former, other, &reads)
		want := s.view.State.Master.Address
		if tt.moved {
			want = s.other["old"].addr
		} else if tt.other {
			want = other
		}
		v, _, err := s.newRun().locateOldMaster(t.Context(), s.view, s.me.status())
		if errors.Is(err, unlisted) != (tt.err != nil) || v.State.Master.Address != want || reads != tt.reads {
			t.Errorf("%s: %s instead of %s, error %v, %d reads", tt.name, v.State.Master.Address, want, err, reads)
		}
	}
}

// A member that refuses connections at its recorded address is parked where the catalogue lists it.
func TestParkPeers_Moved(t *testing.T) {
	t.Parallel()
	s, reads := newScene(t), 0
	b := s.other["b"]
	s.Peers.Recorded[0].Address = gone(t)
	s.listing(&reads, entryAt("b", b.addr, handlers.CheckCritical))
	p := &run{Takeover: s.Takeover, old: &oldMaster{log: s.Log}}
	p.parkPeers(t.Context(), s.view)
	defer p.close()
	if !b.status().Parked() || p.parked[0].err != nil || p.parked[0].Address != b.addr {
		t.Errorf("b is %+v, error %v", b.status(), p.parked[0].err)
	}
}

// A member refuses connections at its recorded address, and this host has no descriptor left to look where the catalogue lists
// it. It may be alive there, and hold newer data.
func TestParkPeers_MovedAndExhausted(t *testing.T) {
	exhaust, restore := descriptors(t)
	s := newScene(t)
	s.Peers.Recorded[0].Address = gone(t)
	s.Evidence.ReadCatalog = func(context.Context) ([]handlers.Entry, error) {
		exhaust()
		return []handlers.Entry{entryAt("b", s.other["b"].addr, handlers.CheckCritical)}, nil
	}
	p := &run{Takeover: s.Takeover, old: &oldMaster{log: s.Log}}
	p.parkPeers(t.Context(), s.view)
	restore()
	defer p.close()
	if err := p.exhausted(); err == nil {
		t.Errorf("the takeover continues without b: %v", p.parked[0].err)
	}
}
