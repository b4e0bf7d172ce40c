package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// planFile is where Sqitch keeps the order of its changes, unless sqitch.conf says otherwise.
const planFile = "sqitch.plan"

// sqitchConfig is what sqitch.conf says about where things are; all paths from the folder.
type sqitchConfig struct {
	plan, deploy, revert string
	extension            string
}

// change is a line of the plan.
type change struct {
	name string
	line int
	tag  string // the tag under which its scripts are kept, since the change was reworked
}

// sqitch lists the changes of a Sqitch project in the order of its plan: deploy is Up, revert is Down. The scripts
// are for the engine's own client, and begin their transactions themselves.
func (r *reader) sqitch() ([]*script, error) {
	conf, err := r.sqitchConf()
	if err != nil {
		return nil, err
	}
	if conf == nil {
		conf = &sqitchConfig{plan: planFile, deploy: "deploy", revert: "revert", extension: "sql"}
	}
	r.sqitchDirs = [2]string{conf.deploy, conf.revert}
	changes, err := r.sqitchPlan(conf.plan)
	if err != nil {
		return nil, err
	}
	var out []*script
	for i, c := range changes {
		file := c.name + "." + conf.extension
		if c.tag != "" {
			file = c.name + "@" + c.tag + "." + conf.extension
		}
		s := &script{client: true, bare: true, Migration: Migration{
			Version: int64(i + 1), Label: c.name, Name: gooseName(int64(i+1), "_"+c.name+".sql"),
			Up: path.Join(conf.deploy, file), Down: path.Join(conf.revert, file),
		}}
		up, down := s.Up, s.Down
		s.up = func() (*piece, error) {
			p, err := r.whole(up)
			if errors.Is(err, fs.ErrNotExist) {
				return nil, r.wrong(conf.plan, c.line, 1, fmt.Sprintf("change %s has no script %s", c.name, r.path(up)), "is this the whole project?")
			}
			return p, err
		}
		if _, err := fs.Stat(r.files, down); errors.Is(err, fs.ErrNotExist) {
			s.Down = ""
		} else {
			s.down = func() (*piece, error) { return r.whole(down) }
		}
		out = append(out, s)
	}
	return out, nil
}

// revert is the script that takes back what a deploy script does.
func (r *reader) revert(deploy string) string {
	return r.sqitchDirs[1] + strings.TrimPrefix(deploy, r.sqitchDirs[0])
}

// sqitchConf reads sqitch.conf, when there is one that says where the plan is and it is there.
func (r *reader) sqitchConf() (*sqitchConfig, error) {
	b, err := fs.ReadFile(r.files, "sqitch.conf")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", r.path("sqitch.conf"), reason(err))
	}
	values := map[string]string{}
	section := ""
	for _, l := range strings.Split(string(b), "\n") {
		l = strings.TrimSpace(l)
		if name, ok := strings.CutPrefix(l, "["); ok {
			name, _, _ = strings.Cut(name, "]")
			section = strings.ToLower(strings.TrimSpace(name))
			continue
		}
		key, value, ok := strings.Cut(l, "=")
		if ok && !strings.HasPrefix(l, "#") && !strings.HasPrefix(l, ";") {
			values[section+"."+strings.ToLower(strings.TrimSpace(key))] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	or := func(key, initial string) string {
		if v := values["core."+key]; v != "" {
			return path.Clean(v)
		}
		return initial
	}
	top := or("top_dir", ".")
	conf := &sqitchConfig{
		plan: or("plan_file", path.Join(top, planFile)), deploy: or("deploy_dir", path.Join(top, "deploy")),
		revert: or("revert_dir", path.Join(top, "revert")), extension: or("extension", "sql"),
	}
	if _, err := fs.Stat(r.files, conf.plan); err != nil {
		return nil, nil //nolint:nilerr // the configuration of another project, or none of this folder's business
	}
	return conf, nil
}

// sqitchPlan reads the changes of a plan. A change that stands there again was reworked: its earlier scripts are kept
// under the first tag that follows it.
func (r *reader) sqitchPlan(name string) ([]*change, error) {
	text, err := r.read(name)
	if err != nil {
		return nil, err
	}
	var out []*change
	untagged := map[string]*change{} // since the last tag
	current := map[string]*change{}  // by name, the newest
	tagOf := map[*change]string{}
	for i, l := range strings.Split(text, "\n") {
		l, _, _ = strings.Cut(l, "#")
		l = strings.TrimSpace(l)
		switch {
		case l == "", strings.HasPrefix(l, "%"):
			if name, ok := strings.CutPrefix(l, "%project="); ok {
				r.project = strings.TrimSpace(name)
			}
			continue
		case strings.HasPrefix(l, "@"):
			tag := strings.Fields(l[1:])
			if len(tag) == 0 {
				return nil, r.wrong(name, i+1, 1, "a tag without a name", "")
			}
			for _, c := range untagged {
				tagOf[c] = tag[0]
			}
			clear(untagged)
			continue
		}
		words := strings.Fields(strings.TrimPrefix(strings.TrimPrefix(l, "+"), "-"))
		if len(words) == 0 || strings.HasPrefix(l, "-") {
			return nil, r.wrong(name, i+1, 1, fmt.Sprintf("%q is no change that is deployed", l), "Sqitch has no such lines any more")
		}
		c := &change{name: words[0], line: i + 1}
		if before := current[c.name]; before != nil {
			if before.tag = tagOf[before]; before.tag == "" {
				return nil, r.wrong(name, i+1, 1, fmt.Sprintf("change %s is there twice, with no tag between", c.name), "sqitch rework wants a tag first")
			}
		}
		current[c.name], untagged[c.name] = c, c
		out = append(out, c)
	}
	return out, nil
}
