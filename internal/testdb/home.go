package testdb

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// CacheEnv names the directory where templates and unpacked servers are kept between runs.
const CacheEnv = "DBROLLBACK_TEST_CACHE"

// cacheDir is where templates and unpacked servers are kept. Servers refuse to run as root, and what
// they run as cannot look into root's home, so root uses a place that everybody may read.
// scripts/cache-dir.sh follows the same rule.
func cacheDir() (string, error) {
	dir := os.Getenv(CacheEnv)
	switch {
	case dir != "":
	case os.Geteuid() == 0:
		dir = "/var/cache/dbrollback-test"
	default:
		base, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find the cache directory (or set %s): %w", CacheEnv, err)
		}
		dir = filepath.Join(base, "dbrollback-test")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the cache directory: %w", err)
	}
	return dir, nil
}

// tempRoot is a directory that an unprivileged server can reach, too.
func tempRoot() string {
	dir := os.TempDir()
	if os.Geteuid() == 0 && !reachable(dir) {
		dir = "/tmp"
	}
	return filepath.Join(dir, fmt.Sprintf("dbrollback-test-%d", os.Getuid()))
}

// reachable tells whether other accounts may pass through dir and all above it.
func reachable(dir string) bool {
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		st, err := os.Stat(d)
		if err != nil || st.Mode()&0o001 == 0 {
			return false
		}
		if d == filepath.Dir(d) {
			return true
		}
	}
}

// processDir is the directory of this test process. It and all in it are removed by a watchdog as
// soon as the process is gone: tests have no common end where it could be done, and kill -9 would
// not reach it.
var processDir = sync.OnceValues(func() (string, error) {
	root := tempRoot()
	if err := os.MkdirAll(root, 0o711); err != nil {
		return "", fmt.Errorf("make the directory of test servers: %w", err)
	}
	dir, err := os.MkdirTemp(root, "p")
	if err != nil {
		return "", fmt.Errorf("make the directory of this test process: %w", err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		return "", fmt.Errorf("open up the directory of this test process: %w", err)
	}
	if err := watch(dir); err != nil {
		return "", err
	}
	return dir, nil
})

// watchdog waits until the pipe on its stdin closes, which is when this process is gone, ends the
// servers that are left and removes the directory. A server that is just dying may still write, so it
// tries for a while.
const watchdog = `cat >/dev/null
for f in "$1"/*.pid; do [ -s "$f" ] && kill -9 "$(cat "$f")" 2>/dev/null; done
n=0
while [ -e "$1" ] && [ $n -lt 100 ]; do rm -rf "$1" 2>/dev/null; [ -e "$1" ] && sleep 0.1; n=$((n+1)); done
`

// held keeps the write end of the watchdog's pipe, and the port locks, open as long as the process lives.
var held struct {
	sync.Mutex
	files []*os.File
}

func hold(f *os.File) {
	held.Lock()
	defer held.Unlock()
	held.files = append(held.files, f)
}

func watch(dir string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start the watchdog: %w", err)
	}
	defer func() { _ = r.Close() }()
	cmd := exec.Command("/bin/sh", "-c", watchdog, "testdb-watchdog", dir)
	cmd.Stdin = r
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the watchdog: %w", errors.Join(err, w.Close(), os.RemoveAll(dir)))
	}
	hold(w)
	go func() { _ = cmd.Wait() }()
	return nil
}

// account is the user and group that servers run as; zero means the present ones.
type account struct{ uid, gid int }

// copyTree copies a directory of plain files and symbolic links, keeping modes and giving everything
// to the account.
func copyTree(dst, src string, as account) error {
	return filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		to := filepath.Join(dst, rel)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			err = os.MkdirAll(to, info.Mode().Perm())
		case d.Type()&fs.ModeSymlink != 0:
			var link string
			if link, err = os.Readlink(path); err == nil {
				err = os.Symlink(link, to)
			}
		case d.Type().IsRegular():
			err = copyFile(to, path, info.Mode().Perm())
		default:
			return nil // a socket left by the initialising server
		}
		if err == nil && as != (account{}) {
			err = os.Lchown(to, as.uid, as.gid)
		}
		return err
	})
}

func copyFile(dst, src string, mode fs.FileMode) (err error) {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// tail is the end of a log file, for error messages.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) > 15 {
		lines = lines[len(lines)-15:]
	}
	return strings.Join(lines, "\n")
}
