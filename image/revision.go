package image

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
)

// revision returns the commit that is checked out in a directory and whether
// the files of the repository differ from it, new files included. Where there
// is no repository, or none that can be read, the commit is empty: a build does
// not need it.
func revision(ctx context.Context, dir string) (commit string, modified bool) {
	if program, err := exec.LookPath("git"); err == nil {
		return revisionByGit(ctx, program, dir)
	}
	repository, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if err != nil {
		return "", false
	}
	head, err := repository.Head()
	if err != nil {
		return "", false
	}
	tree, err := repository.Worktree()
	if err != nil {
		return head.Hash().String(), false
	}
	status, err := tree.Status()
	return head.Hash().String(), err == nil && !status.IsClean()
}

// revisionByGit asks the user's git, which is much faster in a large repository
// and knows all its settings. It ends with the first file that differs.
func revisionByGit(ctx context.Context, program, dir string) (commit string, modified bool) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-c", "core.fsmonitor=false",
		"status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--no-renames")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", false
	}
	if err := cmd.Start(); err != nil {
		return "", false
	}
	lines := bufio.NewScanner(out)
	for !modified && lines.Scan() {
		oid, isCommit := strings.CutPrefix(lines.Text(), "# branch.oid ")
		switch {
		case isCommit && oid != "(initial)":
			commit = oid
		case !strings.HasPrefix(lines.Text(), "#"):
			modified = true
		}
	}
	cancel()
	_ = cmd.Wait() // it was told to end, or there is no repository
	return commit, modified && commit != ""
}
