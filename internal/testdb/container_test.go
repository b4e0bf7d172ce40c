package testdb

import (
	"errors"
	"strings"
	"testing"

	"github.com/testcontainers/testcontainers-go"
)

func TestContainerRequest(t *testing.T) {
	req := testcontainers.GenericContainerRequest{ContainerRequest: testcontainers.ContainerRequest{Image: postgresImage.name}}
	for _, o := range options(postgresImage) {
		if err := o.Customize(&req); err != nil {
			t.Fatal(err)
		}
	}
	if len(req.ExposedPorts) != 1 || req.ExposedPorts[0] != "5432/tcp" || req.Env["POSTGRES_HOST_AUTH_METHOD"] != "trust" ||
		req.WaitingFor == nil || !strings.Contains(strings.Join(req.Cmd, " "), "wal_level=logical") {
		t.Errorf("the request lacks something: %+v", req.ContainerRequest)
	}
}

func TestNoDockerIsSaidQuicklyAndWithTheWayOut(t *testing.T) {
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1") // nothing listens there
	if _, err := runContainer(postgresImage); !errors.Is(err, errNoDocker) {
		t.Errorf("an engine where there is none: %v", err)
	}
	_, err := postgresContainer()
	if err == nil || !strings.Contains(err.Error(), "apt-get install postgresql-15") || !strings.Contains(err.Error(), PostgresEnv) {
		t.Errorf("the message names no way out: %v", err)
	}
}
