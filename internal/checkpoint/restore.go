package checkpoint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// The actions of a restore of files.
const (
	Write  = "write"  // the file is missing, or holds something else
	Make   = "make"   // a folder is missing
	Mode   = "mode"   // permissions or owner differ
	Remove = "remove" // it was not there
)

// Change is one thing to do to bring the files back.
type Change struct {
	Action string `json:"action"`
	Path   string `json:"path"`
	Reason string `json:"reason"`
	want   Entry
	named  string
	dir    bool
}

// Wanted is how files were.
type Wanted struct {
	Paths   []Named
	Entries []Entry
	Folder  string // of the copies
	// Extra says whether a file that was not there goes; nil: every one.
	Extra func(path string) bool
	// Loose leaves the permissions and owners of files that are there alone, but for the right to execute: git knows no more.
	Loose bool
}

// Plan says what differs from how it was. It refuses what it could not do safely: entries outside the named paths, links, folders in
// the place of files. It changes nothing.
func (t *Tree) Plan(ctx context.Context, w Wanted) ([]Change, error) {
	byNamed := map[string]map[string]Entry{}
	for _, e := range w.Entries {
		named, err := t.named(e.Path)
		if err != nil {
			return nil, err
		}
		if t.Except != "" && t.Abs(e.Path) == t.Except {
			continue
		}
		if byNamed[named] == nil {
			byNamed[named] = map[string]Entry{}
		}
		byNamed[named][e.Path] = e
	}
	var out []Change
	for _, n := range w.Paths {
		named, err := t.named(n.Path)
		if err != nil {
			return nil, err
		}
		if named != n.Path {
			return nil, refuse("name it as it was named then: "+n.Path, "%s was named by itself when the checkpoint was taken, and is a part of %s now", n.Path, named)
		}
		changes, err := t.plan(ctx, named, byNamed[named], w)
		if err != nil {
			return nil, err
		}
		out = append(out, changes...)
	}
	rank := map[string]int{Make: 0, Write: 1, Mode: 2, Remove: 3}
	slices.SortStableFunc(out, func(a, b Change) int {
		if r := rank[a.Action] - rank[b.Action]; r != 0 || a.Action != Remove {
			return r
		}
		return strings.Compare(b.Path, a.Path) // what is in a folder goes before the folder
	})
	return out, nil
}

