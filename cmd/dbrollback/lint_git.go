package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// addedFiles are files of a folder, by their paths from it.
type addedFiles map[string]bool

// has says whether a file of a migration, which goose knows by a name, was added; nil is all of them.
func (a addedFiles) has(files fs.FS, name string) bool {
	if a == nil {
		return true
	}
	return slices.ContainsFunc(filesOf(files, name), func(file string) bool { return a[file] })
}

// addedSince gives the files of a folder that were added since a git ref: committed on this branch since it left
// that of the ref, staged, or not yet known to git.
func addedSince(ctx context.Context, dir, ref string) (addedFiles, error) {
	base, err := git(ctx, dir, "merge-base", "--", ref, "HEAD")
	if err != nil {
		return nil, noBase(ctx, dir, ref, err)
	}
	added, err := git(ctx, dir, "diff", "--name-only", "-z", "--no-renames", "--diff-filter=A", "--relative", strings.TrimSpace(base), "--", ".")
	if err != nil {
		return nil, gitError(ref, err)
	}
	untracked, err := git(ctx, dir, "ls-files", "--others", "--exclude-standard", "-z", "--", ".")
	if err != nil {
		return nil, gitError(ref, err)
	}
	out := addedFiles{}
	for _, name := range strings.Split(added+untracked, "\x00") {
		if name != "" {
			out[name] = true
		}
	}
	return out, nil
}

// noBase says why the commit at which the branch left that of a ref is not found.
func noBase(ctx context.Context, dir, ref string, err error) error {
	if shallow, serr := git(ctx, dir, "rev-parse", "--is-shallow-repository"); serr == nil && strings.TrimSpace(shallow) == "true" {
		return &usageError{message: fmt.Sprintf("--since %s: this clone is shallow and lacks the commit, or the one at which the branch left it", ref),
			hint: "git fetch --unshallow, then git fetch origin " + strings.TrimPrefix(ref, "origin/") + "; or, in less time, git fetch --deepen 100 origin; in GitHub Actions: fetch-depth: 0"}
	}
	var silent *exec.ExitError
	if errors.As(err, &silent) {
		return &usageError{message: fmt.Sprintf("--since %s has no commit in common with HEAD", ref), hint: "name a ref that the branch began at"}
	}
	return gitError(ref, err)
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	if os.Getenv("GIT_WORK_TREE") == "" {
		// A hook in a linked worktree is told the repository alone: git would take the folder for the top of the tree.
		cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
			name, _, _ := strings.Cut(v, "=")
			return slices.Contains([]string{"GIT_DIR", "GIT_INDEX_FILE", "GIT_PREFIX"}, name)
		})
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && stderr.Len() > 0 {
		return "", errors.New(strings.TrimPrefix(oneLine(stderr.String()), "fatal: "))
	}
	return string(out), err
}

func gitError(ref string, err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return &usageError{message: "--since wants git, which is not installed", hint: "install git, or leave --since out"}
	}
	return &usageError{message: fmt.Sprintf("--since %s: %v", ref, err), hint: "is it fetched? In CI: git fetch origin main, or a checkout with its whole history"}
}
