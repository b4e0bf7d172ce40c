package main

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/guard"
	"github.com/dbrollback/dbrollback/internal/migrate"
)

// approvalWay is how a person's approval reaches us.
type approvalWay struct {
	way   string // terminal | file | webhook
	where string // path or URL
	key   string // file of the public key
	wait  time.Duration
}

// approvalWays are the ways, for messages.
var approvalWays = []string{"terminal", "file", "webhook"}

// Validate refuses a way that leads nowhere.
func (a approvalWay) Validate() error {
	switch {
	case !slices.Contains(approvalWays, a.way):
		return &usageError{message: fmt.Sprintf("--approval %q is unknown", a.way), hint: "--approval terminal, file:PATH or webhook:URL"}
	case a.way != "terminal" && a.where == "":
		return &usageError{message: fmt.Sprintf("--approval %s names no place", a.way), hint: "--approval file:approval.json or webhook:https://host/path"}
	case a.way == "file" && a.key == "":
		return &usageError{message: "an approval in a file wants the public key to check it with", hint: "--approval-key approver.pem.pub; dbrollback approve key makes a pair"}
	}
	return nil
}

// approvalPause is how often a file or a webhook is looked at again.
const approvalPause = 2 * time.Second

// approve asks for consent to a plan and says who gave it. Without consent the error is a *guard.RefusedApproval. Only a rollback
// waits for a file: its plan could not be known, and signed, before.
func (g *guarding) approve(ctx context.Context, plan *migrate.Plan, reason string) (by string, err error) {
	deadline := g.clock.Now().Add(g.o.approval.wait)
	g.s.out.note("approval wanted for %s, plan %s", planned(plan), plan.Hash)
	for {
		switch g.o.approval.way {
		case "terminal":
			return g.askTerminal(ctx, plan, reason)
		case "file":
			by, err = g.readApproval(plan)
			if plan.Direction == migrate.Up {
				return by, err
			}
		case "webhook":
			by, err = guard.AskWebhook(ctx, g.o.approval.where, guard.Request{Version: 1, Plan: plan.Hash, Direction: string(plan.Direction), Target: plan.Target, Reason: reason, Details: planDocument(plan)})
			if !errors.Is(err, guard.ErrPending) {
				return by, err
			}
		}
		if err == nil {
			return by, nil
		}
		if !g.clock.Now().Before(deadline) {
			if errors.Is(err, guard.ErrPending) {
				err = &guard.RefusedApproval{Reason: fmt.Sprintf("nobody answered within %s", g.o.approval.wait)}
			}
			return "", err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-g.clock.After(approvalPause):
		}
	}
}

func planned(p *migrate.Plan) string {
	verb := "applying"
	if p.Direction == migrate.Down {
		verb = "undoing"
	}
	return fmt.Sprintf("%s %s: version %d -> %d", verb, number(int64(len(p.Migrations)), "migration", "migrations"), p.From, p.To)
}

func (g *guarding) readApproval(plan *migrate.Plan) (string, error) {
	key, err := guard.ReadPublicKey(g.o.approval.key)
	if err != nil {
		return "", &usageError{message: err.Error(), hint: "--approval-key FILE; dbrollback approve key makes a pair"}
	}
	a, err := guard.ReadApproval(g.o.approval.where)
	if err != nil {
		return "", err
	}
	return a.By, a.Check(key, plan.Hash, g.clock.Now())
}

// askTerminal asks whoever sits there. --yes does not answer this: it is the very question that a person must answer.
func (g *guarding) askTerminal(ctx context.Context, plan *migrate.Plan, reason string) (string, error) {
	s := g.s
	if !s.InTerminal {
		return "", &guard.RefusedApproval{Reason: "there is no terminal to ask on"}
	}
	s.progress.end()
	s.showPlan(plan)
	if reason != "" {
		s.out.note("why: %s", reason)
	}
	fmt.Fprintf(s.Err, "approve %s? [y/N] ", planned(plan))
	answer, err := s.readLine(ctx)
	if err != nil {
		return "", err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		if u, err := user.Current(); err == nil {
			return u.Username, nil
		}
		return "somebody at the terminal", nil
	}
	return "", &guard.RefusedApproval{Reason: "declined at the terminal"}
}
