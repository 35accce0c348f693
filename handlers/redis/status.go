package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// ErrLoading is returned for a server that is reading its data set from disk: it answers, but serves nothing.
var ErrLoading = errors.New("redis is loading its data set")

// ErrTooOld is returned for a server without CLIENT PAUSE WRITE.
var ErrTooOld = errors.New("redis 6.2 or newer is needed")

var errBadInfo = errors.New("its answer cannot be understood")

// Position is where in a replication history a server's data stand. Offsets compare only within one lineage.
// Source: https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
type Position struct {
	ReplID           string `json:"lineage"`            // master_replid
	ReplID2          string `json:"lineage2,omitempty"` // master_replid2: what Lineage continues
	ReplID2EndOffset int64  `json:"branch,omitempty"`   // second_repl_offset: from this offset on it is another than Lineage2; 0: unknown
	Offset           int64  `json:"offset"`             // bytes: slave_repl_offset, on a master master_repl_offset
}

// IsAncestorOf tells whether the history at q goes through p.
func (p Position) IsAncestorOf(q Position) bool {
	shared := p.ReplID == q.ReplID || p.ReplID == q.ReplID2 && (q.ReplID2EndOffset <= 0 || p.Offset < q.ReplID2EndOffset)
	return p.ReplID != "" && shared && p.Offset <= q.Offset
}

// Replica is a replica as its master lists it.
type Replica struct {
	Addr   string `json:"addr"` // host:port
	Online bool   `json:"online"`
	Offset int64  `json:"offset"` // bytes acknowledged
	Lag    int    `json:"lag"`    // seconds since it acknowledged last
}

// Status is what a server says of itself at one moment.
type Status struct {
	RunID           string   `json:"run_id"`
	Version         string   `json:"version"`
	Master          bool     `json:"master"`
	MasterAddr      string   `json:"of,omitempty"`      // host:port that a replica follows
	LinkUp          bool     `json:"link_up,omitempty"` // of a replica
	LinkDownFor     int      `json:"-"`                 // seconds since its link went down; 0: it is up, or there never was one
	Syncing         bool     `json:"syncing,omitempty"` // a full sync is under way
	Loading         bool     `json:"loading,omitempty"`
	Position        Position `json:"position"`
	Keys            int64    `json:"keys"`
	Dataset         int64    `json:"dataset"`  // bytes of memory that the keys take
	Priority        int      `json:"priority"` // replica-priority; 0 is never promoted
	ReplicaWritable bool     `json:"writable"` // replica-read-only is not yes: as a replica it would take writes

	Replicas    []Replica `json:"replicas,omitempty"`
	MinReplicas int       `json:"min_replicas"` // min-replicas-to-write
	MaxLag      int       `json:"max_lag"`      // min-replicas-max-lag, seconds
}

// Fenced tells whether the server refuses writes because somebody fenced it.
func (s Status) Fenced() bool { return fenced(s.MinReplicas) }

// BelowMinReplicas tells whether a master refuses writes for want of replicas.
func (s Status) BelowMinReplicas() bool {
	return s.Master && s.MaxLag > 0 && s.Attached(s.MaxLag+1) < s.MinReplicas
}

// Parked tells whether the server was pointed at the sink.
func (s Status) Parked() bool { return !s.Master && s.MasterAddr == Sink }

// Attached is how many replicas receive the stream and lag by less than that many seconds.
func (s Status) Attached(late int) (n int) {
	for _, r := range s.Replicas {
		if r.Online && r.Lag < late {
			n++
		}
	}
	return n
}

// Streaming tells whether the server is a replica that receives its master's stream.
func (s Status) Streaming() bool { return !s.Master && s.LinkUp && !s.Syncing }

