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

// petition is what a person is asked for.
type petition struct {
	plan      string // hash
	what      string // "undoing 1 migration: …"
	direction migrate.Direction
	target    any
	details   any
	reason    string
	show      func() // to who sits at the terminal
	waits     bool   // for a file: the plan could not be known, and signed, before
}

// approve asks for consent to a plan and says who gave it. Only a rollback waits for a file.
func (g *guarding) approve(ctx context.Context, plan *migrate.Plan, reason string) (by string, err error) {
	return g.s.approved(ctx, g.o.approval, g.clock, petition{plan: plan.Hash, what: planned(plan), direction: plan.Direction, target: plan.Target, details: planDocument(plan), reason: reason,
		show: func() { g.s.showPlan(plan) }, waits: plan.Direction != migrate.Up})
}

// approved asks for consent and says who gave it. Without consent the error is a *guard.RefusedApproval.
func (s *session) approved(ctx context.Context, way approvalWay, clock guard.Clock, c petition) (by string, err error) {
	deadline := clock.Now().Add(way.wait)
	s.out.note("approval wanted for %s, plan %s", c.what, c.plan)
	for {
		switch way.way {
		case "terminal":
			return s.askApproval(ctx, c)
		case "file":
			by, err = way.read(c.plan, clock.Now())
			if !c.waits {
				return by, err
			}
		case "webhook":
			by, err = guard.AskWebhook(ctx, way.where, guard.Request{Version: 1, Plan: c.plan, Direction: string(c.direction), Target: c.target, Reason: c.reason, Details: c.details})
			if !errors.Is(err, guard.ErrPending) {
				return by, err
			}
		}
		if err == nil {
			return by, nil
		}
		if !clock.Now().Before(deadline) {
			if errors.Is(err, guard.ErrPending) {
				err = &guard.RefusedApproval{Reason: fmt.Sprintf("nobody answered within %s", way.wait)}
			}
			return "", err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-clock.After(approvalPause):
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

func (a approvalWay) read(plan string, now time.Time) (string, error) {
	key, err := guard.ReadPublicKey(a.key)
	if err != nil {
		return "", &usageError{message: err.Error(), hint: "--approval-key FILE; dbrollback approve key makes a pair"}
	}
	signed, err := guard.ReadApproval(a.where)
	if err != nil {
		return "", err
	}
	return signed.By, signed.Check(key, plan, now)
}

// askApproval asks whoever sits there. --yes does not answer this: it is the very question that a person must answer.
func (s *session) askApproval(ctx context.Context, c petition) (string, error) {
	if !s.InTerminal {
		return "", &guard.RefusedApproval{Reason: "there is no terminal to ask on"}
	}
	s.progress.end()
	c.show()
	if c.reason != "" {
		s.out.note("why: %s", c.reason)
	}
	fmt.Fprintf(s.Err, "approve %s? [y/N] ", c.what)
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
