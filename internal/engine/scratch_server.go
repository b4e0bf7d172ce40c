package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// serverStart is the longest that a server of our own may take to answer.
const serverStart = 60 * time.Second

// ownServer starts a server that goes with this run: from the programs of this machine, or in a container.
func ownServer(ctx context.Context, kind Kind, id [8]byte, notify func(string)) (scratchPlace, error) {
	if kind != Postgres {
		return nil, &Error{Class: Unsupported, Message: fmt.Sprintf("no scratch databases on %s yet", kind), Hint: "use PostgreSQL or SQLite"}
	}
	folder, err := newScratchFolder()
	if err != nil {
		return nil, err
	}
	s, err := func() (*server, error) {
		if bin := postgresPrograms(); bin != "" {
			notify("starting a PostgreSQL server of its own from " + bin)
			return startPostgres(ctx, folder.dir, bin)
		}
		if dockerAnswers(ctx) {
			notify("starting PostgreSQL in a container")
			return startContainer(ctx, folder.dir)
		}
		return nil, &Error{Class: Usage, Message: "there is no server to verify on: no PostgreSQL server programs on this machine, and no Docker engine answers",
			Hint: "--scratch-dsn postgres://user@host/db of a server where databases may be created, or install the server programs (initdb, postgres)"}
	}()
	if err != nil {
		return nil, errors.Join(err, folder.close())
	}
	s.folder = folder
	if s.scratchPlace, err = connectOwn(ctx, s, id); err != nil {
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

// server is a server of our own and the databases on it.
type server struct {
	scratchPlace
	folder *scratchFolder
	url    string
	log    string       // file of its messages
	ended  func() bool  // whether it has stopped by itself
	stop   func() error // ends it
}

// connectOwn waits until the server answers.
func connectOwn(ctx context.Context, s *server, id [8]byte) (scratchPlace, error) {
	deadline := time.Now().Add(serverStart)
	for {
		p, err := scratchServer(ctx, s.url, id)
		if err == nil || ctx.Err() != nil {
			return p, err
		}
		if s.ended() || time.Now().After(deadline) {
			return nil, fmt.Errorf("the server started for this run does not answer: %w%s", err, lastLines(s.log))
		}
		timer := time.NewTimer(20 * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
		}
	}
}

func lastLines(file string) string {
	b, err := os.ReadFile(file)
	if err != nil || len(b) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return "; its last words: " + strings.Join(lines[max(0, len(lines)-3):], " / ")
}

func (s *server) close() error {
	return errors.Join(s.scratchPlace.close(), s.end())
}

func (s *server) end() error {
	return errors.Join(s.stop(), s.folder.close())
}

var majorVersion = regexp.MustCompile(`\d+`)

// postgresPrograms is the folder of the newest server programs of this machine, "" when there are none.
func postgresPrograms() string {
	var found []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		dirs, err := filepath.Glob(pattern)
		if err == nil {
			found = append(found, dirs...)
		}
	}
	version := func(dir string) int {
		n, err := strconv.Atoi(majorVersion.FindString(dir))
		if err != nil {
			return 0
		}
		return n
	}
	slices.SortStableFunc(found, func(a, b string) int { return version(b) - version(a) })
	if p, err := exec.LookPath("postgres"); err == nil {
		// What is in the path was put there on purpose.
		if real, err := filepath.EvalSymlinks(p); err == nil {
			p = real
		}
		found = append([]string{filepath.Dir(p)}, found...)
	}
	for _, dir := range found {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			return dir
		}
	}
	return ""
}

// containerFile, in a scratch folder, names the container that goes with it.
const containerFile = "container"

func dockerAnswers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").Run() == nil
}

// startContainer runs PostgreSQL in a container with a password that nobody else knows.
func startContainer(ctx context.Context, dir string) (*server, error) {
	name := filepath.Base(dir)
	password, err := secret()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, containerFile), []byte(name), 0o600); err != nil {
		return nil, err
	}
	run := exec.CommandContext(ctx, "docker", "run", "--detach", "--rm", "--name", name, "--publish", "127.0.0.1::5432",
		"--env", "POSTGRES_PASSWORD", "--env", "POSTGRES_INITDB_ARGS=--locale=C -E UTF8", "postgres:17",
		"postgres", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_locks_per_transaction=1024")
	run.Env = append(os.Environ(), "POSTGRES_PASSWORD="+password)
	if out, err := run.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("start PostgreSQL in a container: %w: %s", err, strings.TrimSpace(string(out)))
	}
	stop := func() error { return removeContainer(name) }
	out, err := exec.CommandContext(ctx, "docker", "port", name, "5432/tcp").Output()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("find the port of the container: %w", err), stop())
	}
	address, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, errors.Join(fmt.Errorf("find the port of the container: %w", err), stop())
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", password), Host: address, Path: "/postgres", RawQuery: "sslmode=disable"}
	return &server{url: u.String(), stop: stop, ended: func() bool { return false }}, nil
}

func removeContainer(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "docker", "rm", "--force", "--volumes", name).CombinedOutput(); err != nil {
		return fmt.Errorf("remove the container %s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// stopLeftServer ends the server that a killed run left in its folder, if there is one.
func stopLeftServer(dir string) {
	if name, err := os.ReadFile(filepath.Join(dir, containerFile)); err == nil && strings.HasPrefix(string(name), ScratchPrefix) {
		_ = removeContainer(string(name)) // gone already, most of the time
	}
	stopLeftPostgres(dir)
}

func secret() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(b[:]), nil
}
