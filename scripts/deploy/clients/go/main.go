// Command go is a client that writes to the master that Consul's DNS names, and asks again when that refuses or is gone: the whole of
// what a client has to do. usage: go run ./scripts/deploy/clients/go [-dns 127.0.0.1:8600] [-service redis-master]
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"
)

func main() {
	dns := flag.String("dns", "127.0.0.1:8600", "a Consul agent's DNS")
	service := flag.String("service", "redis-master", "the master's service")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	consul := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, *dns)
	}}
	for n := 0; ctx.Err() == nil; n++ {
		addr, err := write(ctx, consul, *service, strconv.Itoa(n))
		if err != nil { // the next try finds the new master
			fmt.Println("failed:", err)
		} else {
			fmt.Println(addr, "has", n)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// write sets a key on the master. A real client keeps the connection, and does this where that fails, or says -READONLY or
// -NOREPLICAS.
func write(ctx context.Context, consul *net.Resolver, service, value string) (addr string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, srv, err := consul.LookupSRV(ctx, "", "", service+".service.consul.")
	if err != nil || len(srv) != 1 {
		return "", fmt.Errorf("%d masters: %w", len(srv), err)
	}
	ips, err := consul.LookupHost(ctx, srv[0].Target)
	if err != nil {
		return "", err
	}
	addr = net.JoinHostPort(ips[0], strconv.Itoa(int(srv[0].Port)))
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return addr, err
	}
	defer conn.Close()
	end, _ := ctx.Deadline()
	_ = conn.SetDeadline(end)
	if _, err := fmt.Fprintf(conn, "SET resec-example %s\r\n", value); err != nil {
		return addr, err
	}
	answer := make([]byte, 256)
	k, err := conn.Read(answer)
	if said := strings.TrimSpace(string(answer[:k])); err == nil && said != "+OK" {
		err = fmt.Errorf("%s says %s", addr, said)
	}
	return addr, err
}
