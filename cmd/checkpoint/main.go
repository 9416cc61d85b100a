// checkpoint is the operator's command: what was done and why, putting back, pausing, acknowledging, and how things are.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/checkpoint-exporter/checkpoint_exporter/console"
	"github.com/checkpoint-exporter/checkpoint_exporter/server"
	"github.com/checkpoint-exporter/checkpoint_exporter/setup"
)

// Exit codes.
const (
	fine    = 0
	notFine = 1
	misused = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := world{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv, now: time.Now, zone: time.Local, person: console.Person(os.Getenv), defaultConfig: server.DefaultConfigFile,
		asks: isTerminal(os.Stdin) && isTerminal(os.Stdout), colors: isTerminal(os.Stdout), machine: setup.Host{},
	}.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// world is what the command touches.
type world struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) string
	now      func() time.Time
	zone     *time.Location
	// person is who is at the terminal.
	person string
	// defaultConfig is read where no other file is named.
	defaultConfig string
	// asks tells that a person can be asked, and colors that colours can be shown.
	asks, colors bool
	// machine is what setup looks at and changes, and root a directory that stands for / there; "" is / itself.
	machine setup.Machine
	root    string
	// wait waits for a time, or until the context ends; nil means by the clock.
	wait func(ctx context.Context, d time.Duration) error
	// dial opens connections; nil means by TCP.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// exited is how kingpin's --help and the like leave run.
type exited struct{ code int }

// run does what a command line says, and returns the exit code.
func (w world) run(ctx context.Context, args []string) (code int) {
	defer func() {
		if e, ok := recover().(exited); ok {
			code = e.code
		}
	}()
	c := &command{world: w}
	app := c.app()
	if len(args) == 0 {
		app.Usage(nil)
		return misused
	}
	name, err := app.Parse(args)
	if err != nil {
		fmt.Fprintf(w.err, "checkpoint: %v; see checkpoint --help\n", err)
		return misused
	}
	err = c.do(ctx, name)
	usage, isUsage := errors.AsType[*console.UsageError](err)
	switch {
	case err == nil:
		return fine
	case isUsage:
		fmt.Fprintf(w.err, "checkpoint: %v\n", usage)
		return misused
	case !errors.Is(err, console.ErrNotFine):
		fmt.Fprintf(w.err, "checkpoint: %v\n", err)
	}
	return notFine
}
