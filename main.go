// Command resec elects one of several Redis servers as master through a lock in Consul, and makes the others replicate from it.
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
