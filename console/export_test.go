package console

import "github.com/checkpoint-exporter/checkpoint_exporter/remediate"

// Permitted is permitted, for tests: root, who may run them, is refused nothing.
var Permitted = permitted

// Event shows one record with everything that it holds.
func Event(t *Terminal, l remediate.Line) { t.event(l, true) }
