package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/folder"
)

// openFolder reads a folder of migrations.
func (s *session) openFolder(dir string, d effects.Dialect) (*folder.Folder, error) {
	if err := checkSizes(dir); err != nil {
		return nil, err
	}
	f, err := folder.Open(os.DirFS(dir), dir, s.Source, d)
	if err != nil {
		return nil, err
	}
	for _, l := range f.Left {
		s.out.note("not read: %s", l)
	}
	return f, nil
}

// filesOf gives the files, from the folder, of the migration that goose knows by a name.
func filesOf(files fs.FS, name string) []string {
	if f, ok := files.(*folder.Folder); ok {
		return f.Files(name)
	}
	return []string{name}
}

// folderOf is the folder of migrations that a file belongs to: most often the one it lies in.
func (s *session) folderOf(file string) string {
	dir := filepath.Dir(file)
	if s.Source == folder.Auto || s.Source == folder.Sqitch {
		// The scripts of Sqitch lie in folders below the plan.
		for up, levels := dir, 0; levels < 5; up, levels = filepath.Join(up, ".."), levels+1 {
			for _, name := range []string{"sqitch.plan", "sqitch.conf"} {
				if _, err := os.Stat(filepath.Join(up, name)); err == nil {
					return filepath.Clean(up)
				}
			}
		}
	}
	if s.Source == folder.Flyway || s.Source == folder.Auto && folder.IsFlyway(file) {
		if rel, err := filepath.Rel(s.Dir, file); err == nil && filepath.IsLocal(rel) {
			return filepath.Clean(s.Dir)
		}
	}
	return dir
}

// explainFolder tells what is wrong with a folder of migrations.
func explainFolder(err error) *problem {
	var file *folder.FileError
	var unknown *folder.UnknownError
	var twice *folder.TwiceError
	switch {
	case errors.As(err, &file):
		return (&problem{Message: oneLine(file.Message), Hint: orElse(file.Hint, "correct the file"), Exit: exitFailed}).at(file.File, file.Line, file.Column)
	case errors.As(err, &unknown):
		return &problem{Message: oneLine(unknown.Message), Hint: unknown.Hint, Exit: exitUsage}
	case errors.As(err, &twice):
		return &problem{Message: oneLine(twice.Error()), Hint: "give one of them a version of its own", Exit: exitFailed}
	}
	return nil
}

// anyMigration tells whether a folder holds a file that is called as a migration is.
func anyMigration(files fs.FS) bool {
	names, err := fs.Glob(files, "[0-9]*_*.*")
	return err != nil || len(names) > 0
}
