package setup_test

import (
	"encoding/json"
	"net/http"
	"os"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/docker/dockertest"
	"github.com/checkpoint-exporter/checkpoint_exporter/setup"
)

// TestContainers reads a container as a real engine has told of it.
func TestContainers(t *testing.T) {
	text, err := os.ReadFile("../remediate/source/testdata/docker/running.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded map[string]any
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Fatal(err)
	}
	e := dockertest.New(t)
	t.Setenv("DOCKER_HOST", e.Host)
	id, _ := recorded["Id"].(string)
	e.Answer("GET /containers/json", dockertest.JSON(http.StatusOK, []any{map[string]any{"Id": id}, map[string]any{"Id": "gone"}}))
	e.Answer("GET /containers/"+id+"/json", dockertest.JSON(http.StatusOK, recorded))
	all, err := setup.Host{}.Containers(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v: %v", all, err)
	}
	b := all[0]
	if b.Name == "" || b.Name[0] == '/' || !b.Running || len(b.Args) == 0 {
		t.Errorf("%+v", b)
	}
	if len(e.Asked()) > 0 {
		t.Errorf("looking has changed something: %q", e.Asked())
	}

	t.Setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
	if all, err := (setup.Host{}).Containers(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("no engine: %v %v", all, err)
	}
}
