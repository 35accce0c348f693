// Command resec elects one of several Redis servers as master through a lock in Consul, and makes the others replicate from it.
//
// commands/agent/README.md is the map for maintainers. It says how an agent starts from here.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"resec/commands"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	code := commands.Run(ctx, commands.Hide(os.Args), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
