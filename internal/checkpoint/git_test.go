package checkpoint

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// newRepo makes a repository with one commit. Its hooks fail: none may run.
func newRepo(t *testing.T) (*Repo, func(args ...string) string) {
	t.Helper()
	dir := t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=me", "-c", "user.email=me@example.com", "-c", "core.hooksPath=/dev/null"}, args...)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "-b", "main")
	for _, hook := range []string{"pre-commit", "commit-msg", "post-checkout", "post-merge", "reference-transaction"} {
		must(t, os.WriteFile(filepath.Join(dir, ".git/hooks", hook), []byte("#!/bin/sh\nexit 1\n"), 0o755))
	}
	write(t, dir, map[string]string{"code.txt": "one\n", "conf/a": "1\n", "run.sh": "#!/bin/sh\n"})
	must(t, os.Chmod(filepath.Join(dir, "run.sh"), 0o755))
	git("add", "-A")
	git("commit", "-qm", "one")
	r, err := OpenRepo(context.Background(), dir)
	must(t, err)
	return r, git
}

func commitAll(git func(...string) string, message string) string {
	git("add", "-A")
	git("commit", "-q", "--allow-empty", "-m", message)
	return git("rev-parse", "HEAD")
}

// Commits, merges and commits without changes are undone by commits of their own; what was is still there.
func TestRevert(t *testing.T) {
	ctx := context.Background()
	r, git := newRepo(t)
	first := git("rev-parse", "HEAD")
	write(t, r.Dir, map[string]string{"code.txt": "two\n", "new": "new"})
	commitAll(git, "two")
	git("checkout", "-qb", "side")
	write(t, r.Dir, map[string]string{"side": "side"})
	commitAll(git, "on the side")
	git("checkout", "-q", "main")
	write(t, r.Dir, map[string]string{"code.txt": "three\n"})
	commitAll(git, "three")
	git("merge", "-q", "--no-ff", "-m", "merge", "side")
	commitAll(git, "nothing")
	head := git("rev-parse", "HEAD")
	commits, err := r.Since(ctx, first)
	must(t, err)
	if len(commits) != 4 {
		t.Fatalf("%d commits: %v", len(commits), commits)
	}
	must(t, r.Revert(ctx, head, commits))
	now, err := r.Head(ctx)
	must(t, err)
	if same, err := r.Same(ctx, first, now); err != nil || !same {
		t.Errorf("not the files of the first commit: %v", err)
	}
	if dirty, err := r.Dirty(ctx); err != nil || len(dirty) > 0 {
		t.Errorf("dirty: %v %v", dirty, err)
	}
	git("merge-base", "--is-ancestor", head, "HEAD") // no history is rewritten
	if _, err := os.Stat(filepath.Join(r.Dir, "side")); err == nil {
		t.Error("what the merge brought is still there")
	}
	if list := git("worktree", "list"); strings.Count(list, "\n") > 0 {
		t.Errorf("a working tree is left:\n%s", list)
	}
}

// Going back and forth between two states reverts what lies between them, not the reverts of all times before: their number would double.
func TestRevertBackAndForth(t *testing.T) {
	ctx := context.Background()
	r, git := newRepo(t)
	first := git("rev-parse", "HEAD")
	write(t, r.Dir, map[string]string{"code.txt": "two\n"})
	commitAll(git, "two")
	write(t, r.Dir, map[string]string{"code.txt": "three\n", "new": "new"})
	at := []string{first, commitAll(git, "three")}
	for i := range 6 {
		to := at[i%2]
		since, err := r.Since(ctx, to)
		must(t, err)
		commits, err := r.Needed(ctx, to, since)
		must(t, err)
		if len(commits) != 2 {
			t.Fatalf("time %d: %d commits to revert, of %d since", i, len(commits), len(since))
		}
		must(t, r.Revert(ctx, git("rev-parse", "HEAD"), commits))
		if same, err := r.Same(ctx, to, "HEAD"); err != nil || !same {
			t.Fatalf("time %d: not the files that it leads to: %v", i, err)
		}
		since, err = r.Since(ctx, to)
		must(t, err)
		if commits, err = r.Needed(ctx, to, since); err != nil || len(commits) > 0 {
			t.Fatalf("time %d: still to revert: %v, %v", i, commits, err)
		}
	}
}

