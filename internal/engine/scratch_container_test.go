package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// docker stands in for the client, up to the engine: it writes down what it is asked, and the password that it is given.
const docker = `#!/bin/sh
echo "$@" >> "$DOCKER_LOG"
echo "password $POSTGRES_PASSWORD$MARIADB_ROOT_PASSWORD$MYSQL_ROOT_PASSWORD" >> "$DOCKER_LOG"
case "$1" in port) echo 127.0.0.1:54321; echo '[::1]:54321' ;; esac
`

func TestScratchContainer(t *testing.T) {
	for kind, want := range map[Kind]struct{ port, image, user string }{
		Postgres: {"5432", "postgres:17", "postgres"}, MariaDB: {"3306", "mariadb:11.8", "root"}, MySQL: {"3306", "mysql:8.4", "root"},
	} {
		t.Run(string(kind), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), ScratchPrefix+"x")
			log := filepath.Join(t.TempDir(), "log")
			bin := t.TempDir()
			if err := os.WriteFile(filepath.Join(bin, "docker"), []byte(docker), 0o700); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			t.Setenv("DOCKER_LOG", log)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if !dockerAnswers(t.Context()) {
				t.Fatal("docker does not answer")
			}
			own, ok := ownKinds(kind)
			if !ok {
				t.Fatal("no such server")
			}
			s, err := startContainer(t.Context(), dir, own)
			if err != nil {
				t.Fatal(err)
			}
			d, err := parse(s.url)
			if err != nil {
				t.Fatal(err)
			}
			password := d.pass
			if kind == Postgres {
				password = d.pgx.Password
			}
			if d.target.Kind != kind || d.target.Host != "127.0.0.1:54321" || d.target.User != want.user || len(password) != 32 {
				t.Errorf("%+v with a password of %d characters", d.target, len(password))
			}
			if name, err := os.ReadFile(filepath.Join(dir, containerFile)); err != nil || string(name) != ScratchPrefix+"x" {
				t.Errorf("the folder names container %q, %v", name, err)
			}
			if err := s.stop(); err != nil {
				t.Error(err)
			}
			said, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(string(said)), "\n")
			run := strings.Fields(lines[2])
			if !slices.Contains(run, "127.0.0.1::"+want.port) || !slices.Contains(run, want.image) || !slices.Contains(run, ScratchPrefix+"x") || !slices.Contains(run, "--rm") {
				t.Errorf("docker %q", run)
			}
			if strings.Contains(lines[2], password) || lines[3] != "password "+password {
				t.Errorf("the password goes in the environment, and nowhere else: %q", lines[2:4])
			}
			if last := lines[len(lines)-2]; last != "rm --force --volumes "+ScratchPrefix+"x" {
				t.Errorf("docker %s", last)
			}
		})
	}
}
