package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The arguments of tools. Their names are those of the flags, with _ for -.
type (
	noInput   struct{}
	planInput struct {
		To string `json:"to,omitempty" jsonschema:"the version to end at; default all that is pending"`
	}
	lintInput    struct{}
	historyInput struct {
		Limit int `json:"limit,omitempty" jsonschema:"how many runs, the newest first; default 20, 0 to 1000"`
	}
	rollbackInput struct {
		To        string `json:"to,omitempty" jsonschema:"the version to end at; it stays applied"`
		Steps     int    `json:"steps,omitempty" jsonschema:"how many migrations to undo; default 1"`
		ToRelease string `json:"to_release,omitempty" jsonschema:"the release to go back to"`
		At        string `json:"at,omitempty" jsonschema:"undo what was applied after this time, RFC 3339"`
	}
	rollbackRun struct {
		rollbackInput
		OnConflict string `json:"on_conflict,omitempty" jsonschema:"what becomes of a value that the application wrote since: keep (default) leaves it, fail ends the run without effect"`
		Approval   string `json:"approval,omitempty" jsonschema:"what dbrollback approve sign --rollback printed at a person's terminal, as it is"`
	}
	restoreInput struct {
		Tables      []string `json:"tables,omitempty" jsonschema:"the tables to restore; may be left out with snapshot or migration"`
		At          string   `json:"at,omitempty" jsonschema:"as at this time, RFC 3339 with a zone"`
		Snapshot    string   `json:"snapshot,omitempty" jsonschema:"as in this snapshot, by id or label"`
		Release     string   `json:"release,omitempty" jsonschema:"as last under this release"`
		Migration   string   `json:"migration,omitempty" jsonschema:"as before the migration of this version"`
		Mode        string   `json:"mode,omitempty" jsonschema:"merge (default): lost and changed rows come back, later ones stay; replace: the table as it was; copy: into a new table"`
		Into        string   `json:"into,omitempty" jsonschema:"of mode copy: the name of the new table"`
		Where       string   `json:"where,omitempty" jsonschema:"only rows for which this SQL condition held then"`
		Columns     string   `json:"columns,omitempty" jsonschema:"only these columns, separated by commas"`
		Map         []string `json:"map,omitempty" jsonschema:"renamed columns, each OLD=NEW"`
		OnConflict  string   `json:"on_conflict,omitempty" jsonschema:"keep (default), restore or fail"`
		WithRelated bool     `json:"with_related,omitempty" jsonschema:"tables that foreign keys tie to these come along"`
	}
	restoreRun struct {
		restoreInput
		Approval string `json:"approval,omitempty" jsonschema:"what dbrollback approve restore printed at a person's terminal, as it is"`
	}
)

// flags writes the arguments of the command line; a value is part of its flag's word, so that none is taken for a flag.
func (i rollbackInput) flags() []string {
	steps := ""
	if i.Steps != 0 {
		steps = fmt.Sprint(i.Steps)
	}
	return flags("to", i.To, "steps", steps, "to-release", i.ToRelease, "at", i.At)
}

func (i restoreInput) flags() []string {
	out := flags("at", i.At, "snapshot", i.Snapshot, "release", i.Release, "migration", i.Migration, "mode", i.Mode, "into", i.Into,
		"where", i.Where, "columns", i.Columns, "on-conflict", i.OnConflict)
	for _, t := range i.Tables {
		out = append(out, flags("table", t)...)
	}
	for _, m := range i.Map {
		out = append(out, flags("map", m)...)
	}
	if i.WithRelated {
		out = append(out, "--with-related")
	}
	return out
}

func flags(pairs ...string) []string {
	var out []string
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] != "" {
			out = append(out, "--"+pair[0]+"="+pair[1])
		}
	}
	return out
}

