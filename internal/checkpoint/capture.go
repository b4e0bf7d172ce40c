package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// copies is the folder of the files within that of a checkpoint: each under the name of its hash.
const copies = "files"

// Unfinished is where a checkpoint grows, so that a folder under its own name is always whole.
func Unfinished(location, id string) string { return filepath.Join(location, ".unfinished-"+id) }

// Capture copies the files of the tree into a new folder, readable by the owner alone. strict wants every named path to be there.
func (t *Tree) Capture(ctx context.Context, folder string, strict bool) (*ConfigurationPart, error) {
	if err := os.MkdirAll(filepath.Dir(folder), 0o700); err != nil {
		return nil, plainly(err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, plainly(err)
	}
	into, err := os.OpenRoot(folder)
	if err != nil {
		return nil, plainly(err)
	}
	defer func() { _ = into.Close() }()
	if err := into.Mkdir(copies, 0o700); err != nil {
		return nil, plainly(err)
	}
	part := &ConfigurationPart{Entries: []Entry{}}
	for _, named := range t.Paths {
		kind, err := t.capture(ctx, named, into, part)
		if err != nil {
			return nil, err
		}
		if kind == "" && strict {
			return nil, refuse("correct configuration.paths, or make it", "there is no %s", t.Abs(named))
		}
		part.Paths = append(part.Paths, Named{named, kind})
	}
	return part, errors.Join(syncFolder(into, copies), syncFolder(into, "."))
}

func (t *Tree) capture(ctx context.Context, named string, into *os.Root, part *ConfigurationPart) (kind string, err error) {
	root, prefix, err := t.open(named)
	if err != nil {
		return "", err
	}
	defer func() { _ = root.Close() }()
	err = t.walk(ctx, root, named, prefix, func(f found) error {
		if leftover(filepath.Base(f.name)) {
			return nil
		}
		e := entryOf(f)
		if f.path == named {
			kind = "file"
			if e.Dir {
				kind = "dir"
			}
		}
		if !e.Dir {
			hash, err := keep(into, root, f)
			if err != nil {
				return err
			}
			e.Hash = hash
		}
		part.Entries = append(part.Entries, e)
		return nil
	})
	return kind, err
}

// keep copies one file.
func keep(into, root *os.Root, f found) (hash string, err error) {
	const growing = "growing"
	w, err := into.OpenFile(growing, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", plainly(err)
	}
	hash, err = read(root, f, w)
	if err == nil {
		err = w.Sync()
	}
	err = errors.Join(err, w.Close())
	if err == nil {
		err = into.Rename(growing, filepath.Join(copies, hash))
	}
	if err != nil {
		return "", plainly(err)
	}
	return hash, nil
}

// Hold writes bytes into the folder of copies, as Capture does with files, and gives their hash.
func Hold(folder string, text []byte) (hash string, err error) {
	if err := os.MkdirAll(filepath.Join(folder, copies), 0o700); err != nil {
		return "", plainly(err)
	}
	hash = HashOf(text)
	return hash, plainly(os.WriteFile(filepath.Join(folder, copies, hash), text, 0o600))
}

// Finish writes the manifest beside the copies and gives the folder its name.
func Finish(location, id string, manifest []byte) error {
	from := Unfinished(location, id)
	into, err := os.OpenRoot(from)
	if err != nil {
		return plainly(err)
	}
	defer func() { _ = into.Close() }()
	w, err := into.OpenFile("manifest.json", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = w.Write(manifest)
		err = errors.Join(err, w.Sync(), w.Close())
	}
	if err == nil {
		err = syncFolder(into, ".")
	}
	if err == nil {
		err = os.Rename(from, filepath.Join(location, id))
	}
	if err != nil {
		return plainly(err)
	}
	above, err := os.OpenRoot(location)
	if err != nil {
		return plainly(err)
	}
	defer func() { _ = above.Close() }()
	return syncFolder(above, ".")
}

// CheckCopies makes sure that every copy is there and is what was copied.
func CheckCopies(folder string, entries []Entry) error {
	root, err := os.OpenRoot(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return refuse("restore on the machine that took it, or bring the folder along", "the copies of the files are not here: there is no folder %s", folder)
	}
	if err != nil {
		return plainly(err)
	}
	defer func() { _ = root.Close() }()
	seen := map[string]bool{}
	for _, e := range entries {
		if e.Dir || seen[e.Hash] {
			continue
		}
		seen[e.Hash] = true
		name := copies + "/" + e.Hash
		info, err := look(root, name)
		if err != nil {
			return err
		}
		if info == nil || info.IsDir() {
			return refuse("take it from a backup of that folder", "the copy of %s is missing: %s", e.Path, filepath.Join(folder, name))
		}
		if hash, err := read(root, found{name, name, info}, io.Discard); err != nil {
			return err
		} else if hash != e.Hash {
			return refuse("it is not put back; take it from a backup of that folder", "the copy of %s was changed since: %s", e.Path, filepath.Join(folder, name))
		}
	}
	return nil
}

// ReadManifest reads the manifest beside the copies; nil when there is none.
func ReadManifest(location, id string) ([]byte, error) {
	if !filepath.IsLocal(id) || filepath.Base(id) != id {
		return nil, nil
	}
	b, err := os.ReadFile(filepath.Join(location, id, "manifest.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the checkpoint: %w", plainly(err))
	}
	return b, nil
}
