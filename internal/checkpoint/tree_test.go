package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// write makes files; a name that ends with / is a folder.
func write(t *testing.T, base string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		p := filepath.Join(base, name)
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(p, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// listing is all that stands below a folder: names, modes, contents.
func listing(t *testing.T, base string) string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(base, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(base, p)
		if rel == "copies" {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := ""
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			text = string(b)
		}
		out = append(out, fmt.Sprintf("%s %s %q", rel, info.Mode(), text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

type bed struct {
	base string
	tree *Tree
	want Wanted
	was  string
}

func newBed(t *testing.T, paths ...string) *bed {
	t.Helper()
	b := &bed{base: t.TempDir()}
	write(t, b.base, map[string]string{"config/app.yml": "a: 1\n", "config/sub/deep.txt": "deep", "config/empty/": "", "config/odd ünï\nname": "odd", "one.ini": "x=1", "other.txt": "not named"})
	if err := os.Chmod(filepath.Join(b.base, "config/app.yml"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(b.base, "config/sub"), 0o2750|fs.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	if paths == nil {
		paths = []string{"config", "one.ini"}
	}
	var err error
	if b.tree, err = NewTree(b.base, paths, ""); err != nil {
		t.Fatal(err)
	}
	part, err := b.tree.Capture(context.Background(), filepath.Join(b.base, "copies"), true)
	if err != nil {
		t.Fatal(err)
	}
	b.want = Wanted{Paths: part.Paths, Entries: part.Entries, Folder: filepath.Join(b.base, "copies")}
	b.was = listing(t, b.base)
	return b
}

func (b *bed) restore(t *testing.T) error {
	t.Helper()
	if err := CheckCopies(b.want.Folder, b.want.Entries); err != nil {
		return err
	}
	changes, err := b.tree.Plan(context.Background(), b.want)
	if err != nil {
		return err
	}
	if err := b.tree.Apply(context.Background(), b.want, changes); err != nil {
		return err
	}
	left, err := b.tree.Plan(context.Background(), b.want)
	if err == nil && len(left) > 0 {
		t.Errorf("left to do after a restore: %v", left)
	}
	return err
}

// Every way to damage files is undone, and nothing else is touched.
func TestRestoreFiles(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, b *bed){
		"changed":     func(t *testing.T, b *bed) { write(t, b.base, map[string]string{"config/app.yml": "a: 2\n"}) },
		"same size":   func(t *testing.T, b *bed) { write(t, b.base, map[string]string{"config/app.yml": "a: 9\n"}) },
		"removed":     func(t *testing.T, b *bed) { must(t, os.Remove(filepath.Join(b.base, "one.ini"))) },
		"all removed": func(t *testing.T, b *bed) { must(t, os.RemoveAll(filepath.Join(b.base, "config"))) },
		"added": func(t *testing.T, b *bed) {
			write(t, b.base, map[string]string{"config/new/x/y": "new", "config/z": "z"})
		},
		"mode":          func(t *testing.T, b *bed) { must(t, os.Chmod(filepath.Join(b.base, "config/app.yml"), 0o666)) },
		"mode of dir":   func(t *testing.T, b *bed) { must(t, os.Chmod(filepath.Join(b.base, "config/sub"), 0o777)) },
		"empty removed": func(t *testing.T, b *bed) { must(t, os.Remove(filepath.Join(b.base, "config/empty"))) },
		"torn": func(t *testing.T, b *bed) { // what a crash leaves behind
			write(t, b.base, map[string]string{"config/app.yml": "a: 2\n", growing("config/app.yml"): "a", "config/" + filepath.Base(growing("gone")): "g"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			harm(t, b)
			if listing(t, b.base) == b.was {
				t.Fatal("nothing was harmed")
			}
			if err := b.restore(t); err != nil {
				t.Fatal(err)
			}
			if now := listing(t, b.base); now != b.was {
				t.Errorf("not as it was:\n%s\nwas\n%s", now, b.was)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What cannot be done safely is refused in one line, and nothing at all is changed.
func TestRestoreFilesRefused(t *testing.T) {
	for _, c := range []struct {
		name, want string
		harm       func(t *testing.T, b *bed)
	}{
		{"link in place of a file", "symbolic link", func(t *testing.T, b *bed) {
			must(t, os.Remove(filepath.Join(b.base, "config/app.yml")))
			must(t, os.Symlink(filepath.Join(b.base, "other.txt"), filepath.Join(b.base, "config/app.yml")))
		}},
		{"link in place of the folder", "symbolic link", func(t *testing.T, b *bed) {
			must(t, os.Rename(filepath.Join(b.base, "config"), filepath.Join(b.base, "elsewhere")))
			must(t, os.Symlink("elsewhere", filepath.Join(b.base, "config")))
		}},
		{"a link beside", "symbolic link", func(t *testing.T, b *bed) {
			must(t, os.Symlink("../other.txt", filepath.Join(b.base, "config/new")))
		}},
		{"a socket", "neither a file nor a folder", func(t *testing.T, b *bed) {
			t.Chdir(b.base) // its path must be short
			l, err := net.Listen("unix", "config/s")
			must(t, err)
			t.Cleanup(func() { _ = l.Close() })
		}},
		{"a folder in place of a file", "is a folder now", func(t *testing.T, b *bed) {
			must(t, os.Remove(filepath.Join(b.base, "one.ini")))
			write(t, b.base, map[string]string{"one.ini/": ""})
		}},
		{"outside", "outside the named paths", func(_ *testing.T, b *bed) {
			b.want.Entries = append(b.want.Entries, Entry{Path: "other.txt", Mode: 0o644, Hash: b.want.Entries[1].Hash, UID: -1, GID: -1})
		}},
		{"upwards", "outside the named paths", func(_ *testing.T, b *bed) {
			b.want.Entries = append(b.want.Entries, Entry{Path: "config/../../x", Mode: 0o644, Hash: b.want.Entries[1].Hash, UID: -1, GID: -1})
		}},
		{"absolute", "outside the named paths", func(_ *testing.T, b *bed) {
			b.want.Entries = append(b.want.Entries, Entry{Path: "/tmp/x", Mode: 0o644, Hash: b.want.Entries[1].Hash, UID: -1, GID: -1})
		}},
		{"copy changed", "was changed since", func(t *testing.T, b *bed) {
			must(t, os.WriteFile(filepath.Join(b.want.Folder, "files", HashOf([]byte("a: 1\n"))), []byte("evil\n"), 0o600))
		}},
		{"copy missing", "is missing", func(t *testing.T, b *bed) {
			must(t, os.Remove(filepath.Join(b.want.Folder, "files", HashOf([]byte("a: 1\n")))))
		}},
		{"copy a link", "symbolic link", func(t *testing.T, b *bed) {
			p := filepath.Join(b.want.Folder, "files", HashOf([]byte("a: 1\n")))
			must(t, os.Remove(p))
			must(t, os.Symlink(filepath.Join(b.base, "config/app.yml"), p))
		}},
		{"copies gone", "no folder", func(t *testing.T, b *bed) { must(t, os.RemoveAll(b.want.Folder)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t)
			write(t, b.base, map[string]string{"config/sub/deep.txt": "damaged"})
			c.harm(t, b)
			harmed := listing(t, b.base)
			err := b.restore(t)
			var refused *RefusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want a refusal about %q", err, c.want)
			}
			if now := listing(t, b.base); now != harmed {
				t.Errorf("something was changed:\n%s\nwas\n%s", now, harmed)
			}
		})
	}
}

// Copies are for the owner alone, whatever the umask and the files say.
func TestCopiesArePrivate(t *testing.T) {
	b := newBed(t)
	err := filepath.WalkDir(b.want.Folder, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", p, info.Mode())
		}
		return err
	})
	must(t, err)
}

func TestNewTree(t *testing.T) {
	for _, paths := range [][]string{{"../x"}, {"a/../../x"}, {""}, {"."}, {"/"}, {"a", "a/b"}, {"a", "./a"}} {
		if tree, err := NewTree("/base", paths, ""); err == nil {
			t.Errorf("%q is taken for %q", paths, tree.Paths)
		}
	}
	if _, err := NewTree("/base", []string{"ab", "a", "/etc/app", "..x"}, ""); err != nil {
		t.Error(err)
	}
}

// A named path that is a link, or missing, is refused when a checkpoint is taken.
func TestCaptureRefused(t *testing.T) {
	base := t.TempDir()
	write(t, base, map[string]string{"real": "x"})
	must(t, os.Symlink("real", filepath.Join(base, "link")))
	for name, want := range map[string]string{"link": "symbolic link", "gone": "there is no", "real/below": "is not a folder"} {
		tree, err := NewTree(base, []string{name}, "")
		must(t, err)
		_, err = tree.Capture(context.Background(), filepath.Join(t.TempDir(), "c"), true)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}

// The file of the flags is nobody's but theirs, also within a named folder.
func TestExcept(t *testing.T) {
	b := newBed(t)
	b.tree.Except = filepath.Join(b.base, "config/app.yml")
	write(t, b.base, map[string]string{"config/app.yml": "mine", "config/sub/deep.txt": "changed"})
	must(t, b.restore(t))
	for name, want := range map[string]string{"config/app.yml": "mine", "config/sub/deep.txt": "deep"} {
		if got, _ := os.ReadFile(filepath.Join(b.base, name)); string(got) != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestLock(t *testing.T) {
	b := newBed(t)
	file := filepath.Join(b.base, "one.ini")
	release, err := Lock(file)
	must(t, err)
	if _, err := Lock(file); !errors.Is(err, ErrLocked) {
		t.Errorf("a second one: %v", err)
	}
	release()
	release, err = Lock(file)
	must(t, err)
	release()
}
