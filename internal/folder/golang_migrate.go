package folder

import (
	"strconv"
)

// golangMigrate lists the migrations of a folder of golang-migrate: N_name.up.sql and N_name.down.sql, each of
// which goes to the server as it is.
func (r *reader) golangMigrate() ([]*script, error) {
	names, err := r.list(".")
	if err != nil {
		return nil, err
	}
	var out []*script
	byVersion := map[int64]*script{}
	for _, name := range names {
		m := migratePat.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		v, err := r.number(name, m[1])
		if err != nil {
			return nil, err
		}
		s := byVersion[v]
		if s == nil {
			s = &script{Migration: Migration{Version: v, Name: m[1] + "_" + m[2] + ".sql", Label: m[1]}}
			byVersion[v] = s
			out = append(out, s)
		}
		file, read := &s.Up, &s.up
		if m[3] == "down" {
			file, read = &s.Down, &s.down
		}
		if *file != "" {
			return nil, &TwiceError{Version: v, Label: m[1], Files: []string{*file, name}}
		}
		*file = name
		*read = func() (*piece, error) { return r.whole(name) }
	}
	return r.fromOne(out), nil
}

// whole reads a file that is one direction of a migration.
func (r *reader) whole(name string) (*piece, error) {
	text, err := r.read(name)
	if err != nil {
		return nil, err
	}
	p := &piece{file: name, line: 1, text: text}
	heading(p)
	return p, nil
}

// number reads a version.
func (r *reader) number(file, digits string) (int64, error) {
	v, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, r.wrong(file, 1, 1, "version "+digits+" is larger than a version table can hold", "number it by the time, YYYYMMDDhhmmss")
	}
	return v, nil
}

// fromOne numbers the migrations of a folder that counts from 0 one up: goose counts from 1.
func (r *reader) fromOne(scripts []*script) []*script {
	zero := false
	for _, s := range scripts {
		zero = zero || s.Version == 0
	}
	if !zero {
		return scripts
	}
	for _, s := range scripts {
		s.Version++
		s.Name = gooseName(s.Version, s.Name)
	}
	return scripts
}
