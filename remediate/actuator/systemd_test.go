package actuator_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
)

func TestUnitNames(t *testing.T) {
	for _, good := range []string{"lighthouse.service", "prysm@hoodi.service", "a-b_c:d.e.service", `dev-\x2d.service`, strings.Repeat("a", 247) + ".service"} {
		if _, err := actuator.NewSystemd(good, actuator.SystemdOptions{}); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{
		"", "lighthouse", ".service", "/etc/systemd/system/a.service", "../a.service", "a.target", "a.socket", "prysm@.service", "@a.service",
		"a b.service", "a.service\n", "a\x00.service", "*.service", "a.service b.service", "é.service", strings.Repeat("a", 248) + ".service",
	} {
		if s, err := actuator.NewSystemd(bad, actuator.SystemdOptions{}); err == nil {
			t.Errorf("NewSystemd(%q) = %v", bad, s)
		}
	}
	if _, err := actuator.NewSystemd("a.service", actuator.SystemdOptions{Timeout: -1}); err == nil {
		t.Error("a negative timeout is accepted")
	}
}

func TestSystemdUnreachable(t *testing.T) {
	dir := t.TempDir()
	silent, err := net.Listen("unix", filepath.Join(dir, "silent"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	for name, address := range map[string]string{
		"no bus":     "unix:path=" + filepath.Join(dir, "none"),
		"silent bus": "unix:path=" + filepath.Join(dir, "silent"),
		"no address": "nonsense",
	} {
		t.Run(name, func(t *testing.T) {
			s, err := actuator.NewSystemd("a.service", actuator.SystemdOptions{Address: address})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			defer cancel()
			if _, err := s.State(ctx); err == nil {
				t.Error("State succeeded")
			}
			_, err = s.Restart(ctx)
			wantError(t, err, true, nil)
		})
	}
}