func (t *Tree) plan(ctx context.Context, named string, want map[string]Entry, w Wanted) ([]Change, error) {
	root, prefix, err := t.open(named)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	var out []Change
	seen := map[string]bool{}
	err = t.walk(ctx, root, named, prefix, func(f found) error {
		e, known := want[f.path]
		if !known && leftover(path.Base(f.name)) {
			out = append(out, Change{Action: Remove, Path: f.path, Reason: "left by a restore that was cut off", named: named})
			return nil
		}
		if !known {
			if w.Extra == nil || !f.info.IsDir() && w.Extra(f.path) {
				out = append(out, Change{Action: Remove, Path: f.path, Reason: "was not there", named: named, dir: f.info.IsDir()})
			}
			return nil
		}
		seen[f.path] = true
		if e.Dir != f.info.IsDir() {
			return refuse("move it away; nothing was changed", "%s is a %s now, and was a %s", t.Abs(f.path), kindOf(f.info.IsDir()), kindOf(e.Dir))
		}
		now := entryOf(f)
		if !e.Dir {
			same := now.Size == e.Size
			if same {
				hash, err := read(root, f, io.Discard)
				if err != nil {
					return err
				}
				same = hash == e.Hash
			}
			if w.Loose { // the bits of now, but for those that git keeps
				e.Mode, e.UID, e.GID = executable(now.Mode, e.Mode), now.UID, now.GID
			}
			if !same {
				out = append(out, Change{Action: Write, Path: f.path, Reason: "changed", want: e, named: named})
				return nil
			}
		} else if w.Loose {
			return nil
		}
		if now.Mode != e.Mode || e.UID >= 0 && (now.UID != e.UID || now.GID != e.GID) {
			out = append(out, Change{Action: Mode, Path: f.path, Reason: modes(now, e), want: e, named: named, dir: e.Dir})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for p, e := range want {
		if seen[p] {
			continue
		}
		action := Write
		if e.Dir {
			action = Make
		}
		out = append(out, Change{Action: action, Path: p, Reason: "missing", want: e, named: named, dir: e.Dir})
	}
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// executable gives a mode the right to execute, for whoever may read, or takes it.
func executable(now, want uint32) uint32 {
	if want&0o111 == 0 {
		return now &^ 0o111
	}
	return now | now&0o444>>2
}

func kindOf(dir bool) string {
	if dir {
		return "folder"
	}
	return "file"
}

func modes(now, want Entry) string {
	s := fmt.Sprintf("mode %04o, was %04o", now.Mode&0o7777, want.Mode&0o7777)
	if want.UID >= 0 && (now.UID != want.UID || now.GID != want.GID) {
		s += fmt.Sprintf("; owner %d:%d, was %d:%d", now.UID, now.GID, want.UID, want.GID)
	}
	return s
}

// Apply carries a plan out. Cut off at any instant and planned again, it goes on: each change is done or not.
func (t *Tree) Apply(ctx context.Context, w Wanted, changes []Change) error {
	from, err := os.OpenRoot(w.Folder)
	if err != nil {
		return plainly(err)
	}
	defer func() { _ = from.Close() }()
	roots := map[string]*os.Root{}
	defer func() {
		for _, r := range roots {
			_ = r.Close()
		}
	}()
	for _, c := range changes {
		if err := ctx.Err(); err != nil {
			return err
		}
		root := roots[c.named]
		if root == nil {
			if root, _, err = t.open(c.named); err != nil {
				return err
			}
			roots[c.named] = root
		}
		name := c.Path
		if filepath.IsAbs(filepath.FromSlash(c.named)) {
			name = path.Base(c.named) + strings.TrimPrefix(c.Path, c.named)
		}
		if err := apply(root, from, name, c); err != nil {
			return fmt.Errorf("%s %s: %w", c.Action, c.Path, plainly(err))
		}
	}
	return nil
}

func apply(root, from *os.Root, name string, c Change) error {
	// Looked at again: what stands there may have become a link since.
	info, err := look(root, name)
	if err != nil {
		return err
	}
	native := filepath.FromSlash(name)
	switch c.Action {
	case Make:
		if info == nil {
			if err := root.MkdirAll(native, 0o700); err != nil {
				return err
			}
		}
		err = dress(root, native, c.want)
	case Mode:
		if info == nil {
			return fs.ErrNotExist
		}
		err = dress(root, native, c.want)
	case Remove:
		if info == nil {
			return nil
		}
		err = root.Remove(native)
		if c.dir && err != nil { // somebody put something into it meanwhile; that is not ours to remove
			return nil
		}
	case Write:
		err = replace(root, from, name, c.want)
	}
	if err != nil {
		return err
	}
	return syncFolder(root, filepath.FromSlash(path.Dir(name)))
}

// dress gives permissions and owner. A new owner takes set-id bits away, so it comes first.
func dress(root *os.Root, name string, e Entry) error {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if uid, gid := owner(info); e.UID >= 0 && uid >= 0 && (uid != e.UID || gid != e.GID) {
		if err := root.Lchown(name, e.UID, e.GID); err != nil {
			return fmt.Errorf("it belonged to user %d, group %d: %w", e.UID, e.GID, errors.Unwrap(err))
		}
	}
	return root.Chmod(name, fs.FileMode(e.Mode))
}

// growing is the name under which a new file grows beside the old one: always the same for a file, so that one that was cut off is
// found again.
func growing(name string) string {
	sum := sha256.Sum256([]byte(path.Base(name)))
	return path.Join(path.Dir(name), ".dbrollback-"+hex.EncodeToString(sum[:8])+".tmp")
}

func leftover(base string) bool {
	return len(base) == len(".dbrollback-.tmp")+16 && strings.HasPrefix(base, ".dbrollback-") && strings.HasSuffix(base, ".tmp")
}

// replace puts a copy in the place of a file.
func replace(root, from *os.Root, name string, e Entry) error {
	r, err := from.Open(copies + "/" + e.Hash)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	return grow(root, name, r, e, e.Hash)
}

// grow writes a file beside the one that is there, makes it last, and gives it that one's name.
func grow(root *os.Root, name string, text io.Reader, e Entry, hash string) (err error) {
	tmp, native := filepath.FromSlash(growing(name)), filepath.FromSlash(name)
	if err := root.MkdirAll(filepath.Dir(native), 0o755); err != nil {
		return err
	}
	if err := root.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	w, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = root.Remove(tmp)
		}
	}()
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(w, h), text)
	if err == nil && hex.EncodeToString(h.Sum(nil)) != hash {
		err = refuse("it is not put back", "the copy of %s was changed since", e.Path)
	}
	if err == nil {
		err = w.Sync()
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	if err = dress(root, tmp, e); err != nil {
		return err
	}
	if at, lerr := root.Lstat(native); lerr == nil && !at.Mode().IsRegular() {
		return refuse("put the file itself there: links are not followed", "%s became something else than a file", e.Path)
	}
	if err = root.Rename(tmp, native); err != nil {
		return err
	}
	return syncFolder(root, filepath.Dir(native))
}
