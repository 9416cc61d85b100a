package journal_test

import (
	"fmt"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
)

var alert = note{URL: "https://checkpoint.example", Text: "CheckpointNodeSyncStalled node-1 firing since 2026-01-02T12:00:00Z, fingerprint 0123456789abcdef"}

func report(b *testing.B, records int) {
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkAppend(b *testing.B) {
	j := open(b, newPath(b), journal.Options{})
	for b.Loop() {
		if _, err := j.Append("alert", alert); err != nil {
			b.Fatal(err)
		}
	}
	report(b, b.N)
}

func BenchmarkAppendFromMany(b *testing.B) {
	j := open(b, newPath(b), journal.Options{})
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := j.Append("alert", alert); err != nil {
				b.Error(err)
			}
		}
	})
	report(b, b.N)
}

func BenchmarkAppendAll(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			j := open(b, newPath(b), journal.Options{})
			burst := make([]journal.Entry, n)
			for i := range burst {
				burst[i] = journal.Entry{Kind: "alert", Payload: alert}
			}
			for b.Loop() {
				if _, err := j.AppendAll(burst...); err != nil {
					b.Fatal(err)
				}
			}
			report(b, n*b.N)
		})
	}
}

func BenchmarkReplay(b *testing.B) {
	j := open(b, newPath(b), journal.Options{})
	burst := make([]journal.Entry, 10_000)
	for i := range burst {
		burst[i] = journal.Entry{Kind: "alert", Payload: alert}
	}
	if _, err := j.AppendAll(burst...); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(j.Size())
	for b.Loop() {
		for _, err := range j.Records() {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
