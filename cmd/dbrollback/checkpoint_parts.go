package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/checkpoint"
)

// part makes the way back of a component.
func (r *restoring) part(ctx context.Context, name string) (part, error) {
	switch name {
	case checkpoint.Database:
		return &databasePart{r: r}, nil
	case checkpoint.Configuration:
		p := &configurationPart{r: r}
		return p, p.open(ctx)
	case checkpoint.Flags:
		if r.c.flags.file == nil {
			return &flagCommandPart{r: r}, nil
		}
		return &flagFilePart{r: r}, nil
	}
	if r.c.code.redeploy {
		return &redeployPart{r: r}, nil
	}
	return &revertPart{r: r}, nil
}

// configurationPart brings files back.
type configurationPart struct {
	r    *restoring
	want checkpoint.Wanted
	temp string // copies out of git
}

// open finds out what is wanted: the copies of the checkpoint, or what a commit has.
func (p *configurationPart) open(ctx context.Context) error {
	r, c := p.r, p.r.c.configuration
	part := r.man.Configuration
	p.want = checkpoint.Wanted{Paths: part.Paths, Entries: part.Entries, Folder: filepath.Join(part.Location, r.man.ID)}
	if c.overlay && r.man.Before == "" {
		p.want.Extra = func(string) bool { return false }
	}
	if !c.git || r.man.Before != "" { // what a restore had overwritten comes back from its copies, whichever way that restore went
		text, err := checkpoint.ReadManifest(part.Location, r.man.ID)
		if err != nil {
			return err
		}
		if text != nil && checkpoint.HashOf(text) != r.hash {
			return &refusedError{message: "the manifest beside the copies, " + filepath.Join(p.want.Folder, "manifest.json") + ", is not the one that was recorded", hint: "somebody wrote into it; take it from a backup of that folder"}
		}
		return checkpoint.CheckCopies(p.want.Folder, part.Entries)
	}
	return p.openGit(ctx, c)
}

func (p *configurationPart) openGit(ctx context.Context, c *configurationStrategy) error {
	r := p.r
	repo, err := checkpoint.OpenRepo(ctx, r.c.base)
	if err != nil {
		return err
	}
	if r.progress.Ref == "" {
		ref := c.ref
		if ref == "" && r.man.Code != nil {
			ref = r.man.Code.Commit
		}
		if ref == "" {
			return &usageError{message: r.c.path + ": git_checkout wants ref, or an application_code that remembers the commit", hint: "ref: v2.4.0, a commit, or HEAD~1"}
		}
		if r.progress.Ref, err = repo.Resolve(ctx, ref); err != nil {
			return err
		}
	}
	if p.temp, err = os.MkdirTemp("", "dbrollback-git-"); err != nil {
		return err
	}
	tracked, err := repo.Tracked(ctx, c.tree)
	if err != nil {
		return err
	}
	p.want.Folder, p.want.Loose = p.temp, true
	p.want.Extra = func(path string) bool { return !c.overlay && tracked[path] }
	p.want.Paths = nil
	for _, named := range c.tree.Paths {
		p.want.Paths = append(p.want.Paths, checkpoint.Named{Path: named})
	}
	p.want.Entries, err = repo.Blobs(ctx, r.progress.Ref, c.tree, p.temp)
	return err
}

func (p *configurationPart) close() {
	if p.temp != "" {
		_ = os.RemoveAll(p.temp) // only copies of what git has
	}
}

func (p *configurationPart) plan(ctx context.Context) ([]partStep, error) {
	changes, err := p.r.c.configuration.tree.Plan(ctx, p.want)
	var out []partStep
	for _, c := range changes {
		out = append(out, partStep{c.Action, c.Path, c.Reason})
	}
	return out, err
}

func (p *configurationPart) apply(ctx context.Context) error {
	tree := p.r.c.configuration.tree
	changes, err := tree.Plan(ctx, p.want)
	if err != nil {
		return err
	}
	return tree.Apply(ctx, p.want, changes)
}

func (p *configurationPart) verify(ctx context.Context) error {
	changes, err := p.r.c.configuration.tree.Plan(ctx, p.want)
	if err == nil && len(changes) > 0 {
		err = fmt.Errorf("%s: %s", changes[0].Path, changes[0].Reason)
	}
	return err
}

// flagFilePart switches flags off in their file, or back when a restore had switched them off.
type flagFilePart struct{ r *restoring }

