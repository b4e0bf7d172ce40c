package guard

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Watch asks the probes, round after round, until there is a verdict.
type Watch struct {
	Policy   Policy
	Probes   []Probe
	Clock    Clock
	Database func(ctx context.Context) error                // does the migrated database answer?
	Save     func(ctx context.Context, seen Progress) error // keeps what was seen; that it fails does not end the watch
	Round    func(seen Progress, round []Finding)           // told after each round; may be nil
	Trouble  func(err error)                                // told that Save failed; may be nil
}

// Run watches on from what was seen before. The error is ctx's: what was seen until then is saved.
func (w *Watch) Run(ctx context.Context, seen Progress) (Progress, Verdict, error) {
	next := seen.Last.Add(w.Policy.Interval)
	for {
		if wait := next.Sub(w.Clock.Now()); wait > 0 {
			select {
			case <-ctx.Done():
				return seen, Continue, ctx.Err()
			case <-w.Clock.After(wait):
			}
		}
		began := w.Clock.Now()
		round := w.Ask(ctx)
		if ctx.Err() != nil { // the probes were cut off by us
			return seen, Continue, ctx.Err()
		}
		var verdict Verdict
		seen, verdict = w.Policy.Judge(seen, began, round)
		if err := w.save(ctx, seen); err != nil && w.Trouble != nil {
			w.Trouble(err)
		}
		if w.Round != nil { // what was told is saved
			w.Round(seen, round)
		}
		if verdict != Continue {
			return seen, verdict, nil
		}
		next = began.Add(w.Policy.Interval)
	}
}

// save does not wait for a database that is gone.
func (w *Watch) save(ctx context.Context, seen Progress) error {
	limited, cancel := context.WithTimeout(ctx, w.Policy.Timeout)
	defer cancel()
	return w.Save(limited, seen)
}

// Ask asks all probes at the same time. What fails while the database does not answer either may be the guard's own
// network: it counts as unknown.
func (w *Watch) Ask(ctx context.Context) []Finding {
	round := make([]Finding, len(w.Probes))
	var wg sync.WaitGroup
	for i, p := range w.Probes {
		wg.Add(1)
		go func() {
			defer wg.Done()
			round[i] = ask(ctx, p, w.Policy.Timeout)
		}()
	}
	wg.Wait()
	failed := false
	for _, f := range round {
		failed = failed || f.State == Failed
	}
	if !failed || ctx.Err() != nil {
		return round
	}
	answers, cancel := context.WithTimeout(ctx, w.Policy.Timeout)
	defer cancel()
	if err := w.Database(answers); err != nil {
		for i := range round {
			if round[i].State == Failed {
				round[i].State = Unknown
				round[i].Reason += fmt.Sprintf("; but the database does not answer either, so this may be the guard's own network (%v)", err)
			}
		}
	}
	return round
}

// ask asks one probe and cuts it off: also one that does not listen to its context.
func ask(ctx context.Context, p Probe, timeout time.Duration) Finding {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := time.Now()
	answer := make(chan Finding, 1)
	go func() {
		state, reason := p.Check(limited)
		answer <- Finding{Probe: p.Name(), State: state, Reason: reason}
	}()
	var f Finding
	select {
	case f = <-answer:
		if limited.Err() != nil && f.State == Failed {
			f.Reason = late(timeout)
		}
	case <-limited.Done():
		f = Finding{Probe: p.Name(), State: Failed, Reason: late(timeout)}
	}
	f.Took = time.Since(began)
	return f
}

func late(timeout time.Duration) string { return fmt.Sprintf("no answer within %s", timeout) }