// offer names the tools.
func (a *agent) offer(server *mcp.Server) {
	reads := func(name, what string) *mcp.Tool {
		no := false
		return &mcp.Tool{Name: name, Description: what + " Changes nothing.", Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true, OpenWorldHint: &no}}
	}
	writes := func(name, what string) *mcp.Tool {
		yes, no := true, false
		return &mcp.Tool{Name: name, Description: what, Annotations: &mcp.ToolAnnotations{DestructiveHint: &yes, OpenWorldHint: &no}}
	}
	add(server, reads("status", "Versions, releases, captures, unfinished runs and drift of the database."), func(ctx context.Context, _ noInput) *mcp.CallToolResult {
		r, _ := a.call(ctx, nil, "status")
		return r
	})
	add(server, reads("plan", "What applying the pending migrations would run, destroy and capture, with a verdict each."), func(ctx context.Context, i planInput) *mcp.CallToolResult {
		r, _ := a.call(ctx, nil, append([]string{"plan"}, flags("to", i.To)...)...)
		return r
	})
	add(server, reads("lint", "What in the migration files cannot be undone, destroys data or locks for long."), func(ctx context.Context, _ lintInput) *mcp.CallToolResult {
		r, _ := a.call(ctx, nil, "lint")
		return r
	})
	add(server, reads("verify", "Proves on a scratch database, never on the configured one, that each migration can be undone. Takes seconds to minutes."), func(ctx context.Context, _ noInput) *mcp.CallToolResult {
		r, _ := a.call(ctx, nil, "verify")
		return r
	})
	add(server, reads("snapshots", "The captures: which tables, when, by what, how many rows, kept until when."), func(ctx context.Context, _ noInput) *mcp.CallToolResult {
		r, _ := a.call(ctx, nil, "snapshot", "list")
		return r
	})
	add(server, reads("history", "The audit log: who ran what, when, what it changed, what could not be undone, and whether the log was tampered with."), func(ctx context.Context, i historyInput) *mcp.CallToolResult {
		limit := min(max(i.Limit, 0), 1000)
		if i.Limit == 0 {
			limit = 20
		}
		r, _ := a.call(ctx, nil, "log", "--verify", fmt.Sprintf("--limit=%d", limit))
		return r
	})
	add(server, reads("preview_rollback", "What a rollback would run and capture, and what may stand in its way. Its hash is what a person approves."), a.previewRollback)
	add(server, reads("preview_restore", "Which rows a restore would bring back, change and remove, with samples. Its hash is what a person approves."), a.previewRestore)
	add(server, writes("rollback", "Undoes migrations with their data. Needs a person's approval of exactly the plan that preview_rollback shows, and the same arguments."),
		func(ctx context.Context, i rollbackRun) *mcp.CallToolResult {
			if i.OnConflict != "" && i.OnConflict != "keep" && i.OnConflict != "fail" {
				return a.refuse(ctx, &usageError{message: fmt.Sprintf("on_conflict %q is not for agents: keep or fail", i.OnConflict), hint: "what writes over the application's values, a person runs: dbrollback rollback --on-conflict restore"})
			}
			asked, err := a.consent(i.Approval)
			if err != nil {
				return a.refuse(ctx, err)
			}
			r, _ := a.call(ctx, asked, append(append([]string{"rollback"}, i.flags()...), flags("on-conflict", i.OnConflict)...)...)
			return r
		})
	add(server, writes("restore", "Brings captured rows back. Needs a person's approval of exactly what preview_restore shows, and the same arguments."),
		func(ctx context.Context, i restoreRun) *mcp.CallToolResult {
			asked, err := a.consent(i.Approval)
			if err != nil {
				return a.refuse(ctx, err)
			}
			r, _ := a.call(ctx, asked, append([]string{"restore", "--yes"}, i.flags()...)...)
			return r
		})
}

// add adds a tool. Its result is made here, so that it is the same as text and as structured content.
func add[In any](server *mcp.Server, tool *mcp.Tool, do func(context.Context, In) *mcp.CallToolResult) {
	mcp.AddTool(server, tool, func(ctx context.Context, _ *mcp.CallToolRequest, i In) (*mcp.CallToolResult, any, error) {
		return do(ctx, i), nil, nil
	})
}

func (a *agent) previewRollback(ctx context.Context, i rollbackInput) *mcp.CallToolResult {
	r, w := a.call(ctx, nil, append([]string{"plan", "--rollback"}, i.flags()...)...)
	return a.approvable(r, w, append([]string{"approve", "sign", "--rollback"}, i.flags()...))
}

func (a *agent) previewRestore(ctx context.Context, i restoreInput) *mcp.CallToolResult {
	// What is approved must not move with the clock.
	if _, err := time.Parse(time.RFC3339Nano, i.At); i.At != "" && err != nil {
		return a.refuse(ctx, &usageError{message: fmt.Sprintf("at %q is no RFC 3339 time", i.At), hint: "write it like " + time.Now().UTC().Add(-time.Hour).Format(time.RFC3339)})
	}
	r, w := a.call(ctx, nil, append([]string{"restore", "--dry-run"}, i.flags()...)...)
	return a.approvable(r, w, append([]string{"approve", "restore"}, i.flags()...))
}

// approvable adds the command with which a person approves what a preview shows.
func (a *agent) approvable(r *mcp.CallToolResult, w answer, command []string) *mcp.CallToolResult {
	var d struct{ Hash string }
	if w.Exit != 0 || json.Unmarshal(w.Result, &d) != nil || d.Hash == "" {
		return r
	}
	words := []string{"dbrollback"}
	for _, c := range append(command, a.global...) {
		if strings.HasPrefix(c, "--dsn=") { // it may hold a password; the person has it configured, or types it
			continue
		}
		words = append(words, shellWord(c))
	}
	w.Approve = strings.Join(append(words, "--key", "approver.pem"), " ")
	return a.result(w, false)
}

// shellWord quotes a word for a shell, where it needs to be.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_=./:,+@%", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
