package main

import (
	"strings"

	"github.com/dbrollback/dbrollback/internal/checkpoint"
)

// mostSteps of a component are shown as text; the JSON has all.
const mostSteps = 20

func writeCheckpointRestore(w *page, r *checkpointResult, man *checkpoint.Manifest, err error) {
	all := true
	for _, p := range r.Components {
		all = all && p.State == partUnchanged
	}
	switch {
	case all && err == nil && r.Safety == "":
		w.line("nothing to do: all is as at checkpoint %s, taken at %s", man.ID, moment(man.TakenAt))
		return
	case r.Preview:
		w.line("a restore of checkpoint %s, taken at %s, would do, in this order:", man.ID, moment(man.TakenAt))
	case err != nil:
		w.line("the restore of checkpoint %s stopped:", man.ID)
	default:
		w.line("restored checkpoint %s, taken at %s, in %s", man.ID, moment(man.TakenAt), seconds(r.Seconds))
	}
	for _, p := range r.Components {
		state := p.State
		switch {
		case p.State == partUnchanged:
			state = "as it was"
		case p.State == partPlanned:
			state = number(int64(len(p.Steps)), "step", "steps")
		case p.State == partDone && p.Verified:
			state = "done, verified, in " + seconds(p.Seconds)
		}
		w.line("%s: %s", w.bold(p.Component), state)
		for i, s := range p.Steps {
			if i == mostSteps {
				w.line("  … and %s more (--output json lists all)", count(int64(len(p.Steps)-i)))
				break
			}
			w.line("  %s", strings.TrimSpace(s.Action+" "+s.Object)+because(s.Reason))
		}
	}
	for _, n := range r.NotUndone {
		w.line("not undone: %s", n)
	}
	switch {
	case r.Preview && err == nil:
		w.line("nothing was changed. To do it: the same command with --yes")
		if r.Approval {
			w.line("what is done to the code wants a person's approval: at a terminal, or of the plan by --approval")
		}
		w.line("plan %s", r.Plan)
	case r.Safety != "" && err != nil:
		w.line("to go on, when the cause is mended: the same command again")
		w.line("to take back what was done: %s", r.Undo)
	case r.Safety != "":
		w.line("to undo: %s", r.Undo)
	}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}
