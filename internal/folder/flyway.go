package folder

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// flywayName: a prefix, a version whose parts are set off by dots or underscores, two underscores, a description.
var flywayName = regexp.MustCompile(`^([VUB])([0-9]+(?:[._][0-9]+)*)__(.*)\.sql$|^(R)__(.*)\.sql$`)

// flywayCallback: an event, and perhaps a description.
var flywayCallback = regexp.MustCompile(`^((before|after)(Each)?(Migrate|Undo|Validate|Baseline|Repair|Info|Clean|Version|Repeatables|Connect|CreateSchema|Deploy|Check)[A-Za-z]*|createSchema)(__.*)?\.sql$`)

// IsFlyway says whether a path is named like a migration of Flyway.
func IsFlyway(file string) bool { return flywayName.MatchString(path.Base(filepath.ToSlash(file))) }

// flyway lists the versioned migrations of a folder of Flyway, and of the folders within: V1_2__x.sql with
// U1_2__x.sql, its undo.
func (r *reader) flyway() ([]*script, error) {
	r.flywayValues = map[string]string{}
	names, err := r.flywayFiles()
	if err != nil {
		return nil, err
	}
	r.flywayConf()
	byVersion := map[string]*script{}
	var out []*script
	var undos []string
	for _, name := range names {
		m := flywayName.FindStringSubmatch(path.Base(name))
		switch {
		case m == nil:
			if flywayCallback.MatchString(path.Base(name)) {
				r.left = append(r.left, r.path(name)+": a callback, which Flyway runs before or after the others: goose has no such files")
			}
			continue
		case m[4] == "R":
			r.left = append(r.left, r.path(name)+": repeatable, run again whenever it changes: goose has no such migrations")
			continue
		case m[1] == "B":
			r.left = append(r.left, r.path(name)+": a baseline, which stands for the versions before it in new databases")
			continue
		case m[1] == "U":
			undos = append(undos, name)
			continue
		}
		label := flywayLabel(m[2])
		if other := byVersion[label]; other != nil {
			return nil, &TwiceError{Label: label, Files: []string{other.Up, name}}
		}
		s := &script{Migration: Migration{Label: label, Up: name, Name: m[3]}}
		s.up = func() (*piece, error) { return r.flywayScript(name) }
		byVersion[label] = s
		out = append(out, s)
	}
	for _, name := range undos {
		m := flywayName.FindStringSubmatch(path.Base(name))
		label := flywayLabel(m[2])
		s := byVersion[label]
		switch {
		case s == nil:
			r.left = append(r.left, fmt.Sprintf("%s: there is no version %s to undo", r.path(name), label))
			continue
		case s.Down != "":
			return nil, &TwiceError{Label: label, Files: []string{s.Down, name}}
		}
		s.Down = name
		s.down = func() (*piece, error) { return r.flywayScript(name) }
	}
	return out, r.flywayNumbers(out)
}

// flywayFiles lists all files, those in folders included, sorted.
func (r *reader) flywayFiles() ([]string, error) {
	var out []string
	err := fs.WalkDir(r.files, ".", func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			out = append(out, p)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", r.path("."), reason(err))
	}
	slices.Sort(out)
	return out, nil
}

// flywayLabel is a version as Flyway prints it; 1 and 1.0 and 01 are one version to it.
func flywayLabel(text string) string {
	parts := strings.FieldsFunc(text, func(c rune) bool { return c == '.' || c == '_' })
	for i, p := range parts {
		if parts[i] = strings.TrimLeft(p, "0"); parts[i] == "" {
			parts[i] = "0"
		}
	}
	for len(parts) > 1 && parts[len(parts)-1] == "0" {
		parts = parts[:len(parts)-1]
	}
	return strings.Join(parts, ".")
}

// flywayParts is how many parts a version with dots may have, and flywayWidth how many digits each behind the first.
const (
	flywayParts = 4
	flywayWidth = 4
)

