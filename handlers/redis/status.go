package redis

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// Position is a server's position in its replication history. Offsets compare only within one history.
// Source: https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
type Position struct {
	ReplID           string `json:"lineage"`            // master_replid
	ReplID2          string `json:"lineage2,omitempty"` // master_replid2: the history that ReplID continues
	ReplID2EndOffset int64  `json:"branch,omitempty"`   // second_repl_offset: first offset that is not of ReplID2; 0: unknown
	Offset           int64  `json:"offset"`             // bytes: slave_repl_offset of a replica, master_repl_offset of a master
}

// IsAncestorOf reports whether the history at q contains the data at p.
func (p Position) IsAncestorOf(q Position) bool {
	if p.ReplID == "" || p.Offset > q.Offset {
		return false
	}
	if p.ReplID == q.ReplID {
		return true
	}
	return p.ReplID == q.ReplID2 && (q.ReplID2EndOffset <= 0 || p.Offset < q.ReplID2EndOffset)
}

// Replica is a replica in its master's list.
type Replica struct {
	Addr   string `json:"addr"` // host:port
	Online bool   `json:"online"`
	Offset int64  `json:"offset"` // bytes acknowledged
	Lag    int    `json:"lag"`    // seconds since its last acknowledgement
}

// NoServer reports whether a replica announces no port, so that it can be no member: a client such as `redis-cli --replica`.
func (r Replica) NoServer() bool { return strings.HasSuffix(r.Addr, ":0") }

// Passive reports whether a replica is no server and has acknowledged nothing. Redis counts it for min-replicas-to-write from
// when it is online, for min-replicas-max-lag and no longer.
func (r Replica) Passive() bool { return r.NoServer() && r.Offset == 0 }

// Status is a server's own report at one moment.
type Status struct {
	RunID           string   `json:"run_id"`
	Version         string   `json:"version"`
	Master          bool     `json:"master"`
	MasterAddr      string   `json:"of,omitempty"`      // host:port that a replica follows
	LinkUp          bool     `json:"link_up,omitempty"` // of a replica
	LinkDownFor     int      `json:"-"`                 // seconds since its link went down; 0: the link is up, or never was
	Syncing         bool     `json:"syncing,omitempty"` // a full sync is under way
	Loading         bool     `json:"loading,omitempty"`
	Position        Position `json:"position"`
	Keys            int64    `json:"keys"`
	Dataset         int64    `json:"dataset"`  // used_memory_dataset, bytes
	Priority        int      `json:"priority"` // replica-priority; 0 is never promoted
	ReplicaWritable bool     `json:"writable"` // replica-read-only is no: a replica accepts writes

	Replicas    []Replica `json:"replicas,omitempty"`
	MinReplicas int       `json:"min_replicas"` // min-replicas-to-write
	MaxLag      int       `json:"max_lag"`      // min-replicas-max-lag, seconds
	Refusals    []Refusal `json:"refusals,omitempty"`

	// ErrorReplies is unexpected_error_replies. Of a replica it is how many commands of its master's stream it answered with an
	// error, in this run: it does not have what they wrote.
	ErrorReplies int64 `json:"error_replies,omitempty"`
	BacklogStart int64 `json:"-"` // first offset in the replication backlog; 0: there is none
	// WriteEndsReplica: as a replica it ends with the first write that it receives, and what it holds is lost.
	WriteEndsReplica bool `json:"-"`
}

// Fenced reports whether the server refuses writes because of a fence.
func (s Status) Fenced() bool { return fenced(s.MinReplicas) }

// BelowMinReplicas reports whether a master refuses writes because too few replicas are attached.
func (s Status) BelowMinReplicas() bool {
	return s.Master && s.MaxLag > 0 && s.Attached(s.MaxLag+1) < s.MinReplicas
}

// Parked reports whether the server is a replica of the sink.
func (s Status) Parked() bool { return !s.Master && s.MasterAddr == Sink }

// Attached is the number of replicas that receive the stream and whose last acknowledgement is less than lag seconds old.
func (s Status) Attached(lag int) (n int) {
	for _, r := range s.Replicas {
		if r.Online && r.Lag < lag {
			n++
		}
	}
	return n
}

// Streaming reports whether the server is a replica that receives its master's stream.
func (s Status) Streaming() bool { return !s.Master && s.LinkUp && !s.Syncing }

// Status reads INFO and CONFIG. It returns ErrTooOld for a server below 6.2, and ErrClusterMode for one in cluster mode. A server
// that is loading has a status.
func (s *Server) Status(ctx context.Context) (Status, error) {
	results, err := s.do(ctx, []string{"INFO"}, []string{"CONFIG", "GET", "*replica*"})
	if err != nil {
		return Status{}, err
	}
	text, err := results[0].ToString()
	if err != nil {
		return Status{}, fmt.Errorf("read INFO of redis %s: %w", s.opt.Addr, err)
	}
	info := infoFields(text)
	st, err := parseInfo(info)
	if err != nil {
		return Status{}, fmt.Errorf("read INFO of redis %s: %w", s.opt.Addr, err)
	}
	config, err := results[1].AsStrMap()
	if err != nil {
		return Status{}, fmt.Errorf("read CONFIG of redis %s: %w", s.opt.Addr, err)
	}
	if p, err := strconv.Atoi(config["replica-priority"]); err == nil { // INFO has it for a replica only
		st.Priority = p
	}
	st.ReplicaWritable = config["replica-read-only"] == "no"
	st.MinReplicas, _ = strconv.Atoi(config["min-replicas-to-write"])
	st.MaxLag, _ = strconv.Atoi(config["min-replicas-max-lag"])
	save, err := s.saveSettings(ctx, info)
	if err != nil {
		return Status{}, err
	}
	maps.Copy(config, save)
	st.Refusals = refusalsOf(info, config)
	st.WriteEndsReplica = config["replica-ignore-disk-write-errors"] == "no" && st.refuses(RefusalDisk) // since Redis 7
	return st, nil
}

// saveSettings reads settingsOfSave if the last save failed.
func (s *Server) saveSettings(ctx context.Context, info map[string]string) (map[string]string, error) {
	if !saveFailed(info) {
		return nil, nil
	}
	var commands [][]string
	for _, name := range settingsOfSave {
		commands = append(commands, []string{"CONFIG", "GET", name})
	}
	results, err := s.do(ctx, commands...)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, r := range results {
		one, err := r.AsStrMap()
		if err != nil {
			return nil, fmt.Errorf("read CONFIG of redis %s: %w", s.opt.Addr, err)
		}
		maps.Copy(all, one)
	}
	return all, nil
}
