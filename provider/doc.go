// Package provider judges checkpoint providers: a Prober looks at one of them, Judge compares what was seen of all with what the
// chain should be and with each other, and Rank orders them. Looking is I/O and remembers; judging is a pure function, so that
// every verdict can be repeated from its observations.
package provider
