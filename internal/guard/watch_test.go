package guard

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeClock stands still until somebody waits, and then is where it was waited for.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	ch := make(chan time.Time, 1)
	ch <- c.now
	return ch
}

// scripted answers what a script says, then well.
type scripted struct {
	states []State
	asked  []time.Time
	clock  *fakeClock
}

func (s *scripted) Name() string { return "script" }

func (s *scripted) Check(context.Context) (State, string) {
	s.asked = append(s.asked, s.clock.Now())
	if n := len(s.asked); n <= len(s.states) {
		return s.states[n-1], "says so"
	}
	return Healthy, ""
}

func watching(p Probe, clock Clock, database error) (*Watch, *[]Progress) {
	saved := &[]Progress{}
	return &Watch{
		Policy: Policy{Threshold: 3, Interval: 10 * time.Second, For: time.Minute, Timeout: 50 * time.Millisecond}, Probes: []Probe{p}, Clock: clock,
		Database: func(context.Context) error { return database },
		Save: func(_ context.Context, seen Progress) error {
			*saved = append(*saved, seen)
			return nil
		},
	}, saved
}

func TestWatchRollsBackInTime(t *testing.T) {
	clock := &fakeClock{now: start}
	p := &scripted{states: []State{Healthy, Failed, Failed, Failed}, clock: clock}
	w, saved := watching(p, clock, nil)
	seen, verdict, err := w.Run(t.Context(), Progress{Since: start})
	if err != nil || verdict != RollBack || seen.Rounds != 4 {
		t.Fatalf("%v, %s, %+v", err, verdict, seen)
	}
	if took := clock.Now().Sub(start); took != 30*time.Second { // it failed at 10s; threshold x interval later is 40s
		t.Errorf("decided after %s", took)
	}
	if len(*saved) != 4 || (*saved)[2].Consecutive != 2 {
		t.Errorf("saved: %+v", *saved)
	}
}

// What was saved is enough to go on: the same rounds in two halves lead to the same verdict.
func TestWatchGoesOn(t *testing.T) {
	clock := &fakeClock{now: start}
	first := &scripted{states: []State{Failed, Failed}, clock: clock}
	w, saved := watching(first, clock, nil)
	ctx, cancel := context.WithCancel(t.Context())
	w.Round = func(seen Progress, _ []Finding) {
		if seen.Rounds == 2 {
			cancel()
		}
	}
	if _, _, err := w.Run(ctx, Progress{Since: start}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	clock.now = clock.now.Add(time.Second) // the guard was gone for a second
	second := &scripted{states: []State{Failed}, clock: clock}
	w, _ = watching(second, clock, nil)
	seen, verdict, err := w.Run(t.Context(), (*saved)[len(*saved)-1])
	if err != nil || verdict != RollBack || seen.Rounds != 3 || len(second.asked) != 1 {
		t.Errorf("%v, %s, %+v", err, verdict, seen)
	}
}

// Whatever fails while the database does not answer either is the guard's own trouble.
func TestOwnNetwork(t *testing.T) {
	clock := &fakeClock{now: start}
	p := &scripted{states: make([]State, 1000), clock: clock}
	for i := range p.states {
		p.states[i] = Failed
	}
	w, _ := watching(p, clock, errors.New("no route to host"))
	seen, verdict, err := w.Run(t.Context(), Progress{Since: start})
	if err != nil || verdict != Blind || seen.Failed != 0 || seen.Unknown != seen.Rounds {
		t.Errorf("%v, %s, %+v", err, verdict, seen)
	}
	round := w.Ask(t.Context())
	if round[0].State != Unknown || !strings.Contains(round[0].Reason, "no route to host") {
		t.Errorf("%+v", round)
	}
}

// stuck never answers, and does not listen.
type stuck struct{ release chan struct{} }

func (stuck) Name() string { return "stuck" }

func (s stuck) Check(context.Context) (State, string) {
	<-s.release
	return Healthy, ""
}

func TestStuckProbeIsCutOff(t *testing.T) {
	s := stuck{make(chan struct{})}
	defer close(s.release)
	w, _ := watching(s, System{}, nil)
	round := w.Ask(t.Context())
	if round[0].State != Failed || round[0].Reason != "no answer within 50ms" {
		t.Errorf("%+v", round)
	}
}

// That nothing can be saved does not end the watch.
func TestSaveFails(t *testing.T) {
	clock := &fakeClock{now: start}
	w, _ := watching(&scripted{clock: clock}, clock, nil)
	w.Save = func(context.Context, Progress) error { return errors.New("disk full") }
	troubles := 0
	w.Trouble = func(error) { troubles++ }
	if seen, verdict, err := w.Run(t.Context(), Progress{Since: start}); err != nil || verdict != Well || troubles != seen.Rounds {
		t.Errorf("%v, %s, %d troubles in %+v", err, verdict, troubles, seen)
	}
}
