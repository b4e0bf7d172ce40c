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

// ownKind is how a server of one kind comes to run for us.
type ownKind struct {
	title    string
	programs func() string // folder of the server programs of this machine, "" when there are none
	start    func(ctx context.Context, dir, bin string) (*server, error)
	image    containerImage
	hint     string // what to do when there is neither
}

// containerImage is how a server runs in a container.
type containerImage struct {
	name, port string
	variable   string   // of the environment, that sets the password of the account
	env        []string // others
	command    []string
	scheme     string
	user, db   string
	params     string
}

// ownKinds are the engines with servers. SQLite needs none.
func ownKinds(kind Kind) (ownKind, bool) {
	switch kind {
	case Postgres:
		return ownKind{
			title: "PostgreSQL", programs: postgresPrograms, start: startPostgres, hint: "initdb, postgres",
			image: containerImage{name: "postgres:17", port: "5432", variable: "POSTGRES_PASSWORD", env: []string{"POSTGRES_INITDB_ARGS=--locale=C -E UTF8"},
				command: []string{"postgres", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_locks_per_transaction=1024"},
				scheme:  "postgres", user: "postgres", db: "postgres", params: "sslmode=disable"},
		}, true
	case MariaDB:
		return ownKind{
			title: "MariaDB", programs: func() string { return mysqlBin(MariaDB) }, hint: "mariadbd, mariadb-install-db",
			start: func(ctx context.Context, dir, bin string) (*server, error) { return startMySQL(ctx, MariaDB, dir, bin) },
			image: containerImage{name: "mariadb:11.8", port: "3306", variable: "MARIADB_ROOT_PASSWORD",
				command: []string{"mariadbd", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--default-time-zone=+00:00"},
				scheme:  "mariadb", user: "root", db: "mysql"},
		}, true
	case MySQL:
		return ownKind{
			title: "MySQL", programs: func() string { return mysqlBin(MySQL) }, hint: "mysqld",
			start: func(ctx context.Context, dir, bin string) (*server, error) { return startMySQL(ctx, MySQL, dir, bin) },
			image: containerImage{name: "mysql:8.4", port: "3306", variable: "MYSQL_ROOT_PASSWORD",
				command: []string{"mysqld", "--skip-log-bin", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--default-time-zone=+00:00"},
				scheme:  "mysql", user: "root", db: "mysql"},
		}, true
	}
	return ownKind{}, false
}

// ownServer starts a server that goes with this run: from the programs of this machine, or in a container.
func ownServer(ctx context.Context, kind Kind, id [8]byte, notify func(string)) (scratchPlace, error) {
	own, ok := ownKinds(kind)
	if !ok {
		return nil, &Error{Class: Usage, Message: fmt.Sprintf("unknown engine %q", kind), Hint: "postgres, mysql, mariadb or sqlite"}
	}
	folder, err := newScratchFolder()
	if err != nil {
		return nil, err
	}
	s, err := func() (*server, error) {
		if bin := own.programs(); bin != "" {
			notify("starting a " + own.title + " server of its own from " + bin)
			return own.start(ctx, folder.dir, bin)
		}
		if dockerAnswers(ctx) {
			notify("starting " + own.title + " in a container")
			return startContainer(ctx, folder.dir, own)
		}
		return nil, &Error{Class: Usage, Message: fmt.Sprintf("there is no server to verify on: no %s server programs on this machine, and no Docker engine answers", own.title),
			Hint: fmt.Sprintf("--scratch-dsn %s://user@host/db of a server where databases may be created, or install the server programs (%s)", own.image.scheme, own.hint)}
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

// mysqlPrograms are the server programs' names.
var mysqlPrograms = map[Kind]string{MySQL: "mysqld", MariaDB: "mariadbd"}

// mysqlBin is the folder of a server program of this machine, "" when there is none.
func mysqlBin(kind Kind) string {
	program := mysqlPrograms[kind]
	var dirs []string
	if p, err := exec.LookPath(program); err == nil { // what is in the path was put there on purpose
		dirs = append(dirs, filepath.Dir(p))
	}
	dirs = append(dirs, "/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/mysql/bin", "/opt/homebrew/opt/"+string(kind)+"/bin", "/usr/local/opt/"+string(kind)+"/bin")
	for _, dir := range dirs {
		if exists(filepath.Join(dir, program)) && isMySQL(kind, filepath.Join(dir, program)) {
			return dir
		}
	}
	return ""
}

// isMySQL tells whether a program is a server of the kind: MariaDB installs a mysqld, too.
func isMySQL(kind Kind, program string) bool {
	out, err := exec.Command(program, "--no-defaults", "--version").Output()
	return err == nil && strings.Contains(string(out), "MariaDB") == (kind == MariaDB)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// containerFile, in a scratch folder, names the container that goes with it.
const containerFile = "container"

func dockerAnswers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").Run() == nil
}

// startContainer runs a server in a container with a password that nobody else knows.
func startContainer(ctx context.Context, dir string, own ownKind) (*server, error) {
	name, image := filepath.Base(dir), own.image
	password, err := secret()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, containerFile), []byte(name), 0o600); err != nil {
		return nil, err
	}
	run := exec.CommandContext(ctx, "docker", image.arguments(name)...)
	run.Env = append(os.Environ(), image.variable+"="+password)
	if out, err := run.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("start %s in a container: %w: %s", own.title, err, strings.TrimSpace(string(out)))
	}
	stop := func() error { return removeContainer(name) }
	out, err := exec.CommandContext(ctx, "docker", "port", name, image.port+"/tcp").Output()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("find the port of the container: %w", err), stop())
	}
	address, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, errors.Join(fmt.Errorf("find the port of the container: %w", err), stop())
	}
	u := url.URL{Scheme: image.scheme, User: url.UserPassword(image.user, password), Host: address, Path: "/" + image.db, RawQuery: image.params}
	return &server{url: u.String(), stop: stop, ended: func() bool { return false }}, nil
}

// arguments of docker; the password is in the environment, where other accounts do not see it.
func (i containerImage) arguments(name string) []string {
	out := []string{"run", "--detach", "--rm", "--name", name, "--publish", "127.0.0.1::" + i.port, "--env", i.variable}
	for _, e := range i.env {
		out = append(out, "--env", e)
	}
	return append(append(out, i.name), i.command...)
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
	stopLeftMySQL(dir)
}

func secret() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(b[:]), nil
}
