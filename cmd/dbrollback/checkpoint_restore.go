package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/checkpoint"
	"github.com/dbrollback/dbrollback/internal/migrate"
)

// checkpointRestoreOptions are the options of `checkpoint restore`.
type checkpointRestoreOptions struct {
	checkpointOptions
	Commits        []string
	Reason, Ticket string
	TamperedLog    bool
	DryRun         bool
	approval       approvalWay
}

// Validate refuses what contradicts itself.
func (o checkpointRestoreOptions) Validate() error {
	if err := o.checkpointOptions.Validate(); err != nil {
		return err
	}
	return o.approval.Validate()
}

func (p *program) checkpointRestoreCommand(component cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "restore", ArgsUsage: "ID",
		Usage: "go back to a checkpoint, with all of it or with the components that are named",
		Description: `Shows what would be done; with --yes it does it. What is overwritten becomes a checkpoint first, so that a restore is taken back by
another one: the command for it is printed. Cut off and run again, it goes on.`,
		Flags: checkpointFlags(component,
			&cli.StringSliceFlag{Name: "commit", Usage: "of application_code: revert only this `COMMIT`; may be given again"},
			&cli.StringFlag{Name: "reason", Usage: "`TEXT` for the audit log, and for the command of the feature flags"},
			&cli.StringFlag{Name: "ticket", Usage: "`ID` of a ticket, likewise"},
			&cli.StringFlag{Name: "approval", Value: "terminal", Usage: "`HOW` a person approves: terminal, file:PATH or webhook:URL"},
			&cli.StringFlag{Name: "approval-key", Usage: "`FILE` of the public key that signed approvals are checked with"},
			&cli.BoolFlag{Name: "allow-tampered-log", Usage: "go on although the chain of the audit log does not hold"},
			&cli.BoolFlag{Name: "dry-run", Usage: "show what would be done, also with --yes; change nothing"}),
		Action: action(p, func(c *cli.Context) (checkpointRestoreOptions, error) {
			o, err := readCheckpoint(1)(c)
			r := checkpointRestoreOptions{checkpointOptions: o, Commits: c.StringSlice("commit"), Reason: c.String("reason"), Ticket: c.String("ticket"),
				TamperedLog: c.Bool("allow-tampered-log"), DryRun: c.Bool("dry-run")}
			r.approval.way, r.approval.where, _ = strings.Cut(c.String("approval"), ":")
			r.approval.key, r.approval.wait = c.String("approval-key"), 15*time.Minute
			return r, err
		}, runCheckpointRestore),
	}
}

// The states of a component on its way back.
const (
	partUnchanged  = "unchanged" // it is as it was
	partPlanned    = "planned"
	partDone       = "done"
	partFailed     = "failed"
	partNotReached = "not reached"
)

// partReport is what a restore does to one component.
type partReport struct {
	Component string     `json:"component"`
	State     string     `json:"state"`
	Steps     []partStep `json:"steps"`
	Verified  bool       `json:"verified"`
	Seconds   float64    `json:"duration_seconds"`
}

// partStep is one thing to do.
type partStep struct {
	Action string `json:"action"`
	Object string `json:"object"`
	Reason string `json:"reason,omitempty"`
}

// part is one component on its way back. plan changes nothing and refuses what could not be done; apply goes on where another one was
// cut off; verify looks whether it is as it was.
type part interface {
	plan(ctx context.Context) ([]partStep, error)
	apply(ctx context.Context) error
	verify(ctx context.Context) error
}

// checkpointResult is the JSON of `checkpoint restore`.
type checkpointResult struct {
	Version    int               `json:"version"`
	Checkpoint string            `json:"checkpoint"`
	TakenAt    time.Time         `json:"taken_at"`
	Target     checkpoint.Target `json:"target"`
	Preview    bool              `json:"preview"`
	Plan       string            `json:"plan"` // hash: what an approval binds
	Approval   bool              `json:"approval_required"`
	Components []partReport      `json:"components"`
	Resumed    bool              `json:"resumed,omitempty"` // one that was cut off goes on
	Safety     string            `json:"safety,omitempty"`  // checkpoint of what was overwritten
	Undo       string            `json:"undo,omitempty"`    // the command that takes it back
	ApprovedBy string            `json:"approved_by,omitempty"`
	Verified   bool              `json:"verified"`
	NotUndone  []string          `json:"not_undone"`
	Seconds    float64           `json:"duration_seconds"`
	Error      *problem          `json:"error"`
}

// restoring is one restore of a checkpoint.
type restoring struct {
	*deployment
	o        checkpointRestoreOptions
	man      *checkpoint.Manifest
	hash     string
	order    []string
	parts    map[string]part
	progress progressOfRestore
	result   *checkpointResult
	plans    []partPlan
}

type partPlan struct {
	name  string
	steps []partStep
}

