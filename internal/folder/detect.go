package folder

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// sign is why a file is taken for one of a tool's.
type sign struct {
	format Format
	file   string
}

// detect finds out whose folder it is, by the names of the files and, where those do not tell, by what stands in
// them. What two tools may have written is nobody's: a guess would run the wrong half of it. For goose, whose files
// have all been read by then, the folder comes back as read.
func detect(files fs.FS, dir string) (Format, fs.FS, error) {
	r := &reader{files: files, dir: dir}
	if _, err := fs.Stat(files, planFile); err == nil {
		return Sqitch, files, nil
	}
	if conf, err := r.sqitchConf(); err == nil && conf != nil {
		return Sqitch, files, nil
	}
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return "", nil, fmt.Errorf("read %s: %w", r.path("."), reason(err))
	}
	var signs []sign
	read := newShelf(r, func(name string) ([]byte, error) { return fs.ReadFile(files, name) })
	for _, e := range entries {
		if r.isDir(e) {
			if numbered.MatchString(e.Name()) {
				return "", nil, &FileError{File: r.path(e.Name()), Line: 1, Column: 1, Message: "it is a folder, and has the name of a migration", Hint: "rename it, or put the file in its place"}
			}
			continue
		}
		f, err := r.signOf(e, read)
		if err != nil {
			return "", nil, err
		}
		if f != "" {
			signs = append(signs, sign{f, e.Name()})
		}
	}
	if len(signs) == 0 {
		if below := r.flywayBelow(); below {
			return Flyway, files, nil
		}
		return Goose, read, nil
	}
	first := signs[0]
	if i := slices.IndexFunc(signs, func(s sign) bool { return s.format != first.format }); i > 0 {
		other := signs[i]
		return "", nil, &UnknownError{
			Message: fmt.Sprintf("%s holds files of two tools: %s is for %s, %s for %s", r.path("."), first.file, first.format, other.file, other.format),
			Hint:    fmt.Sprintf("name the one that runs them: --source %s, or --source %s", first.format, other.format),
		}
	}
	if first.format == Goose {
		return Goose, read, nil
	}
	return first.format, files, nil
}

var (
	numbered   = regexp.MustCompile(`^[0-9]+.*\.sql$`)
	dbmateUp   = regexp.MustCompile(`(?m)^--\s*migrate:up(\s*$|\s+\S+)`)
	gooseMark  = regexp.MustCompile(`(?mi)^--\s*\+goose\s+(Up|Down|NO|StatementBegin|ENVSUB)\b`)
	gooseGo    = regexp.MustCompile(`^[0-9]+_.*\.go$`)
	migratePat = regexp.MustCompile(`^([0-9]+)_(.*)\.(down|up)\.([^.]+)$`)
)

// signOf says whose file it is; "" for a file that no tool reads, or that says nothing either way. What it reads it
// keeps.
func (r *reader) signOf(e fs.DirEntry, read *shelf) (Format, error) {
	name := e.Name()
	switch {
	case gooseGo.MatchString(name) && !strings.HasSuffix(name, "_test.go"):
		read.put(name, nil)
		return Goose, nil
	case flywayName.MatchString(name):
		return Flyway, nil
	case !numbered.MatchString(name) && !migratePat.MatchString(name):
		return "", nil
	}
	if err := r.readable(e); err != nil {
		return "", err
	}
	b, err := fs.ReadFile(r.files, name)
	if err != nil {
		return "", unreadable(r.path(name), err)
	}
	read.put(name, b)
	text := string(b)
	switch {
	case strings.Contains(text, "+goose") && gooseMark.MatchString(text):
		return Goose, nil
	case strings.Contains(text, "migrate:up") && dbmateUp.MatchString(text):
		return Dbmate, nil
	case migratePat.MatchString(name):
		return GolangMigrate, nil
	}
	return "", nil
}

// readable refuses what is too large, and what whoever opens it would wait for.
func (r *reader) readable(e fs.DirEntry) error {
	if info, err := e.Info(); err == nil && info.Size() <= Largest && info.Mode().IsRegular() {
		return nil
	}
	_, err := r.read(e.Name())
	return err
}

// sound looks at the files of a folder of goose that goose itself will read.
func (r *reader) sound() error {
	entries, err := fs.ReadDir(r.files, ".")
	if err != nil {
		return nil //nolint:nilerr // goose says so in its own way
	}
	for _, e := range entries {
		if numbered.MatchString(e.Name()) && !r.isDir(e) {
			if err := r.readable(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// isDir tells whether an entry is a folder, or a link to one.
func (r *reader) isDir(e fs.DirEntry) bool {
	if e.Type()&fs.ModeSymlink == 0 {
		return e.IsDir()
	}
	info, err := fs.Stat(r.files, e.Name())
	return err == nil && info.IsDir()
}

// flywayBelow: Flyway looks into the folders within, the others do not.
func (r *reader) flywayBelow() bool {
	found := false
	_ = fs.WalkDir(r.files, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || found {
			return fs.SkipAll
		}
		found = !e.IsDir() && flywayName.MatchString(path.Base(p))
		return nil
	})
	return found
}
