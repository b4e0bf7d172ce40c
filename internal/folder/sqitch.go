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
	plan, deploy, revert           string
	reworkedDeploy, reworkedRevert string // of changes that were reworked since
	extension                      string
}

// change is a line of the plan.
type change struct {
	name string
	line int
	tags []string // that follow it, up to the next change
	// reworked are the tags that its scripts may be kept under, since the change was reworked; the likeliest first.
	reworked []string
}

// script gives a change's file in the folder of its deploy or its revert scripts. What was reworked stands beside the script
// of now, under the name of one of the tags in between: Sqitch takes the first that it finds.
func (r *reader) sqitchScript(c *change, dir, extension string) string {
	if len(c.reworked) == 0 {
		return path.Join(dir, c.name+"."+extension)
	}
	for _, tag := range c.reworked {
		file := path.Join(dir, c.name+"@"+tag+"."+extension)
		if _, err := fs.Stat(r.files, file); err == nil {
			return file
		}
	}
	return path.Join(dir, c.name+"@"+c.reworked[0]+"."+extension)
}

// sqitch lists the changes of a Sqitch project in the order of its plan: deploy is Up, revert is Down. The scripts
// are for the engine's own client, and begin their transactions themselves.
func (r *reader) sqitch() ([]*script, error) {
	conf, err := r.sqitchConf()
	if err != nil {
		return nil, err
	}
	if conf == nil {
		conf = &sqitchConfig{plan: planFile, deploy: "deploy", revert: "revert", reworkedDeploy: "deploy", reworkedRevert: "revert", extension: "sql"}
	}
	r.sqitchDirs = map[string]string{conf.deploy: conf.revert, conf.reworkedDeploy: conf.reworkedRevert}
	changes, err := r.sqitchPlan(conf.plan)
	if err != nil {
		return nil, err
	}
	var out []*script
	for i, c := range changes {
		deploy, revert := conf.deploy, conf.revert
		if len(c.reworked) > 0 {
			deploy, revert = conf.reworkedDeploy, conf.reworkedRevert
		}
		s := &script{client: true, bare: true, Migration: Migration{
			Version: int64(i + 1), Label: c.name, Name: gooseName(int64(i+1), "_"+c.name+".sql"),
			Up: r.sqitchScript(c, deploy, conf.extension), Down: r.sqitchScript(c, revert, conf.extension),
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
	for from, to := range r.sqitchDirs {
		if rest, ok := strings.CutPrefix(deploy, from+"/"); ok {
			return path.Join(to, rest)
		}
	}
	return deploy
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
		for _, section := range []string{`engine "` + values["core.engine"] + `"`, "core"} { // an engine's own folders come first
			if v := values[section+"."+key]; v != "" {
				return path.Clean(v)
			}
		}
		return initial
	}
	top := or("top_dir", ".")
	conf := &sqitchConfig{
		plan: or("plan_file", path.Join(top, planFile)), deploy: or("deploy_dir", path.Join(top, "deploy")),
		revert: or("revert_dir", path.Join(top, "revert")), extension: or("extension", "sql"),
	}
	reworked := or("reworked_dir", "")
	conf.reworkedDeploy, conf.reworkedRevert = conf.deploy, conf.revert
	if reworked != "" {
		conf.reworkedDeploy, conf.reworkedRevert = path.Join(reworked, "deploy"), path.Join(reworked, "revert")
	}
	conf.reworkedDeploy, conf.reworkedRevert = or("reworked_deploy_dir", conf.reworkedDeploy), or("reworked_revert_dir", conf.reworkedRevert)
	if _, err := fs.Stat(r.files, conf.plan); err != nil {
		return nil, nil //nolint:nilerr // the configuration of another project, or none of this folder's business
	}
	return conf, nil
}

// sqitchPlan reads the changes of a plan. A change that stands there again was reworked since one of the tags in between.
func (r *reader) sqitchPlan(name string) ([]*change, error) {
	text, err := r.read(name)
	if err != nil {
		return nil, err
	}
	var out []*change
	at := map[string]int{} // where in out the newest of a name is
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
			if n := len(out); n > 0 {
				out[n-1].tags = append(out[n-1].tags, tag[0])
			}
			continue
		}
		words := strings.Fields(strings.TrimPrefix(strings.TrimPrefix(l, "+"), "-"))
		if len(words) == 0 || strings.HasPrefix(l, "-") {
			return nil, r.wrong(name, i+1, 1, fmt.Sprintf("%q is no change that is deployed", l), "Sqitch has no such lines any more")
		}
		c := &change{name: words[0], line: i + 1}
		if first, ok := at[c.name]; ok {
			for j := len(out) - 1; j >= first; j-- {
				out[first].reworked = append(out[first].reworked, out[j].tags...)
			}
			if len(out[first].reworked) == 0 {
				return nil, r.wrong(name, i+1, 1, fmt.Sprintf("change %s is there twice, with no tag between", c.name), "sqitch rework wants a tag first")
			}
		}
		at[c.name] = len(out)
		out = append(out, c)
	}
	return out, nil
}