// progressOfRestore is what a restore that was cut off leaves behind for the next one, in the catalog.
type progressOfRestore struct {
	Safety string   `json:"-"`
	Done   []string `json:"done"`          // components that a command brought back: nothing else could tell
	Ref    string   `json:"ref,omitempty"` // the commit that configuration.ref meant when it began
	Head   string   `json:"head,omitempty"`
	// What --commit said, and the commits that it meant when it began: HEAD is another one since.
	Named   []string `json:"named,omitempty"`
	Commits []string `json:"commits,omitempty"`
}

func runCheckpointRestore(ctx context.Context, s *session, o checkpointRestoreOptions) error {
	write := s.Yes && !o.DryRun
	r, err := s.restoreCheckpoint(ctx, o, write, write)
	if r == nil {
		return err
	}
	werr := s.out.result(r.result, func(w *page) { writeCheckpointRestore(w, r.result, r.man, err) })
	if err == nil {
		err = werr
	}
	return err
}

// restoreCheckpoint goes back to a checkpoint, or (write is false) says what that would do. It gives nothing when it came to nothing that
// a result could tell of.
func (s *session) restoreCheckpoint(ctx context.Context, o checkpointRestoreOptions, write, announce bool) (*restoring, error) {
	begun := time.Now()
	d, err := s.deployment(ctx, o.Config)
	if err != nil {
		return nil, err
	}
	r := &restoring{deployment: d, o: o}
	if write {
		release, err := checkpoint.Lock(d.c.path)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	if err := r.find(ctx); err != nil {
		return nil, err
	}
	if announce {
		s.announce()
	}
	if err = r.prepare(ctx); err != nil && write {
		r.note(ctx, begun, audit.Refused, err)
	}
	if err == nil && write && r.pending() {
		err = r.carryOut(ctx, begun)
	}
	s.progress.end()
	r.close()
	r.result.Seconds = time.Since(begun).Seconds()
	r.result.Preview = !write
	if err != nil {
		r.result.Error = explain(ctx, err)
		r.result.Error.redact(s.DSN)
		if len(r.result.Components) == 0 {
			return nil, err
		}
	}
	return r, err
}

// find looks for the checkpoint and makes sure that it is one of this deployment, as it was recorded.
func (r *restoring) find(ctx context.Context) error {
	c, man, err := findCheckpoint(ctx, r.m, r.o.ID)
	var none *noCheckpointError
	if errors.As(err, &none) {
		return r.elsewhere(none)
	}
	if err != nil {
		return err
	}
	r.man, r.hash = man, c.Hash
	if err := r.sameTarget(man); err != nil {
		return err
	}
	logged, err := r.m.CheckpointHash(ctx, man.ID)
	var broken *audit.BrokenError
	switch {
	case errors.As(err, &broken) && r.o.TamperedLog:
		r.s.out.warn("%v", broken)
	case errors.As(err, &broken):
		return &refusedError{message: broken.Error() + ": what it says of the checkpoint cannot be trusted", hint: "dbrollback log --verify; --allow-tampered-log goes on all the same"}
	case err != nil:
		return err
	case logged != c.Hash && !r.o.TamperedLog:
		return &refusedError{message: "the manifest of the checkpoint is not the one that the audit log names", hint: "somebody wrote into the catalog; --allow-tampered-log goes on all the same"}
	}
	r.order, err = r.components()
	if err != nil {
		return err
	}
	if err := r.resume(ctx); err != nil {
		return err
	}
	r.result = &checkpointResult{Version: 1, Checkpoint: man.ID, TakenAt: man.TakenAt, Target: man.Target, Components: []partReport{}, NotUndone: []string{}, Resumed: r.progress.Safety != ""}
	return nil
}

// elsewhere says whose checkpoint it is, when its files are here but its database is another one.
func (r *restoring) elsewhere(none *noCheckpointError) error {
	if c := r.c.configuration; c != nil {
		text, err := checkpoint.ReadManifest(c.location, none.id)
		man := &checkpoint.Manifest{}
		if err == nil && text != nil && json.Unmarshal(text, man) == nil {
			if err := r.sameTarget(man); err != nil {
				return err
			}
			return &refusedError{message: fmt.Sprintf("checkpoint %s was never recorded in this database: it was cut off while it was taken", none.id), hint: "dbrollback checkpoint list"}
		}
	}
	return &usageError{message: none.Error(), hint: "dbrollback checkpoint list"}
}

func (r *restoring) sameTarget(man *checkpoint.Manifest) error {
	of := func(env string, t checkpoint.Target) string {
		at := t.Engine + " " + strings.TrimPrefix(t.Host+"/"+t.Database, "/")
		if t.Engine == "sqlite" {
			at = t.Engine + " " + t.Database
		}
		if env != "" {
			at = env + " (" + at + ")"
		}
		return at
	}
	if man.Target != r.target() || man.Environment != "" && r.s.Env != "" && man.Environment != r.s.Env {
		return &refusedError{message: fmt.Sprintf("checkpoint %s is of %s, not of %s; nothing was changed", man.ID, of(man.Environment, man.Target), of(r.s.Env, r.target())),
			hint: "restore it with the --env or --dsn that it was taken with"}
	}
	return nil
}

// components are those to restore, in a safe order (docs/checkpoints.md says why).
func (r *restoring) components() ([]string, error) {
	has := r.man.Components()
	var names []string
	for _, n := range r.c.names() {
		if slices.Contains(has, n) && (len(r.o.Components) == 0 || slices.Contains(r.o.Components, n)) {
			names = append(names, n)
		}
	}
	for _, n := range r.o.Components {
		switch {
		case !slices.Contains(has, n):
			return nil, &usageError{message: fmt.Sprintf("checkpoint %s has no %s", r.man.ID, n), hint: "it has " + strings.Join(has, ", ")}
		case !slices.Contains(names, n):
			return nil, &usageError{message: r.c.path + " has no " + n, hint: "it says how a component is restored; it has " + strings.Join(r.c.names(), ", ")}
		}
	}
	if len(names) == 0 {
		return nil, &usageError{message: fmt.Sprintf("%s has none of the components of checkpoint %s", r.c.path, r.man.ID), hint: "it has " + strings.Join(has, ", ")}
	}
	if len(r.o.Commits) > 0 && (!slices.Contains(names, checkpoint.Code) || r.c.code.redeploy) {
		return nil, &usageError{message: "--commit is for application_code with restoration_method: revert_commit", hint: "dbrollback checkpoint restore --help"}
	}
	if r.c.code == nil {
		return names, nil
	}
	at := slices.Index(names, checkpoint.Code)
	if at < 0 {
		return names, nil
	}
	names = slices.Delete(names, at, at+1)
	switch {
	case r.c.code.redeploy: // the earlier version starts with the earlier configuration
		at = len(names)
		if i := slices.Index(names, checkpoint.Database); i >= 0 {
			at = i
		}
	case r.c.flags != nil && r.c.flags.file != nil && r.c.flagsWithCode(): // a revert wants a clean tree
		at = 0
	}
	return slices.Insert(names, at, checkpoint.Code), nil
}

// resume looks for a restore of the same checkpoint that was cut off.
func (r *restoring) resume(ctx context.Context) error {
	all, err := r.m.Checkpoints(ctx)
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.State != migrate.CheckpointRestoring {
			continue
		}
		man, err := checkpoint.Decode([]byte(c.Manifest), c.Hash)
		if c.Before != r.man.ID || err != nil || slices.ContainsFunc(r.order, func(n string) bool { return !slices.Contains(man.Components(), n) }) {
			// One of another checkpoint, or about less: what it lacks must be captured, too.
			r.s.out.warn("a restore of checkpoint %s was cut off; what it had overwritten is checkpoint %s", c.Before, c.ID)
			return nil
		}
		if err := json.Unmarshal([]byte(c.Progress), &r.progress); err != nil {
			return fmt.Errorf("read the progress of the restore: %w", err)
		}
		r.progress.Safety = c.ID
		return nil
	}
	return nil
}

