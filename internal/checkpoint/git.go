package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Repo is the git repository that a folder belongs to, worked on through the git program that is installed. Hooks do not run,
// nothing asks, no history is rewritten and nothing leaves the machine.
type Repo struct {
	Dir     string // the top of the working tree
	private string // its folder .git
}

// OpenRepo finds the repository; a *RefusedError says that there is none.
func OpenRepo(ctx context.Context, folder string) (*Repo, error) {
	r := &Repo{Dir: folder}
	if _, err := exec.LookPath("git"); err != nil {
		return nil, refuse("install git", "there is no git on this machine")
	}
	top, err := r.git(ctx, "rev-parse", "--show-toplevel", "--absolute-git-dir")
	if err != nil {
		return nil, refuse("application_code.repository names the folder of one", "%s is in no git repository: %v", folder, err)
	}
	lines := strings.Split(top, "\n")
	if len(lines) != 2 {
		return nil, refuse("application_code.repository names the folder of one", "%s is in no git working tree", folder)
	}
	r.Dir, r.private = filepath.FromSlash(lines[0]), filepath.FromSlash(lines[1])
	return r, nil
}

// environment is that of this process without what would make git work elsewhere, ask, page or start an editor.
func environment() []string {
	out := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		switch name {
		case "GIT_SSH", "GIT_SSH_COMMAND", "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM":
			return false
		}
		return strings.HasPrefix(name, "GIT_") || name == "LC_ALL" || name == "LANGUAGE"
	})
	return append(out, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_EDITOR=true", "GIT_SEQUENCE_EDITOR=true", "GIT_PAGER=cat", "GIT_MERGE_AUTOEDIT=no", "GIT_ASKPASS=true", "SSH_ASKPASS=true")
}

func (r *Repo) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "core.hooksPath=" + os.DevNull, "-c", "core.fsmonitor=false", "-c", "commit.gpgSign=false",
		"-c", "gc.auto=0", "-c", "advice.detachedHead=false"}, args...)...)
	cmd.Dir, cmd.Env = r.Dir, environment()
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func (r *Repo) git(ctx context.Context, args ...string) (string, error) {
	out, err := r.bytes(ctx, args...)
	return strings.TrimRight(string(out), "\n"), err
}

func (r *Repo) bytes(ctx context.Context, args ...string) ([]byte, error) {
	var out, said bytes.Buffer
	cmd := r.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if err == nil {
		return out.Bytes(), nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if words := strings.Join(strings.Fields(said.String()), " "); words != "" {
		err = errors.New(words)
	}
	return nil, fmt.Errorf("git %s: %w", args[0], err)
}

// Head is the commit that is checked out.
func (r *Repo) Head(ctx context.Context) (string, error) {
	head, err := r.git(ctx, "rev-parse", "--verify", "HEAD^{commit}")
	if err != nil {
		return "", refuse("commit something first", "the repository %s has no commit", r.Dir)
	}
	return head, nil
}

// Branch is the branch that is checked out, "" for none.
func (r *Repo) Branch(ctx context.Context) string {
	branch, err := r.git(ctx, "symbolic-ref", "--short", "-q", "HEAD")
	if err != nil {
		return ""
	}
	return branch
}

// Describe is a name for a commit: its tag, or how far it is from one, or its hash.
func (r *Repo) Describe(ctx context.Context, commit string) (string, error) {
	return r.git(ctx, "describe", "--tags", "--always", "--abbrev=12", commit)
}

// Resolve gives the commit that a name means: a tag, a branch, a hash, HEAD~1.
func (r *Repo) Resolve(ctx context.Context, name string) (string, error) {
	commit, err := r.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}")
	if err != nil || commit == "" {
		return "", refuse("git log shows what there is", "the repository has no commit %s", name)
	}
	return commit, nil
}