// Status asks the server. It returns ErrTooOld for a server below 6.2; a server that is loading answers.
func (s *Server) Status(ctx context.Context) (Status, error) {
	res, err := s.do(ctx, []string{"INFO"}, []string{"CONFIG", "GET", "*replica*"})
	if err != nil {
		return Status{}, err
	}
	info, err := res[0].ToString()
	if err != nil {
		return Status{}, fmt.Errorf("read INFO of redis %s: %w", s.opt.Addr, err)
	}
	st, err := parseInfo(info)
	if err != nil {
		return Status{}, fmt.Errorf("read INFO of redis %s: %w", s.opt.Addr, err)
	}
	conf, err := res[1].AsStrMap()
	if err != nil {
		return Status{}, fmt.Errorf("read CONFIG of redis %s: %w", s.opt.Addr, err)
	}
	if p, err := strconv.Atoi(conf["replica-priority"]); err == nil { // INFO gives it for a replica only
		st.Priority = p
	}
	st.ReplicaWritable = conf["replica-read-only"] == "no"
	st.MinReplicas, _ = strconv.Atoi(conf["min-replicas-to-write"])
	st.MaxLag, _ = strconv.Atoi(conf["min-replicas-max-lag"])
	return st, nil
}

// parseInfo reads the text of INFO. What is missing or no number stays zero, but a server without an identity is none.
func parseInfo(text string) (Status, error) {
	f := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			f[k] = v
		}
	}
	num := func(k string) int64 { n, _ := strconv.ParseInt(f[k], 10, 64); return n }
	st := Status{
		RunID: f["run_id"], Version: f["redis_version"], Master: f["role"] == "master", Loading: f["loading"] == "1",
		Position: Position{ReplID: f["master_replid"], Offset: num("master_repl_offset")},
		Keys:     keys(f), Dataset: num("used_memory_dataset"), Priority: 100,
	}
	if st.RunID == "" || f["role"] == "" {
		return Status{}, fmt.Errorf("%w: it names no run_id or role", errBadInfo)
	}
	if !supported(st.Version) {
		return Status{}, fmt.Errorf("%w: it is %s", ErrTooOld, st.Version)
	}
	if id := f["master_replid2"]; strings.Trim(id, "0") != "" {
		st.Position.ReplID2, st.Position.ReplID2EndOffset = id, num("second_repl_offset")
	}
	if !st.Master {
		st.MasterAddr = net.JoinHostPort(f["master_host"], f["master_port"])
		st.LinkUp, st.Syncing = f["master_link_status"] == "up", f["master_sync_in_progress"] == "1"
		st.Position.Offset = num("slave_repl_offset")
		st.LinkDownFor = int(max(0, num("master_link_down_since_seconds"))) // -1: never
	}
	for i := 0; f["slave"+strconv.Itoa(i)] != ""; i++ {
		st.Replicas = append(st.Replicas, parseReplica(f["slave"+strconv.Itoa(i)]))
	}
	return st, nil
}

// parseReplica reads "ip=…,port=…,state=online,offset=…,lag=…".
func parseReplica(text string) Replica {
	f := map[string]string{}
	for _, kv := range strings.Split(text, ",") {
		k, v, _ := strings.Cut(kv, "=")
		f[k] = v
	}
	offset, _ := strconv.ParseInt(f["offset"], 10, 64)
	lag, _ := strconv.Atoi(f["lag"])
	return Replica{Addr: net.JoinHostPort(f["ip"], f["port"]), Online: f["state"] == "online", Offset: offset, Lag: lag}
}

// keys adds up "dbN:keys=…,expires=…".
func keys(f map[string]string) int64 {
	var sum int64
	for k, v := range f {
		if _, err := strconv.Atoi(strings.TrimPrefix(k, "db")); err != nil || !strings.HasPrefix(v, "keys=") {
			continue
		}
		head, _, _ := strings.Cut(strings.TrimPrefix(v, "keys="), ",")
		n, _ := strconv.ParseInt(head, 10, 64)
		sum += n
	}
	return sum
}

// supported tells whether a redis_version has CLIENT PAUSE WRITE, which came with 6.2. Valkey says 7.2.4 here.
func supported(version string) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err := strconv.Atoi(major)
	b, _ := strconv.Atoi(minor)
	return err == nil && (a > 6 || a == 6 && b >= 2)
}
