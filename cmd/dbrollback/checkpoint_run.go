package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/checkpoint"
	"github.com/dbrollback/dbrollback/internal/migrate"
)

// carryOut does it: what is overwritten becomes a checkpoint, then one component after the other.
func (r *restoring) carryOut(ctx context.Context, begun time.Time) error {
	if err := r.approved(ctx); err != nil {
		r.note(ctx, begun, audit.Refused, err)
		return err
	}
	if err := r.secure(ctx); err != nil {
		r.note(ctx, begun, audit.Failed, err)
		return err
	}
	err := r.applyAll(ctx)
	if err == nil {
		err = r.verifyAll(ctx)
	}
	for _, p := range r.parts {
		if n, ok := p.(interface{ notUndone() []string }); ok {
			r.result.NotUndone = append(r.result.NotUndone, n.notUndone()...)
		}
	}
	if err != nil {
		r.note(ctx, begun, audit.Failed, err)
		return err
	}
	r.result.Verified = true
	e := r.entry(begun, audit.Done, nil)
	return r.m.MarkCheckpoint(ctx, r.progress.Safety, migrate.CheckpointComplete, "", &e)
}

// secure makes a checkpoint of what is about to be overwritten, unless one that was cut off has.
func (r *restoring) secure(ctx context.Context) error {
	if r.progress.Safety == "" {
		progress, err := json.Marshal(r.progress)
		if err != nil {
			return err
		}
		man, _, err := r.take(ctx, taking{components: r.order, before: r.man.ID, progress: string(progress)})
		if err != nil {
			return fmt.Errorf("what is to be overwritten could not be captured; nothing was changed: %w", err)
		}
		r.progress.Safety = man.ID
	}
	r.result.Safety = r.progress.Safety
	r.result.Undo = "dbrollback checkpoint restore " + r.progress.Safety + " --yes"
	return nil
}

func (r *restoring) applyAll(ctx context.Context) error {
	for i := range r.result.Components {
		p := &r.result.Components[i]
		if p.State == partPlanned {
			p.State = partNotReached
		}
	}
	for i := range r.result.Components {
		p := &r.result.Components[i]
		// Files that were as they should be may not be any more: git touches them, too.
		steps := r.plans[i].steps
		if len(steps) == 0 && (p.Component == checkpoint.Configuration || p.Component == checkpoint.Flags && r.c.flags.file != nil) {
			var err error
			if steps, err = r.parts[p.Component].plan(ctx); err != nil {
				p.State = partFailed
				return fmt.Errorf("%s: %w", p.Component, err)
			}
			p.Steps = list(steps)
		}
		if len(steps) == 0 {
			continue
		}
		begun := time.Now()
		err := r.parts[p.Component].apply(ctx)
		p.Seconds = time.Since(begun).Seconds()
		if err != nil {
			p.State = partFailed
			return fmt.Errorf("%s: %w", p.Component, err)
		}
		p.State = partDone
		if r.remembered(p.Component) {
			r.progress.Done = append(r.progress.Done, p.Component)
			if err := r.mark(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// remembered tells whether only the record can say that a component is back.
func (r *restoring) remembered(component string) bool {
	return component == checkpoint.Code && r.c.code.redeploy || component == checkpoint.Flags && r.c.flags.file == nil
}

// mark records how far it has come.
func (r *restoring) mark(ctx context.Context) error {
	progress, err := json.Marshal(r.progress)
	if err != nil {
		return err
	}
	return r.m.MarkCheckpoint(ctx, r.progress.Safety, migrate.CheckpointRestoring, string(progress), nil)
}

// verifyAll looks at every component once more when all are back: one may have touched what another one had put in its place.
func (r *restoring) verifyAll(ctx context.Context) error {
	for i := range r.result.Components {
		p := &r.result.Components[i]
		if err := r.parts[p.Component].verify(ctx); err != nil {
			p.State, p.Verified = partFailed, false
			return fmt.Errorf("%s is not as it was: %w", p.Component, err)
		}
		p.Verified = true
	}
	return nil
}

// entry is the audit entry of the restore.
func (r *restoring) entry(begun time.Time, outcome string, cause error) audit.Entry {
	e := audit.Entry{Run: r.progress.Safety, At: time.Now(), Action: "checkpoint restore", Outcome: outcome, DurationSeconds: time.Since(begun).Seconds(), NotUndone: r.result.NotUndone,
		Detail: map[string]string{"checkpoint": r.man.ID}}
	for _, p := range r.result.Components {
		e.Detail[p.Component] = p.State
	}
	for k, v := range map[string]string{"safety": r.progress.Safety, "reason": r.reason(), "ticket": r.ticket(), "approved by": r.result.ApprovedBy} {
		if v != "" {
			e.Detail[k] = v
		}
	}
	if d, ok := r.parts[checkpoint.Database].(*databasePart); ok {
		e.From, e.To = d.from, d.now
	}
	if cause != nil {
		e.Error = cause.Error()
	}
	return e
}

// note writes the entry of a restore that did not end well. The cause is what matters; that it could not be noted is only said.
func (r *restoring) note(ctx context.Context, begun time.Time, outcome string, cause error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := r.m.Note(ctx, r.entry(begun, outcome, cause)); err != nil {
		r.s.out.warn("the failure could not be written to the log: %v", err)
	}
}

func (r *restoring) reason() string {
	if r.o.Reason == "" && r.c.flags != nil && slices.Contains(r.order, checkpoint.Flags) {
		return r.c.flags.reason
	}
	return r.o.Reason
}

func (r *restoring) ticket() string {
	if r.o.Ticket == "" && r.c.flags != nil && slices.Contains(r.order, checkpoint.Flags) {
		return r.c.flags.ticket
	}
	return r.o.Ticket
}

func (r *restoring) close() {
	for _, p := range r.parts {
		if c, ok := p.(interface{ close() }); ok {
			c.close()
		}
	}
}
