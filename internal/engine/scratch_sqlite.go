package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// scratchFolder is a temporary folder that belongs to this process for as long as it lives: it holds a lock on a
// database file within, which the operating system lets go however the process ends.
type scratchFolder struct {
	dir    string
	owner  *sql.DB
	params string // of the URL that named the engine: foreign keys on, and the like
}

// ownerFile is the file in a scratch folder on which the owner's lock lies.
const ownerFile = "owner.db"

func newScratchFolder() (*scratchFolder, error) {
	sweepFolders(os.TempDir())
	for tries := 1; ; tries++ {
		dir, err := os.MkdirTemp("", ScratchPrefix)
		if err != nil {
			return nil, fmt.Errorf("make a scratch folder: %w", err)
		}
		f := &scratchFolder{dir: dir}
		if f.owner, err = lockFolder(dir, Options{LockTimeout: lockWait}); err == nil {
			if _, err = os.Stat(filepath.Join(dir, ownerFile)); err == nil {
				return f, nil
			}
			err = errors.Join(err, f.owner.Close())
		}
		// The sweep of another run may have come between the file and its lock, and taken the folder for one that was left.
		if err = errors.Join(err, os.RemoveAll(dir)); tries == lockTries {
			return nil, fmt.Errorf("lock the scratch folder: %w", err)
		}
	}
}

// lockTries is how many folders are made until one is locked before somebody sweeps it away.
const lockTries = 20

// newSQLiteScratch makes a folder for SQLite databases, opened with the parameters of dsn.
func newSQLiteScratch(dsn string) (*scratchFolder, error) {
	f, err := newScratchFolder()
	if err != nil {
		return nil, err
	}
	if _, params, ok := strings.Cut(dsn, "?"); ok {
		f.params = "&" + params
	}
	return f, nil
}

// lockWait is how long a lock of somebody else is waited for: not at all, in what SQLite can be told.
const lockWait = time.Millisecond

// lockFolder takes the owner's lock of a folder, or fails at once when somebody has it.
func lockFolder(dir string, o Options) (*sql.DB, error) {
	driver, err := sqliteDriver()
	if err != nil {
		return nil, err
	}
	d := dsn{path: filepath.Join(dir, ownerFile)}
	uri := sqliteURI(d, o)
	db := sql.OpenDB(sqliteConnector{driver: driver, dsn: uri})
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN EXCLUSIVE"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// youth is how long a folder without an owner's file may be one that is just being made.
const youth = time.Minute

// folderName is the form of a scratch folder's name, as os.MkdirTemp makes it.
var folderName = regexp.MustCompile("^" + ScratchPrefix + "[0-9]+$")

// sweepFolders removes the scratch folders of processes that are gone. What cannot be removed belongs to
// somebody else.
func sweepFolders(parent string) {
	dirs, err := filepath.Glob(filepath.Join(parent, ScratchPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !folderName.MatchString(filepath.Base(dir)) || !info.IsDir() || !mayOwn(info) {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, ownerFile)); err != nil {
			if errors.Is(err, fs.ErrNotExist) && time.Since(info.ModTime()) > youth {
				_ = os.Remove(dir) // empty, or not ours
			}
			continue
		}
		owner, err := lockFolder(dir, Options{LockTimeout: lockWait, MustExist: true}) // a file made anew would keep the folder from being removed
		if err != nil {
			continue // its owner lives
		}
		stopLeftServer(dir)
		_ = removeFolder(dir, owner) // who has just made the folder sees that it is gone
	}
}

func (f *scratchFolder) file(name string) string { return filepath.Join(f.dir, name+".db") }

func (f *scratchFolder) create(_ context.Context, name, from string) error {
	if from == "" {
		return nil // SQLite makes the file
	}
	// The journal goes along: a database that was left in WAL mode keeps part of itself there.
	for _, suffix := range []string{"", "-wal"} {
		err := copyFile(f.file(from)+suffix, f.file(name)+suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

func (f *scratchFolder) drop(_ context.Context, name string) error {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(f.file(name) + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (f *scratchFolder) dsn(name string) string {
	return "sqlite:" + f.file(name) + "?_pragma=synchronous(off)" + f.params
}

// removeFolder removes a folder whose lock is held, so that no sweep finds it without an owner while it goes.
func removeFolder(dir string, owner *sql.DB) error {
	removed := os.RemoveAll(dir)
	err := owner.Close()
	if removed != nil {
		removed = os.RemoveAll(dir) // systems that keep open files
	}
	return errors.Join(err, removed)
}

func (f *scratchFolder) close() error { return removeFolder(f.dir, f.owner) }
