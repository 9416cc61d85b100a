// Package client holds facts of the clients that people run: by which flags they take a checkpoint URL, what they keep where, and
// what of it may be deleted. Nothing here does anything.
package client
