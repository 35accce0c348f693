package sentinel

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// defaultVersion is what is said of Redis's version before a master is known: the oldest that resec works with.
const defaultVersion = "6.0.0"

// redisVersion is the version of the master's Redis: clients ask an endpoint for it to know which commands there are.
func (s *Server) redisVersion() string { return cmp.Or(s.Topology().Master.Version, defaultVersion) }

func (c *conn) role([]string) reply { return array{text("sentinel"), texts(c.server.Topology().Name)} }

// info is INFO with the sections that a Sentinel has, as far as something is known for them.
func (c *conn) info(args []string) reply {
	s, t := c.server, c.server.Topology()
	host, port := hostPort(s.listener.Addr().String())
	uptime := int(time.Since(s.started).Seconds())
	status := "ok"
	if t.Master.Gone {
		status = "odown"
	}
	sections := []struct{ name, text string }{
		{"Server", fmt.Sprintf("redis_version:%s\r\nredis_mode:sentinel\r\nrun_id:%s\r\ntcp_port:%s\r\nbind:%s\r\n"+
			"uptime_in_seconds:%d\r\nuptime_in_days:%d\r\n", s.redisVersion(), s.ID(), port, host, uptime, uptime/86400)},
		{"Clients", fmt.Sprintf("connected_clients:%d\r\nmaxclients:%d\r\n", len(s.clients()), s.MaxConns)},
		{"Sentinel", "sentinel_masters:0\r\n" + noScripts},
	}
	if t.Master.Addr != "" {
		sections[2].text = "sentinel_masters:1\r\n" + noScripts +
			fmt.Sprintf("master0:name=%s,status=%s,address=%s,slaves=%d,sentinels=%d\r\n", t.Name, status, t.Master.Addr,
				len(t.Replicas), max(1, len(t.Endpoints)))
	}
	var out strings.Builder
	for _, section := range sections {
		if wantsSection(args, section.name) {
			if out.Len() > 0 {
				out.WriteString("\r\n")
			}
			fmt.Fprintf(&out, "# %s\r\n%s", section.name, section.text)
		}
	}
	return text(out.String())
}

// noScripts is what only a Sentinel of its own has.
const noScripts = "sentinel_tilt:0\r\nsentinel_tilt_since_seconds:-1\r\nsentinel_running_scripts:0\r\n" +
	"sentinel_scripts_queue_length:0\r\nsentinel_simulate_failure_flags:0\r\n"

func wantsSection(args []string, name string) bool {
	return len(args) == 0 || slices.ContainsFunc(args, func(a string) bool {
		return strings.EqualFold(a, name) || strings.EqualFold(a, "all") || strings.EqualFold(a, "everything") ||
			strings.EqualFold(a, "default")
	})
}