// prepare plans every component: what cannot be done is found here, before anything is written.
func (r *restoring) prepare(ctx context.Context) error {
	r.parts = map[string]part{}
	for _, name := range r.order {
		p, err := r.part(ctx, name)
		if err != nil {
			return err
		}
		r.parts[name] = p
		steps, err := p.plan(ctx)
		if err != nil {
			return err
		}
		if slices.Contains(r.progress.Done, name) {
			steps = nil
		}
		r.plans = append(r.plans, partPlan{name, steps})
	}
	for _, p := range r.plans {
		report := partReport{Component: p.name, State: partPlanned, Steps: list(p.steps)}
		if len(p.steps) == 0 {
			report.State, report.Verified = partUnchanged, true
		}
		r.result.Components = append(r.result.Components, report)
	}
	r.result.Verified, r.result.Approval = !r.pending(), r.wantsApproval()
	var err error
	r.result.Plan, err = r.planHash()
	return err
}

// planHash is what an approval binds: the checkpoint, the target, and what is to be done to the code. Rows and files change while somebody
// thinks it over, so they are left out.
func (r *restoring) planHash() (string, error) {
	var code []partStep
	for _, p := range r.plans {
		if p.name == checkpoint.Code {
			code = p.steps
		}
	}
	b, err := json.Marshal(struct {
		What, Checkpoint, Hash string
		Target                 checkpoint.Target
		Components             []string
		Code                   []partStep
	}{"checkpoint restore 1", r.man.ID, r.hash, r.target(), r.order, code})
	return checkpoint.HashOf(b), err
}

// pending tells whether anything differs.
func (r *restoring) pending() bool {
	if r.progress.Safety != "" {
		return true // it is to be ended, at least
	}
	return slices.ContainsFunc(r.result.Components, func(p partReport) bool { return p.State == partPlanned })
}