// flywayNumbers gives each version goose's one number. Plain numbers stay; once a version of the folder has dots, each
// part gets four digits, so that the order is Flyway's and a number does not depend on the other files.
func (r *reader) flywayNumbers(scripts []*script) error {
	dots := slices.ContainsFunc(scripts, func(s *script) bool { return strings.Contains(s.Label, ".") })
	for _, s := range scripts {
		digits := s.Label
		if dots {
			parts := strings.Split(s.Label, ".")
			for len(parts) < flywayParts {
				parts = append(parts, "0")
			}
			for i := 1; i < len(parts) && i < flywayParts; i++ {
				if len(parts[i]) > flywayWidth {
					return r.wrong(s.Up, 1, 1, fmt.Sprintf("version %s cannot be numbered: a part behind the first has more than %d digits", s.Label, flywayWidth), "number the folder by whole numbers or by the time")
				}
				parts[i] = strings.Repeat("0", flywayWidth-len(parts[i])) + parts[i]
			}
			if len(parts) > flywayParts {
				return r.wrong(s.Up, 1, 1, fmt.Sprintf("version %s cannot be numbered: it has more than %d parts", s.Label, flywayParts), "number the folder by whole numbers or by the time")
			}
			digits = strings.Join(parts, "")
		}
		v, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return r.wrong(s.Up, 1, 1, fmt.Sprintf("version %s cannot be numbered: it is larger than a version table can hold", s.Label), "number the folder by whole numbers or by the time")
		}
		s.Version = v
	}
	if r.fromOne(scripts); len(scripts) > 0 {
		for _, s := range scripts {
			s.Name = gooseName(s.Version, s.Name+".sql")
		}
	}
	return nil
}

// gooseName is a name that goose reads as a version.
func gooseName(version int64, name string) string {
	name = strings.TrimLeft(strings.TrimLeft(name, "0123456789"), "_")
	return fmt.Sprintf("%05d_%s", version, strings.ReplaceAll(name, "/", "_"))
}

// flywayScript reads one file, and the .conf file that may say how it runs.
func (r *reader) flywayScript(name string) (*piece, error) {
	p, err := r.whole(name)
	if err != nil {
		return nil, err
	}
	if r.dialect == effects.MySQL || r.dialect == effects.MariaDB {
		if p.text, err = effects.ForServer(r.dialect, p.text); err != nil {
			return nil, r.at(name, p.line, err)
		}
	}
	conf, err := fs.ReadFile(r.files, name+".conf")
	if err != nil {
		if r.flywayPlain {
			return p, nil
		}
		return p, r.placeholders(name, p) // most migrations have none
	}
	replaced := !r.flywayPlain
	for _, l := range strings.Split(string(conf), "\n") {
		key, value, _ := strings.Cut(l, "=")
		p.auto = p.auto || strings.TrimSpace(key) == "executeInTransaction" && strings.TrimSpace(value) == "false"
		replaced = replaced && !(strings.TrimSpace(key) == "placeholderReplacement" && strings.TrimSpace(value) == "false")
	}
	if !replaced {
		return p, nil
	}
	return p, r.placeholders(name, p)
}

// flywayConf reads the values of placeholders from a flyway.conf of the folder; there need be none.
func (r *reader) flywayConf() {
	conf, err := fs.ReadFile(r.files, "flyway.conf")
	if err != nil {
		return
	}
	for l := range strings.Lines(string(conf)) {
		key, value, _ := strings.Cut(strings.TrimSpace(l), "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if name, ok := strings.CutPrefix(key, "flyway.placeholders."); ok {
			r.flywayValues[strings.ToLower(name)] = value
		}
		r.flywayPlain = r.flywayPlain || key == "flyway.placeholderReplacement" && value == "false"
	}
}

// placeholders puts the values of flyway.conf in, and refuses a script with others, which stand in some other place of Flyway's
// configuration: as it is, the text means something else. What stands behind -- on a line is no statement.
func (r *reader) placeholders(name string, p *piece) error {
	p.text = flywayPlaceholder.ReplaceAllStringFunc(p.text, func(s string) string {
		if value, ok := r.flywayValues[strings.ToLower(s[2:len(s)-1])]; ok {
			return value
		}
		return s
	})
	for i, l := range strings.Split(p.text, "\n") {
		code, _, _ := strings.Cut(l, "--")
		if at := flywayPlaceholder.FindStringIndex(code); at != nil {
			return r.wrong(name, p.line+i, utf8.RuneCountInString(code[:at[0]])+1, "the placeholder "+code[at[0]:at[1]]+" has no value here: Flyway takes it from its configuration",
				"write it into flyway.conf beside the migrations (flyway.placeholders.NAME=value), or placeholderReplacement=false into "+path.Base(name)+".conf when it is none")
		}
	}
	return nil
}

var flywayPlaceholder = regexp.MustCompile(`\$\{[\w:.-]+\}`)