// list runs a command that separates names by NUL.
func (r *Repo) list(ctx context.Context, args ...string) ([]string, error) {
	out, err := r.bytes(ctx, args...)
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(string(out), func(c rune) bool { return c == 0 }), nil
}

// Dirty lists the tracked files that differ from the commit that is checked out, from the top of the tree.
func (r *Repo) Dirty(ctx context.Context) ([]string, error) {
	if err := r.idle(); err != nil {
		return nil, err
	}
	if _, err := r.git(ctx, "update-index", "-q", "--refresh"); err != nil && ctx.Err() != nil {
		return nil, err
	}
	return r.list(ctx, "diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", "HEAD")
}

// idle refuses a repository in which somebody is half-way through something.
func (r *Repo) idle() error {
	for name, what := range map[string]string{"MERGE_HEAD": "merge", "REVERT_HEAD": "revert", "CHERRY_PICK_HEAD": "cherry-pick", "rebase-merge": "rebase", "rebase-apply": "rebase", "BISECT_LOG": "bisect"} {
		if _, err := os.Stat(filepath.Join(r.private, name)); err == nil {
			return refuse("finish it or take it back (git status says how)", "a %s is under way in %s", what, r.Dir)
		}
	}
	return nil
}

// Changed lists the files that differ between two commits.
func (r *Repo) Changed(ctx context.Context, from, to string) ([]string, error) {
	return r.list(ctx, "diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", from, to)
}

// Reset gives files the content that the commit that is checked out has.
func (r *Repo) Reset(ctx context.Context, files []string) error {
	if len(files) == 0 {
		return nil
	}
	_, err := r.git(ctx, append([]string{"--literal-pathspecs", "checkout", "-q", "HEAD", "--"}, files...)...)
	return err
}

// Blobs copies the files of a commit that lie below paths into a folder, as Capture does, and gives them as entries.
func (r *Repo) Blobs(ctx context.Context, commit string, t *Tree, folder string) ([]Entry, error) {
	var out []Entry
	for _, named := range t.Paths {
		inside, err := r.inside(t, named)
		if err != nil {
			return nil, err
		}
		listed, err := r.list(ctx, "--literal-pathspecs", "ls-tree", "-r", "-z", "--full-tree", commit, "--", inside)
		if err != nil {
			return nil, err
		}
		for _, l := range listed {
			meta, name, _ := strings.Cut(l, "\t")
			mode, _, _ := strings.Cut(meta, " ")
			e := Entry{Path: named + strings.TrimPrefix(name, inside), UID: -1, GID: -1}
			switch mode {
			case "100644":
				e.Mode = 0o644
			case "100755":
				e.Mode = 0o755
			default:
				return nil, refuse("leave it out of configuration.paths", "%s is no plain file in commit %.12s", name, commit)
			}
			text, err := r.bytes(ctx, "cat-file", "--filters", commit+":"+name)
			if err != nil {
				return nil, err
			}
			if e.Hash, err = Hold(folder, text); err != nil {
				return nil, err
			}
			e.Size = int64(len(text))
			out = append(out, e)
		}
	}
	return out, nil
}

// Tracked tells which files below the paths git knows now, as stored paths.
func (r *Repo) Tracked(ctx context.Context, t *Tree) (map[string]bool, error) {
	out := map[string]bool{}
	for _, named := range t.Paths {
		inside, err := r.inside(t, named)
		if err != nil {
			return nil, err
		}
		listed, err := r.list(ctx, "--literal-pathspecs", "ls-files", "-z", "--full-name", "--", filepath.Join(r.Dir, filepath.FromSlash(inside)))
		if err != nil {
			return nil, err
		}
		for _, name := range listed {
			out[named+strings.TrimPrefix(name, inside)] = true
		}
	}
	return out, nil
}

// inside gives a named path from the top of the working tree.
func (r *Repo) inside(t *Tree, named string) (string, error) {
	rel, ok := r.Rel(t.Abs(named))
	if !ok {
		return "", refuse("git_checkout is for files of the repository; take file_copy for others", "%s lies outside the repository %s", t.Abs(named), r.Dir)
	}
	return rel, nil
}

