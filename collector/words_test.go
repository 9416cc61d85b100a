package collector

import (
	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

func reasonWords() (all []string) {
	for _, r := range provider.Reasons() {
		all = append(all, string(r))
	}
	return all
}

func phaseWords() (all []string) {
	for _, p := range []progress.Phase{progress.Unreachable, progress.Bootstrapping, progress.Syncing, progress.Optimistic, progress.Backfilling,
		progress.Synced, progress.Stalled, progress.WrongNetwork, progress.OldIteration} {
		all = append(all, string(p))
	}
	return all
}
