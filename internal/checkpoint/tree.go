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

// Entry is a file or a folder as it was.
type Entry struct {
	Path string `json:"path"` // with slashes; absolute, or relative to the folder of the configuration
	Dir  bool   `json:"dir,omitempty"`
	Mode uint32 `json:"mode"` // fs.FileMode, permissions and set-id bits
	UID  int    `json:"uid"`  // -1 where the system has none
	GID  int    `json:"gid"`
	Size int64  `json:"size"`
	Hash string `json:"hash,omitempty"` // of a file: SHA-256
}

// Named is a path that was named, and what stood there: "file", "dir", or "" for nothing.
type Named struct {
	Path string `json:"path"`
	Kind string `json:"kind"`
}

// Tree is the files below named paths. Except takes one file out: it belongs to somebody else.
type Tree struct {
	Base   string   // the folder that relative paths are relative to
	Paths  []string // with slashes, cleaned
	Except string   // absolute; "" for none
}

// NewTree checks the names: a path is absolute, or stays below base.
func NewTree(base string, paths []string, except string) (*Tree, error) {
	t := &Tree{Base: base, Except: except}
	for _, p := range paths {
		clean, err := CleanPath(p)
		if err != nil {
			return nil, err
		}
		t.Paths = append(t.Paths, clean)
	}
	slices.Sort(t.Paths)
	for i, p := range t.Paths {
		for _, q := range t.Paths[i+1:] {
			if within(p, q) {
				return nil, refuse("leave it out", "path %s is named by %s already", q, p)
			}
		}
	}
	return t, nil
}

// CleanPath gives a path as it is stored, or refuses one that leads elsewhere.
func CleanPath(p string) (string, error) {
	clean := path.Clean(filepath.ToSlash(p))
	switch {
	case p == "" || clean == "." || clean == "/" || strings.ContainsRune(p, 0):
		return "", refuse("name a file or a folder below it", "path %q is too wide", p)
	case !filepath.IsAbs(filepath.FromSlash(clean)) && !filepath.IsLocal(filepath.FromSlash(clean)):
		return "", refuse("name it from there, or by its whole path", "path %s leads out of the folder of the configuration", p)
	}
	return clean, nil
}

// within tells whether q is p or below it.
func within(p, q string) bool { return q == p || strings.HasPrefix(q, p+"/") }

// Abs is a stored path of this machine.
func (t *Tree) Abs(p string) string {
	if f := filepath.FromSlash(p); filepath.IsAbs(f) {
		return f
	}
	return filepath.Join(t.Base, filepath.FromSlash(p))
}

// Has tells whether an absolute path is one of the named, or below one.
func (t *Tree) Has(abs string) bool {
	return abs != t.Except && slices.ContainsFunc(t.Paths, func(p string) bool { return within(filepath.ToSlash(t.Abs(p)), filepath.ToSlash(abs)) })
}

// named finds the named path that a stored path belongs to; whatever says otherwise is refused.
func (t *Tree) named(p string) (string, error) {
	clean, err := CleanPath(p)
	if err == nil && clean == p {
		for _, n := range t.Paths {
			if within(n, p) {
				return n, nil
			}
		}
	}
	return "", refuse("configuration.paths names what may be written", "%s lies outside the named paths", p)
}

// open gives the folder in which a named path lies, held open, and what to put before names in it. Nothing can be reached through it
// that lies outside; a link on the way is refused.
func (t *Tree) open(named string) (root *os.Root, prefix string, err error) {
	folder := t.Base
	rest := named
	if filepath.IsAbs(filepath.FromSlash(named)) {
		folder, rest = filepath.FromSlash(path.Dir(named)), path.Base(named)
	}
	root, err = os.OpenRoot(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", refuse("make the folder first", "the folder %s does not exist", folder)
	}
	if err != nil {
		return nil, "", plainly(err)
	}
	return root, rest, nil
}

// look tells what a name within a root is, nil for nothing. A link, in the place or on the way, is refused.
func look(root *os.Root, name string) (fs.FileInfo, error) {
	parts := strings.Split(name, "/")
	for i := range parts {
		so := strings.Join(parts[:i+1], "/")
		info, err := root.Lstat(filepath.FromSlash(so))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, nil
		case err != nil:
			return nil, plainly(err)
		case info.Mode()&fs.ModeSymlink != 0:
			return nil, refuse("put the file itself there: links are not followed", "%s is a symbolic link", path.Join(filepath.ToSlash(root.Name()), so))
		case i == len(parts)-1:
			if !info.IsDir() && !info.Mode().IsRegular() {
				return nil, refuse("leave it out of the named paths", "%s is neither a file nor a folder", path.Join(filepath.ToSlash(root.Name()), so))
			}
			return info, nil
		case !info.IsDir():
			return nil, refuse("the path leads through it", "%s is not a folder", path.Join(filepath.ToSlash(root.Name()), so))
		}
	}
	return nil, nil
}

// plainly is an error of the file system in few words.
func plainly(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("%s: %w", pe.Path, pe.Err)
	}
	return err
}

// found is what stands somewhere below a named path.
type found struct {
	path string // as stored
	name string // within the root
	info fs.FileInfo
}

// walk visits what stands at and below a named path, folders ahead of what is in them; nothing when there is nothing.
func (t *Tree) walk(ctx context.Context, root *os.Root, named, prefix string, visit func(found) error) error {
	info, err := look(root, prefix)
	if err != nil || info == nil {
		return err
	}
	return fs.WalkDir(root.FS(), prefix, func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return plainly(err)
		}
		p := named + strings.TrimPrefix(name, prefix)
		if t.Except != "" && t.Abs(p) == t.Except {
			return nil
		}
		info, err := look(root, name)
		if err != nil || info == nil {
			return err
		}
		return visit(found{p, name, info})
	})
}

const keptBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

func entryOf(f found) Entry {
	e := Entry{Path: f.path, Dir: f.info.IsDir(), Mode: uint32(f.info.Mode() & keptBits)}
	e.UID, e.GID = owner(f.info)
	if !e.Dir {
		e.Size = f.info.Size()
	}
	return e
}

// read gives a file's bytes to w and its hash back. That it is another file by then than the one that was looked at, or that it
// changes meanwhile, is an error.
func read(root *os.Root, f found, w io.Writer) (hash string, err error) {
	r, err := root.Open(filepath.FromSlash(f.name))
	if err != nil {
		return "", plainly(err)
	}
	defer func() { _ = r.Close() }()
	before, err := r.Stat()
	if err != nil {
		return "", plainly(err)
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), r)
	if err != nil {
		return "", fmt.Errorf("copy %s: %w", f.path, plainly(err))
	}
	after, err := r.Stat()
	if err != nil {
		return "", plainly(err)
	}
	if !os.SameFile(f.info, before) || n != f.info.Size() || n != after.Size() || !after.ModTime().Equal(f.info.ModTime()) {
		return "", refuse("run it again", "%s was changed while it was read", f.path)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
