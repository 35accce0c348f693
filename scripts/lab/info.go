package lab

import (
	"cmp"
	"fmt"
	"net"
	"strings"
)

// Info is one field of INFO.
func (r *Redis) Info(field string) (string, error) {
	all, err := r.info()
	return all[field], err
}

func (r *Redis) info() (map[string]string, error) {
	text, err := r.Do("INFO")
	all := map[string]string{}
	for line := range strings.Lines(text) {
		if field, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			all[field] = v
		}
	}
	return all, err
}

// Is returns nil if every field of INFO has its value: Is("role", "master").
func (r *Redis) Is(fields ...string) error {
	all, err := r.info()
	for i := 0; err == nil && i < len(fields); i += 2 {
		if v := all[fields[i]]; v != fields[i+1] {
			err = fmt.Errorf("%s of %s is %q, not %q", fields[i], r.Name, v, fields[i+1])
		}
	}
	return err
}

// written is the key that IsMaster writes.
const written = "lab:written"

// IsMaster returns nil if the server is a master that takes writes, with that many linked replicas.
func (r *Redis) IsMaster(replicas int) error {
	if err := r.Is("role", "master", "connected_slaves", fmt.Sprint(replicas)); err != nil {
		return err
	}
	_, err := r.Do("SET", written, "1")
	return err
}

// Follows returns nil if the server is a linked replica of the other.
func (r *Redis) Follows(master *Redis) error {
	host, port, _ := net.SplitHostPort(cmp.Or(master.Announced, master.Addr))
	return r.Is("role", "slave", "master_host", host, "master_port", port, "master_link_status", "up")
}
