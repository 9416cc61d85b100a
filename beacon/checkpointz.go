package beacon

import (
	"context"
)

// CheckpointzStatus is what /checkpointz/v1/status tells; other servers answer 404.
type CheckpointzStatus struct {
	// OperatingMode is "full", or "light" for an instance that serves no states.
	OperatingMode string
	// Version is its version, such as "v0.31.0".
	Version string
	// Finalized is the checkpoint that it serves; nil while it has none.
	Finalized *Checkpoint
	// Upstreams and Healthy count the nodes behind it and those of them that it calls healthy.
	Upstreams, Healthy int
}

// CheckpointzStatus asks a checkpointz about itself.
func (c *Client) CheckpointzStatus(ctx context.Context) (CheckpointzStatus, error) {
	return get(ctx, c.door, "/checkpointz/v1/status", statusLimit, decodeCheckpointzStatus)
}

func decodeCheckpointzStatus(b []byte) (CheckpointzStatus, error) {
	w, err := unwrap[struct {
		Mode    *string `json:"operating_mode"`
		Version struct {
			Short string `json:"short"`
		} `json:"version"`
		Finality *struct {
			Finalized *wireCheckpoint `json:"finalized"`
		} `json:"finality"`
		Upstreams map[string]struct {
			Healthy *flag `json:"healthy"`
		} `json:"upstreams"`
	}](b)
	if err != nil {
		return CheckpointzStatus{}, err
	}
	mode, err := need("operating_mode", w.Mode)
	if err != nil {
		return CheckpointzStatus{}, err
	}
	s := CheckpointzStatus{OperatingMode: clean(mode, 40), Version: clean(w.Version.Short, 64), Upstreams: len(w.Upstreams)}
	for _, u := range w.Upstreams {
		if u.Healthy != nil && bool(*u.Healthy) {
			s.Healthy++
		}
	}
	if w.Finality != nil && w.Finality.Finalized != nil {
		finalized, err := w.Finality.Finalized.checkpoint()
		if err != nil {
			return CheckpointzStatus{}, err
		}
		s.Finalized = &finalized
	}
	return s, nil
}