// A conflict, and a file of nobody's in the way, leave everything as it was.
func TestRevertConflict(t *testing.T) {
	ctx := context.Background()
	for name, make := range map[string]func(r *Repo, git func(...string) string) []Commit{
		"conflict": func(r *Repo, git func(...string) string) []Commit {
			write(t, r.Dir, map[string]string{"code.txt": "two\n"})
			two := commitAll(git, "two")
			write(t, r.Dir, map[string]string{"code.txt": "three\n"})
			commitAll(git, "three")
			return []Commit{{Hash: two, Subject: "two"}}
		},
		"file in the way": func(r *Repo, git func(...string) string) []Commit {
			must(t, os.Remove(filepath.Join(r.Dir, "code.txt")))
			gone := commitAll(git, "gone")
			write(t, r.Dir, map[string]string{"code.txt": "not tracked"})
			return []Commit{{Hash: gone, Subject: "gone"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, git := newRepo(t)
			commits := make(r, git)
			head, was := git("rev-parse", "HEAD"), listing(t, filepath.Join(r.Dir, "conf"))+git("status", "--porcelain")
			text, err := os.ReadFile(filepath.Join(r.Dir, "code.txt"))
			must(t, err)
			err = r.Revert(ctx, head, commits)
			var conflict *ConflictError
			if err == nil || errors.As(err, &conflict) != (name == "conflict") {
				t.Errorf("got %v", err)
			}
			if now := listing(t, filepath.Join(r.Dir, "conf")) + git("status", "--porcelain"); now != was || git("rev-parse", "HEAD") != head {
				t.Errorf("something changed:\n%s\nwas\n%s", now, was)
			}
			if after, _ := os.ReadFile(filepath.Join(r.Dir, "code.txt")); string(after) != string(text) {
				t.Errorf("code.txt is %q", after)
			}
			if list := git("worktree", "list"); strings.Count(list, "\n") > 0 {
				t.Errorf("a working tree is left:\n%s", list)
			}
		})
	}
}

// What a revert that was killed leaves behind is in nobody's way.
func TestRevertAfterCrash(t *testing.T) {
	ctx := context.Background()
	r, git := newRepo(t)
	first := git("rev-parse", "HEAD")
	write(t, r.Dir, map[string]string{"code.txt": "two, longer than one\n"})
	head := commitAll(git, "two")
	git("worktree", "add", "-q", "--detach", filepath.Join(r.private, "dbrollback-revert"), head)
	must(t, os.Remove(filepath.Join(r.private, "dbrollback-revert", ".git")))
	commits, err := r.Since(ctx, first)
	must(t, err)
	// A file that was half written when the power failed is known by what it begins with; one that somebody wrote is not.
	for text, want := range map[string]bool{"on": true, "": true, "two, lon": true, "mine": false} {
		write(t, r.Dir, map[string]string{"code.txt": text})
		dirty, err := r.Dirty(ctx)
		must(t, err)
		if torn, err := r.Torn(ctx, first, dirty); err != nil || torn != want {
			t.Errorf("%q: torn %v, want %v, %v", text, torn, want, err)
		}
	}
	must(t, r.Reset(ctx, []string{"code.txt"}))
	must(t, r.Revert(ctx, head, commits))
	if same, err := r.Same(ctx, first, "HEAD"); err != nil || !same {
		t.Errorf("not the files of the first commit: %v", err)
	}
}

// Only the line of commits that is checked out can be gone back.
func TestSinceRefused(t *testing.T) {
	ctx := context.Background()
	r, git := newRepo(t)
	git("checkout", "-qb", "side")
	write(t, r.Dir, map[string]string{"side": "side"})
	side := commitAll(git, "on the side")
	git("checkout", "-q", "main")
	git("merge", "-q", "--no-ff", "-m", "merge", "side")
	for commit, want := range map[string]string{side: "not on the line", strings.Repeat("0", 40): "has no commit"} {
		var refused *RefusedError
		if _, err := r.Since(ctx, commit); !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", commit, err)
		}
	}
	must(t, os.WriteFile(filepath.Join(r.private, "MERGE_HEAD"), []byte(side+"\n"), 0o644))
	if _, err := r.Dirty(ctx); err == nil || !strings.Contains(err.Error(), "a merge is under way") {
		t.Errorf("a merge under way: %v", err)
	}
}

// Files out of git: those of the commit, with its right to execute and the permissions of now.
func TestBlobs(t *testing.T) {
	ctx := context.Background()
	r, git := newRepo(t)
	write(t, r.Dir, map[string]string{"conf/a": "2\n", "conf/b": "2\n", "run.sh": "#!/bin/bash\n"})
	must(t, os.Chmod(filepath.Join(r.Dir, "run.sh"), 0o640))
	must(t, os.Chmod(filepath.Join(r.Dir, "conf/a"), 0o600))
	commitAll(git, "two")
	write(t, r.Dir, map[string]string{"conf/untracked": "mine"})
	tree, err := NewTree(r.Dir, []string{"conf", "run.sh"}, "")
	must(t, err)
	folder := t.TempDir()
	commit, err := r.Resolve(ctx, "HEAD~1")
	must(t, err)
	entries, err := r.Blobs(ctx, commit, tree, folder)
	must(t, err)
	tracked, err := r.Tracked(ctx, tree)
	must(t, err)
	w := Wanted{Paths: []Named{{Path: "conf"}, {Path: "run.sh"}}, Entries: entries, Folder: folder, Loose: true, Extra: func(p string) bool { return tracked[p] }}
	changes, err := tree.Plan(ctx, w)
	must(t, err)
	must(t, tree.Apply(ctx, w, changes))
	for name, want := range map[string]string{"conf/a": "-rw------- 1\n", "conf/untracked": "-rw-r--r-- mine", "run.sh": "-rwxr-x--- #!/bin/sh\n"} {
		info, err := os.Stat(filepath.Join(r.Dir, name))
		must(t, err)
		text, _ := os.ReadFile(filepath.Join(r.Dir, name))
		if got := info.Mode().String() + " " + string(text); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if _, err := os.Stat(filepath.Join(r.Dir, "conf/b")); err == nil {
		t.Error("a file that the commit does not have is still there")
	}
}