// Rel gives an absolute path from the top of the working tree, with slashes; false when it lies elsewhere.
func (r *Repo) Rel(abs string) (string, bool) {
	for _, top := range []string{r.Dir, real(r.Dir)} {
		for _, p := range []string{abs, filepath.Join(real(filepath.Dir(abs)), filepath.Base(abs))} {
			if rel, err := filepath.Rel(top, p); err == nil && filepath.IsLocal(rel) && rel != "." {
				return filepath.ToSlash(rel), true
			}
		}
	}
	return "", false
}

func real(p string) string {
	if r, err := filepath.EvalSymlinks(p); err == nil {
		return r
	}
	return p
}

// Commit is a commit of the line that leads to the one that is checked out.
type Commit struct {
	Hash    string `json:"commit"`
	Subject string `json:"subject"`
	tree    string
	merge   bool
	empty   bool
}

// Since lists the commits after one, the newest first. That one must lie on the line itself, not on a branch that was merged into it:
// only then do reverts lead back to it.
func (r *Repo) Since(ctx context.Context, commit string) ([]Commit, error) {
	if _, err := r.Resolve(ctx, commit); err != nil {
		return nil, refuse("fetch it, or check the right repository out", "the repository %s has no commit %.12s", r.Dir, commit)
	}
	out, err := r.git(ctx, "log", "--first-parent", "-z", "--format=%H%x09%P%x09%T%x09%s", commit+"..HEAD")
	if err != nil {
		return nil, err
	}
	var list []Commit
	last := ""
	was, err := r.tree(ctx, commit)
	if err != nil {
		return nil, err
	}
	for _, l := range strings.FieldsFunc(out, func(c rune) bool { return c == 0 }) {
		f := strings.SplitN(l, "\t", 4)
		if len(f) != 4 {
			return nil, fmt.Errorf("git log: %q cannot be read", l)
		}
		parents := strings.Fields(f[1])
		if last = ""; len(parents) > 0 {
			last = parents[0]
		}
		list = append(list, Commit{Hash: f[0], Subject: f[3], tree: f[2], merge: len(parents) > 1})
	}
	for i := range list {
		before := was
		if i+1 < len(list) {
			before = list[i+1].tree
		}
		list[i].empty = list[i].tree == before
	}
	head, err := r.Head(ctx)
	if err != nil {
		return nil, err
	}
	if full, _ := r.Resolve(ctx, commit); len(list) == 0 && head != full || len(list) > 0 && last != full {
		return nil, refuse("check out the branch that the checkpoint was taken on", "commit %.12s of the checkpoint is not on the line of commits that leads to %.12s, which is checked out", commit, head)
	}
	return list, nil
}

// Same tells whether two commits have the same files.
func (r *Repo) Same(ctx context.Context, a, b string) (bool, error) {
	ta, err := r.tree(ctx, a)
	if err != nil {
		return false, err
	}
	tb, err := r.tree(ctx, b)
	return ta == tb, err
}

// tree names the files of a commit.
func (r *Repo) tree(ctx context.Context, commit string) (string, error) {
	return r.git(ctx, "rev-parse", commit+"^{tree}")
}

// Needed gives those of the commits since one whose reverts lead back to it. What lies between two commits with the same files has undone
// itself, by earlier reverts as a rule: without this each restore would revert the reverts of all before it.
func (r *Repo) Needed(ctx context.Context, commit string, since []Commit) ([]Commit, error) {
	was, err := r.tree(ctx, commit)
	if err != nil {
		return nil, err
	}
	oldest := map[string]int{}
	for i, c := range since {
		oldest[c.tree] = i
	}
	oldest[was] = len(since)
	var out []Commit
	for i := 0; i < len(since); i++ {
		if i = oldest[since[i].tree]; i < len(since) {
			out = append(out, since[i])
		}
	}
	return out, nil
}

