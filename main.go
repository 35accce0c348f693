// Command resec makes one of several Redis servers the master, and the others follow it, through a lock in Consul.
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
