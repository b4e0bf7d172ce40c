package main

import (
	"context"
	"fmt"
	"time"

	"github.com/dbrollback/dbrollback/internal/guard"
)

// trafficTime is the longest run of the command that moves the traffic, and trafficTries how often moving it back is tried.
const (
	trafficTime  = 5 * time.Minute
	trafficTries = 3
)

// move runs the user's command for a percentage.
func (g *guarding) move(ctx context.Context, percentage int) error {
	line, err := g.s.Strategy.command(percentage)
	if err != nil {
		return err
	}
	g.s.out.note("traffic: %d%%", percentage)
	limited, cancel := context.WithTimeout(ctx, trafficTime)
	defer cancel()
	if state, reason := (&guard.Command{Line: line}).Check(limited); state != guard.Healthy {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("the traffic could not be moved to %d%%: %s", percentage, reason)
	}
	return nil
}

// canary watches step by step: each is as long as the strategy says, and is remembered, so that a guard that was killed goes on
// with the step at which it stopped. It ends well, or with what makes it roll back.
func (g *guarding) canary(ctx context.Context) (seen guard.Progress, verdict guard.Verdict, err error) {
	steps := g.s.Strategy.percentages()
	seen = g.rec.Seen
	for seen.Step < len(steps) {
		percentage := steps[seen.Step]
		if err := g.move(ctx, percentage); err != nil {
			if ctx.Err() != nil {
				return seen, guard.Continue, ctx.Err()
			}
			seen.Reason = err.Error()
			return seen, guard.RollBack, nil
		}
		if seen, verdict, err = g.watch.Run(ctx, seen); err != nil || verdict != guard.Well {
			if verdict == guard.RollBack {
				seen.Reason = fmt.Sprintf("at %d%% of the traffic, %s", percentage, g.o.policy.Why(seen))
			}
			return seen, verdict, err
		}
		if seen.Step+1 == len(steps) {
			return seen, verdict, nil
		}
		seen = guard.Progress{Since: g.clock.Now(), Step: seen.Step + 1, Rounds: seen.Rounds, Failed: seen.Failed, Unknown: seen.Unknown}
		g.rec.Seen = seen
		if err := g.store.Save(ctx, g.rec); err != nil {
			g.s.out.warn("the step could not be saved: %v", err)
		}
	}
	return seen, guard.Well, nil
}

// divert takes the traffic away from the release before its database is rolled back. Without that, the release would go on
// writing to a schema that it does not know: then a person has to decide.
func (g *guarding) divert(ctx context.Context) error {
	if g.s.Strategy == nil {
		return nil
	}
	var err error
	for range trafficTries {
		if err = g.move(ctx, 0); err == nil || ctx.Err() != nil {
			return err
		}
		g.s.out.warn("%v", err)
	}
	return fmt.Errorf("%w; the database was not rolled back, because the release would go on writing to it: move the traffic, then run the same command again", err)
}
