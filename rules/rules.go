// Package rules holds the recording and alerting rules that every way of running Checkpoint shares: a Prometheus server
// reads the files from disk, checkpointd from Files.
package rules

import "embed"

// Files holds the rule files, one a subject, in the format that Prometheus 2.42 and every later release reads.
//
//go:embed *.yml
var Files embed.FS
