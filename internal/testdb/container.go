package testdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

// image is a server in a container.
type image struct {
	name string // repository:tag
	port string // as in the image: "5432/tcp"
	env  map[string]string
	cmd  []string
	log  string // line that says it is ready
	seen int    // how often that line comes before it really is
}

var postgresImage = image{
	name: "postgres:17", port: "5432/tcp", log: "database system is ready to accept connections", seen: 2,
	env: map[string]string{"POSTGRES_HOST_AUTH_METHOD": "trust", "POSTGRES_INITDB_ARGS": "--locale=C -E UTF8"},
	cmd: []string{"postgres", "-c", "fsync=off", "-c", "wal_level=logical", "-c", "max_connections=200", "-c", "max_prepared_transactions=16"},
}

// errNoDocker says that no Docker engine answers.
var errNoDocker = errors.New("no Docker engine answers")

// postgresContainer starts PostgreSQL in a container and returns the administrator's DSN.
func postgresContainer() (string, error) {
	addr, err := runContainer(postgresImage)
	if errors.Is(err, errNoDocker) {
		return "", errors.New(noPostgres)
	}
	if err != nil {
		return "", err
	}
	return "postgres://postgres@" + addr + "/postgres?sslmode=disable", nil
}

// runContainer starts the image and returns host:port of its server. The container is removed after
// this process by testcontainers' own watchdog.
func runContainer(img image) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if !dockerAnswers(ctx) {
		return "", errNoDocker
	}
	c, err := testcontainers.Run(ctx, img.name, options(img)...)
	if err != nil {
		return "", fmt.Errorf("start %s in a container: %w", img.name, err)
	}
	addr, err := c.PortEndpoint(ctx, img.port, "")
	if err != nil {
		return "", fmt.Errorf("find the port of %s: %w", img.name, err)
	}
	return addr, nil
}

func options(img image) []testcontainers.ContainerCustomizer {
	return []testcontainers.ContainerCustomizer{
		testcontainers.WithExposedPorts(img.port),
		testcontainers.WithEnv(img.env),
		testcontainers.WithCmd(img.cmd...),
		testcontainers.WithWaitStrategyAndDeadline(2*time.Minute,
			wait.ForAll(wait.ForLog(img.log).WithOccurrence(img.seen), wait.ForListeningPort(img.port))),
	}
}

// dockerAnswers asks for an engine without the long search, and the panic, that testcontainers
// gives to a machine that has none.
func dockerAnswers(ctx context.Context) (answers bool) {
	if os.Getenv("DOCKER_HOST") == "" && os.Getenv("TESTCONTAINERS_HOST_OVERRIDE") == "" {
		if _, err := os.Stat("/var/run/docker.sock"); err != nil && !userSocket() {
			return false
		}
	}
	defer func() {
		if recover() != nil {
			answers = false
		}
	}()
	p, err := testcontainers.NewDockerProvider()
	if err != nil {
		return false
	}
	defer func() { _ = p.Close() }()
	return p.Health(ctx) == nil
}

// userSocket finds the engine of a user without root's rights.
func userSocket() bool {
	home, err := os.UserHomeDir()
	if err != nil {
		return false
	}
	for _, p := range []string{home + "/.docker/run/docker.sock", home + "/.testcontainers.properties", os.Getenv("XDG_RUNTIME_DIR") + "/docker.sock"} {
		if _, err := os.Stat(p); err == nil {
			return true
		}
	}
	return false
}