// Reverted tells which of the commits since one have a revert already, by the message that git revert writes.
func (r *Repo) Reverted(ctx context.Context, since string) (map[string]bool, error) {
	bodies, err := r.list(ctx, "log", "--first-parent", "-z", "--format=%B", since+"..HEAD")
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, b := range bodies {
		if _, rest, ok := strings.Cut(b, "This reverts commit "); ok && len(rest) >= 40 {
			out[rest[:40]] = true
		}
	}
	return out, nil
}

// ConflictError says that a commit cannot be reverted because of what came after it. Nothing was changed.
type ConflictError struct {
	Commit Commit
	Files  []string
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("commit %.12s (%s) cannot be reverted: later commits changed the same lines", e.Commit.Hash, e.Commit.Subject)
}

// Revert makes a commit that undoes each of the commits, in their order. It works in a working tree of its own, so that a conflict or a
// crash leaves nothing behind in the user's; then the branch goes forward to the result. head is what must be checked out.
func (r *Repo) Revert(ctx context.Context, head string, commits []Commit) (err error) {
	aside := filepath.Join(r.private, "dbrollback-revert")
	if err := r.clear(ctx, aside); err != nil {
		return err
	}
	if _, err := r.git(ctx, "worktree", "add", "-q", "--detach", aside, head); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.clear(context.WithoutCancel(ctx), aside)) }()
	w := &Repo{Dir: aside, private: r.private}
	identity := r.identity(ctx)
	for _, c := range commits {
		if c.empty {
			continue
		}
		args := append(slices.Clone(identity), "revert", "--no-edit")
		if c.merge {
			args = append(args, "-m", "1")
		}
		if _, rerr := w.git(ctx, append(args, c.Hash)...); rerr != nil {
			files, lerr := w.list(ctx, "diff", "--name-only", "--diff-filter=U", "-z")
			if lerr == nil && len(files) > 0 {
				return &ConflictError{Commit: c, Files: files}
			}
			return rerr
		}
	}
	now, err := r.Head(ctx)
	if err != nil {
		return err
	}
	if now != head {
		return refuse("run it again", "somebody checked out %.12s meanwhile", now)
	}
	to, err := w.Head(ctx)
	if err != nil {
		return err
	}
	_, err = r.git(ctx, "merge", "-q", "--ff-only", "--no-autostash", to)
	return err
}

// identity names the author when the user's git does not.
func (r *Repo) identity(ctx context.Context) []string {
	if _, err := r.git(ctx, "var", "GIT_COMMITTER_IDENT"); err == nil {
		return nil
	}
	return []string{"-c", "user.name=dbrollback", "-c", "user.email=dbrollback@localhost"}
}

// clear takes the working tree of a revert away, also one that was cut off.
func (r *Repo) clear(ctx context.Context, aside string) error {
	if _, err := os.Stat(aside); err == nil {
		_, _ = r.git(ctx, "worktree", "remove", "--force", "--force", aside) // else by hand, below
		if err := os.RemoveAll(aside); err != nil {
			return plainly(err)
		}
	}
	_, err := r.git(ctx, "worktree", "prune")
	return err
}

// Torn tells whether files that git says differ from HEAD are the remains of going forward from HEAD to a commit that was cut off: each
// is as HEAD has it, as the commit has it, missing, or the beginning of one of these.
func (r *Repo) Torn(ctx context.Context, to string, dirty []string) (bool, error) {
	for _, name := range dirty {
		now, err := os.ReadFile(filepath.Join(r.Dir, filepath.FromSlash(name)))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, plainly(err)
		}
		mine := false
		for _, c := range []string{"HEAD", to} {
			text, err := r.bytes(ctx, "cat-file", "--filters", c+":"+name)
			mine = mine || err == nil && bytes.HasPrefix(text, now)
		}
		if !mine {
			return false, nil
		}
	}
	return true, nil
}
