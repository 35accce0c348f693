package redis

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// infoFields returns the fields of a text of INFO.
func infoFields(text string) map[string]string {
	f := make(map[string]string, strings.Count(text, "\n"))
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			f[name] = value
		}
	}
	return f
}

// number returns a field's number; 0: the field is missing, or is none.
func number(f map[string]string, name string) int64 {
	n, _ := strconv.ParseInt(f[name], 10, 64)
	return n
}

// parseInfo reads the fields of INFO. A field that is missing or no number stays zero. It returns errBadInfo without run_id or
// role, ErrTooOld, and ErrClusterMode.
func parseInfo(f map[string]string) (Status, error) {
	num := func(name string) int64 { return number(f, name) }
	st := Status{
		RunID: f["run_id"], Version: f["redis_version"], Master: f["role"] == "master", Loading: f["loading"] == "1",
		Position: Position{ReplID: f["master_replid"], Offset: num("master_repl_offset")},
		Keys:     countKeys(f, "keys="), Dataset: num("used_memory_dataset"), Priority: 100,
		ErrorReplies: num("unexpected_error_replies"),
	}
	if st.RunID == "" || f["role"] == "" {
		return Status{}, fmt.Errorf("%w: it names no run_id or role", errBadInfo)
	}
	if !supported(st.Version) {
		return Status{}, fmt.Errorf("%w: it is %s", ErrTooOld, st.Version)
	}
	if f["cluster_enabled"] == "1" {
		return Status{}, ErrClusterMode
	}
	if id := f["master_replid2"]; strings.Trim(id, "0") != "" {
		st.Position.ReplID2, st.Position.ReplID2EndOffset = id, num("second_repl_offset")
	}
	if f["repl_backlog_active"] == "1" {
		st.BacklogStart = num("repl_backlog_first_byte_offset")
	}
	if !st.Master {
		st.MasterAddr = net.JoinHostPort(f["master_host"], f["master_port"])
		st.LinkUp, st.Syncing = f["master_link_status"] == "up", f["master_sync_in_progress"] == "1"
		st.Position.Offset = num("slave_repl_offset")
		st.LinkDownFor = int(max(0, num("master_link_down_since_seconds"))) // -1: the link never was up
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

// countKeys adds up a number of all databases, "dbN:keys=…,expires=…". name is "keys=" or "expires=".
func countKeys(f map[string]string, name string) int64 {
	var sum int64
	for db, value := range f {
		if !strings.HasPrefix(value, "keys=") { // this comes first, because Atoi allocates an error for a name that is not a number
			continue
		}
		if _, err := strconv.Atoi(strings.TrimPrefix(db, "db")); err != nil {
			continue
		}
		for field := range strings.SplitSeq(value, ",") {
			if count, is := strings.CutPrefix(field, name); is {
				n, _ := strconv.ParseInt(count, 10, 64)
				sum += n
			}
		}
	}
	return sum
}

// supported reports whether a redis_version has CLIENT PAUSE WRITE, which is new in 6.2. Valkey's redis_version is 7.2.4.
func supported(version string) bool {
	major, minor, ok := majorMinor(version)
	return ok && (major > 6 || major == 6 && minor >= 2)
}