// wanted gives the flags that are there, and what they are to be.
func (p *flagFilePart) wanted(strict bool) (now, want []checkpoint.Flag, err error) {
	f := p.r.c.flags
	if now, err = f.file.Read(f.names, false); err != nil {
		return nil, nil, err
	}
	if len(now) == 0 && strict { // a flag that is not there is not on; but the file must be
		if _, err := os.Stat(f.file.Abs()); err != nil {
			_, err = f.file.Read(f.names, true)
			return nil, nil, err
		}
	}
	if p.r.man.Before == "" {
		return now, checkpoint.Off(now), nil
	}
	for _, n := range now {
		i := slices.IndexFunc(p.r.man.Flags.Values, func(v checkpoint.Flag) bool { return v.Name == n.Name })
		if i >= 0 {
			n = p.r.man.Flags.Values[i]
		}
		want = append(want, n)
	}
	return now, want, nil
}

func (p *flagFilePart) plan(context.Context) ([]partStep, error) {
	now, want, err := p.wanted(true)
	var out []partStep
	for i, w := range want {
		if now[i].Value == w.Value {
			continue
		}
		out = append(out, partStep{"set", w.Name + " to " + w.Value, joined("it is "+now[i].Value, p.r.reason(), p.r.ticket())})
	}
	return out, err
}

// joined joins what there is to say.
func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; ")
}

func (p *flagFilePart) apply(context.Context) error {
	now, want, err := p.wanted(false)
	if err != nil || slices.Equal(now, want) {
		return err
	}
	return p.r.c.flags.file.Write(want)
}

func (p *flagFilePart) verify(context.Context) error {
	now, want, err := p.wanted(false)
	for i, w := range want {
		if err == nil && now[i].Value != w.Value {
			err = fmt.Errorf("flag %s is %s", w.Name, now[i].Value)
		}
	}
	return err
}

// flagCommandPart switches flags off by a command.
type flagCommandPart struct {
	r    *restoring
	done []string
}

func (p *flagCommandPart) words(flag string) ([]string, error) {
	v := p.r.values()
	v.Flag, v.Value = flag, "off"
	return p.r.c.flags.command.Words(v)
}

func (p *flagCommandPart) plan(context.Context) ([]partStep, error) {
	if p.r.man.Before != "" {
		return nil, nil // nothing says what they were
	}
	var out []partStep
	for _, n := range p.r.c.flags.names {
		words, err := p.words(n)
		if err != nil {
			return nil, err
		}
		out = append(out, partStep{"switch off", n, strings.Join(words, " ")})
	}
	return out, nil
}

func (p *flagCommandPart) apply(ctx context.Context) error {
	for _, n := range p.r.c.flags.names {
		words, err := p.words(n)
		if err != nil {
			return err
		}
		if err := checkpoint.Run(ctx, p.r.c.base, words, p.r.s.Err); err != nil {
			return err
		}
		p.done = append(p.done, n)
	}
	return nil
}

// verify trusts the command's exit code: nothing else is known of such flags.
func (p *flagCommandPart) verify(context.Context) error { return nil }

func (p *flagCommandPart) notUndone() []string {
	if p.r.man.Before != "" {
		return []string{"feature flags: what they were is not known, because a command switches them"}
	}
	return nil
}

// values are what commands may contain.
func (r *restoring) values() checkpoint.Values {
	v := checkpoint.Values{Release: r.man.Release, Environment: r.man.Environment, Reason: r.reason(), Ticket: r.ticket()}
	if r.man.Code != nil {
		v.Version, v.Commit = r.man.Code.Version, r.man.Code.Commit
	}
	return v
}

// redeployPart runs the user's command with the earlier version.
type redeployPart struct{ r *restoring }

func (p *redeployPart) plan(context.Context) ([]partStep, error) {
	if p.unknown() {
		return nil, nil
	}
	words, err := p.r.c.code.deploy.Words(p.r.values())
	if err != nil {
		return nil, err
	}
	if p.r.man.Code.Version == "" {
		return nil, &refusedError{message: fmt.Sprintf("checkpoint %s does not know which version was deployed", p.r.man.ID), hint: "leave the code out: --component configuration,database"}
	}
	return []partStep{{"run", strings.Join(words, " "), "version " + p.r.man.Code.Version}}, nil
}

// unknown tells whether this takes a restore back ahead of which nobody knew what was deployed.
func (p *redeployPart) unknown() bool { return p.r.man.Before != "" && p.r.man.Code.Version == "" }

func (p *redeployPart) notUndone() []string {
	if p.unknown() {
		return []string{"application code: which version ran is not known; deploy it by hand"}
	}
	return nil
}

func (p *redeployPart) apply(ctx context.Context) error {
	words, err := p.r.c.code.deploy.Words(p.r.values())
	if err != nil {
		return err
	}
	return checkpoint.Run(ctx, p.r.c.base, words, p.r.s.Err)
}

// verify trusts the command's exit code, as every deploy script is trusted.
func (p *redeployPart) verify(context.Context) error { return nil }
