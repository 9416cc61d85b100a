//go:build !linux

package source_test

import "testing"

func setAttribute(*testing.T, string, string, string) {}

func wantAttribute(*testing.T, string, string, string) {}
