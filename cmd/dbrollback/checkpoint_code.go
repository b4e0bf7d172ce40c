package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/checkpoint"
)

// flagsWithCode tells whether the file of the flags lies in the working tree whose commits are reverted.
func (c *rollbackConfig) flagsWithCode() bool {
	repo, err := checkpoint.OpenRepo(context.Background(), c.code.repository)
	if err != nil {
		return false
	}
	_, ok := repo.Rel(c.flags.file.Abs())
	return ok
}

// revertPart makes commits that undo those since the checkpoint.
type revertPart struct {
	r       *restoring
	repo    *checkpoint.Repo
	head    string
	commits []checkpoint.Commit
	reset   []string // files of the configuration that stand in the way; they are in the safety checkpoint, and come back after this
}

func (p *revertPart) plan(ctx context.Context) (steps []partStep, err error) {
	if p.r.man.Code.Commit == "" {
		return nil, &refusedError{message: fmt.Sprintf("checkpoint %s knows no commit: it was taken outside a git repository", p.r.man.ID), hint: "leave the code out: --component configuration,database"}
	}
	if p.repo, err = checkpoint.OpenRepo(ctx, p.r.c.code.repository); err != nil {
		return nil, err
	}
	if p.head, err = p.repo.Head(ctx); err != nil {
		return nil, err
	}
	if p.commits, err = p.wanted(ctx); err != nil || len(p.commits) == 0 {
		return nil, err
	}
	if err := p.clean(ctx); err != nil {
		return nil, err
	}
	for _, c := range p.commits {
		steps = append(steps, partStep{"revert", fmt.Sprintf("%.12s", c.Hash), c.Subject})
	}
	return steps, nil
}

// wanted are the commits to revert: those since the checkpoint that are not undone yet, or those of --commit that have no revert.
func (p *revertPart) wanted(ctx context.Context) ([]checkpoint.Commit, error) {
	at := p.r.man.Code.Commit
	since, err := p.repo.Since(ctx, at)
	if err != nil {
		return nil, err
	}
	if len(p.r.o.Commits) == 0 {
		return p.repo.Needed(ctx, at, since)
	}
	done, err := p.repo.Reverted(ctx, at)
	if err != nil {
		return nil, err
	}
	if err := p.resolve(ctx); err != nil {
		return nil, err
	}
	chosen := map[string]bool{}
	for i, full := range p.r.progress.Commits {
		name := p.r.o.Commits[i]
		if !slices.ContainsFunc(since, func(c checkpoint.Commit) bool { return c.Hash == full }) {
			return nil, &refusedError{message: fmt.Sprintf("commit %s is not one of those since the checkpoint", name), hint: fmt.Sprintf("git log --first-parent %.12s..HEAD lists them", at)}
		}
		chosen[full] = !done[full]
	}
	return slices.DeleteFunc(since, func(c checkpoint.Commit) bool { return !chosen[c.Hash] }), nil
}

// resolve finds out which commits --commit means, once.
func (p *revertPart) resolve(ctx context.Context) error {
	if slices.Equal(p.r.progress.Named, p.r.o.Commits) {
		return nil
	}
	var all []string
	for _, name := range p.r.o.Commits {
		full, err := p.repo.Resolve(ctx, name)
		if err != nil {
			return err
		}
		all = append(all, full)
	}
	p.r.progress.Named, p.r.progress.Commits = p.r.o.Commits, all
	return nil
}

// clean refuses a tree with changes of somebody's. Files that the restore itself looks after may differ; where the reverts touch them,
// those of the configuration give way, when that component comes back after.
func (p *revertPart) clean(ctx context.Context) error {
	dirty, err := p.repo.Dirty(ctx)
	if err != nil || len(dirty) == 0 {
		return err
	}
	if p.r.progress.Head == p.head { // cut off while files were written: these are ours
		torn, err := p.repo.Torn(ctx, p.r.man.Code.Commit, dirty)
		if err != nil {
			return err
		}
		if torn {
			p.reset = dirty
			return nil
		}
	}
	touched := map[string]bool{}
	for _, c := range p.commits {
		files, err := p.repo.Changed(ctx, c.Hash+"^", c.Hash)
		if err != nil {
			return err
		}
		for _, f := range files {
			touched[f] = true
		}
	}
	var others []string
	for _, f := range dirty {
		abs := filepath.Join(p.repo.Dir, filepath.FromSlash(f))
		files, flags := p.r.c.configuration, p.r.c.flags
		mine := files != nil && files.tree.Has(abs)
		switch {
		case mine && touched[f] && slices.Contains(p.r.order, checkpoint.Configuration):
			p.reset = append(p.reset, f)
		case (mine || flags != nil && flags.file != nil && flags.file.Abs() == abs) && !touched[f]:
		default:
			others = append(others, f)
		}
	}
	if len(others) == 0 {
		return nil
	}
	return &refusedError{message: fmt.Sprintf("the working tree %s has changes that are not committed: %s; nothing was changed", p.repo.Dir, firstWords(strings.Join(others, ", "), 200)),
		details: others, hint: "commit them, or put them aside with git stash"}
}

func (p *revertPart) apply(ctx context.Context) error {
	// What was planned must still be so.
	before := p.head
	if _, err := p.plan(ctx); err != nil {
		return err
	}
	if p.head != before {
		return &refusedError{message: fmt.Sprintf("somebody checked out %.12s meanwhile", p.head), hint: "run it again"}
	}
	p.r.progress.Head = p.head
	if err := p.r.mark(ctx); err != nil {
		return err
	}
	if err := p.repo.Reset(ctx, p.reset); err != nil {
		return err
	}
	return p.repo.Revert(ctx, p.head, p.commits)
}

func (p *revertPart) verify(ctx context.Context) error {
	head, err := p.repo.Head(ctx)
	if err != nil {
		return err
	}
	if len(p.r.o.Commits) > 0 {
		p.head = head
		left, err := p.wanted(ctx)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("commit %.12s has no revert", left[0].Hash)
		}
		return err
	}
	same, err := p.repo.Same(ctx, p.r.man.Code.Commit, head)
	if err == nil && !same {
		err = errors.New("the files of the commits differ")
	}
	return err
}
