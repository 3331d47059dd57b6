package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"graphrelay/relay/demo"
)

func demoCommand(e env, args []string) int {
	fs := flags(e, "demo")
	once := fs.Bool("once", false, "exit after the sample messages")
	if status, ok := noOperands(e, fs, args); !ok {
		return status
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demo.Run(ctx, demo.Options{Once: *once, Out: e.stdout, Log: e.stderr}); err != nil {
		return fault(e, exitFault, err)
	}
	return exitOK
}
