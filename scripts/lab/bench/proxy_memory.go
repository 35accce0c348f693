package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"text/tabwriter"
	"time"
)

// idleClients is for how many connections the memory of a proxy is measured.
const idleClients = 5000

// memory prints what each proxy takes for connections that have sent one command.
func memory(ctx context.Context, ways []way) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintf(t, "| way\t| RSS before, MB\t| with %d clients, MB\t|\n|---\t|---\t|---\t|\n", idleClients)
	for _, w := range ways {
		if w.process == nil {
			continue
		}
		before, err := w.process.Usage()
		if err != nil {
			return err
		}
		addr, err := w.addr(ctx)
		if err != nil {
			return err
		}
		close, err := connectAll(ctx, addr)
		if err != nil {
			return errors.Join(err, close())
		}
		after, err := w.process.Usage()
		if err := errors.Join(err, close()); err != nil {
			return err
		}
		fmt.Fprintf(t, "| %s\t| %.1f\t| %.1f\t|\n", w.name, float64(before.RSS)/1e6, float64(after.RSS)/1e6)
		pause(ctx, 2*time.Second) // Redis notices the end of its clients
	}
	return t.Flush()
}

// connectAll opens idleClients connections, and makes a PING over each.
func connectAll(ctx context.Context, addr string) (close func() error, err error) {
	var conns []net.Conn
	close = func() (err error) {
		for _, c := range conns {
			err = errors.Join(err, c.Close())
		}
		return err
	}
	for range idleClients {
		c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return close, err
		}
		conns = append(conns, c)
		if err := errors.Join(c.SetDeadline(time.Now().Add(5*time.Second)), ping(c)); err != nil {
			return close, fmt.Errorf("connection %d: %w", len(conns), err)
		}
	}
	return close, nil
}

func ping(c net.Conn) error {
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer := make([]byte, 7)
	if _, err := c.Read(answer); err != nil || string(answer) != "+PONG\r\n" {
		return fmt.Errorf("PING: %q: %w", answer, err)
	}
	return nil
}
