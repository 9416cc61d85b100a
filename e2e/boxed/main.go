// Boxed stands for a client in the containers of the end-to-end tests: it says how it was called, and ends as it is told.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() {
	flag.String("checkpoint-sync-url", "", "as Lighthouse has it; only said")
	onTerm := flag.Int("exit-on-term", 0, "exit code on SIGTERM; -1 takes no notice of it")
	crash := flag.Int("crash", -1, "exit at once with this code")
	unless := flag.String("unless", "", "do not crash if this file exists")
	write := flag.String("write", "", "write a file here")
	complain := flag.Bool("complain", false, "write to standard error, too")
	flag.Parse()

	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	fmt.Printf("called with %q\n", os.Args[1:])
	env := os.Environ()
	slices.Sort(env)
	for _, e := range env {
		if strings.HasPrefix(e, "CHECKPOINT_") {
			fmt.Println("environment", e)
		}
	}
	if *complain {
		fmt.Fprintln(os.Stderr, "this is an error")
	}
	if *write != "" {
		if err := os.WriteFile(*write, []byte("mine"), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	if *crash >= 0 {
		if _, err := os.Stat(*unless); *unless == "" || err != nil {
			fmt.Println("crash")
			os.Exit(*crash)
		}
	}
	fmt.Println("ready")
	for range term {
		if *onTerm >= 0 {
			fmt.Println("terminated")
			os.Exit(*onTerm)
		}
	}
}
