package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Pause holds back the writes of clients for at most d, without an error to them. It returns an error if the server did not
// confirm.
func (s *Server) Pause(ctx context.Context, d time.Duration) error {
	_, err := s.do(ctx, []string{"CLIENT", "PAUSE", strconv.FormatInt(d.Milliseconds(), 10), "WRITE"})
	return err
}

// Unpause ends a pause; a paused replica does not apply its master's stream. It returns an error if the server did not confirm.
func (s *Server) Unpause(ctx context.Context) error {
	_, err := s.do(ctx, []string{"CLIENT", "UNPAUSE"})
	return err
}

// Disconnect closes the connections of clients, so that the clients of a former master look for the new one. It keeps those of
// replicas, and the one that it uses. Agents connect again, and so does this process with its other connections: any client can
// take the name of ours, so a name keeps none. It returns how many it closed, and an error for each kind of client that it could
// not close.
func (s *Server) Disconnect(ctx context.Context) (int, error) {
	n, err := s.disconnect(ctx, "normal")
	m, err2 := s.disconnect(ctx, "pubsub")
	return n + m, errors.Join(err, err2)
}

// disconnect closes the connections of one type but our own: the default of CLIENT KILL is SKIPME yes.
func (s *Server) disconnect(ctx context.Context, kind string) (int, error) {
	results, err := s.do(ctx, []string{"CLIENT", "KILL", "TYPE", kind})
	if err != nil {
		return 0, err
	}
	n, err := results[0].AsInt64()
	if err != nil {
		return 0, fmt.Errorf("read the answer to CLIENT KILL of redis %s: %w", s.opt.Addr, err)
	}
	return int(n), nil
}

// OlderNamesakes is the number of connections that have the name of ours and are older. If this is the process's first
// connection, they belong to another process, which need not be an agent: any client can take the name. It returns an
// error if the server did not list its clients.
func (s *Server) OlderNamesakes(ctx context.Context) (int, error) {
	results, err := s.do(ctx, []string{"CLIENT", "ID"}, []string{"CLIENT", "LIST", "TYPE", "normal"})
	if err != nil {
		return 0, err
	}
	own, _ := results[0].AsInt64()
	list, _ := results[1].ToString()
	return countOlder(list, s.opt.Name, own), nil
}

// countOlder counts the clients in CLIENT LIST's text that have a name, and an id below own.
func countOlder(list, name string, own int64) (n int) {
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		if len(fields) == 0 || !slices.Contains(fields, "name="+name) {
			continue
		}
		id, err := strconv.ParseInt(strings.TrimPrefix(fields[0], "id="), 10, 64)
		if err == nil && id < own {
			n++
		}
	}
	return n
}

// namePrefix begins the name of each of our connections (CLIENT SETNAME); the member's id follows. Any client can take such a
// name.
const namePrefix = "resec:"

// Promoters are the clients that may have changed the server's role, by address and name: Sentinels, and those whose last command
// does so. Those with a name of ours are not among them. It returns an error if the server did not list its clients.
func (s *Server) Promoters(ctx context.Context) ([]string, error) {
	results, err := s.do(ctx, []string{"CLIENT", "LIST", "TYPE", "normal"})
	if err != nil {
		return nil, err
	}
	list, _ := results[0].ToString()
	return promoters(list), nil
}

// promoters are those in CLIENT LIST's text.
func promoters(list string) (out []string) {
	for line := range strings.Lines(list) {
		f := map[string]string{}
		for _, field := range strings.Fields(line) {
			name, value, _ := strings.Cut(field, "=")
			f[name] = value
		}
		sentinel := strings.HasPrefix(f["name"], "sentinel-")
		changes := slices.Contains([]string{"replicaof", "slaveof", "failover"}, f["cmd"])
		if (sentinel || changes) && !strings.HasPrefix(f["name"], namePrefix) {
			host, _, _ := net.SplitHostPort(f["addr"])
			out = append(out, strings.TrimSpace(host+" "+f["name"]))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
