package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestWaves(t *testing.T) {
	steps := []int{10, 30, 50, 70, 90, 100}
	for n, want := range map[int]string{
		0:  "",
		1:  "0-1@10",
		2:  "0-1@10 1-2@70",
		3:  "0-1@10 1-2@50 2-3@70",
		10: "0-1@10 1-3@30 3-5@50 5-7@70 7-9@90 9-10@100",
		50: "0-5@10 5-15@30 15-25@50 25-35@70 35-45@90 45-50@100",
	} {
		var got []string
		for i, w := range (Policy{Percentages: steps}).Waves(n) {
			if w.Number != i+1 {
				t.Errorf("%d: wave %d is number %d", n, i+1, w.Number)
			}
			got = append(got, fmt.Sprintf("%d-%d@%d", w.First, w.End, w.Percentage))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%d databases: %s, want %s", n, s, want)
		}
	}
}

// numbers is a fleet of counters: Forward makes it 2, Back makes it 1.
type numbers struct {
	mu      sync.Mutex
	at      []int
	bad     map[int]bool // these fail
	stuck   map[int]bool // these cannot be taken back
	watches map[int]bool // these are through only when their wave has failed
	now     int
	most    int
	order   []string
	on      func(i int)
}

func (n *numbers) Forward(ctx, halt context.Context, i int) (bool, error) {
	n.mu.Lock()
	n.now++
	n.most = max(n.most, n.now)
	n.mu.Unlock()
	if n.on != nil {
		n.on(i)
	}
	if n.watches[i] {
		n.set(i, 2)
		<-halt.Done()
	}
	defer func() { n.mu.Lock(); n.now--; n.mu.Unlock() }()
	switch {
	case n.watches[i]:
		return true, ErrHalted
	case ctx.Err() != nil:
		return false, ctx.Err()
	case n.bad[i]:
		return false, fmt.Errorf("%d is bad", i)
	case n.get(i) == 2:
		return false, nil
	}
	n.set(i, 2)
	return true, nil
}

func (n *numbers) Back(_ context.Context, i int) error {
	if n.stuck[i] {
		return errors.New("stuck")
	}
	n.set(i, 1)
	return nil
}

func (n *numbers) set(i, v int) { n.mu.Lock(); n.at[i] = v; n.mu.Unlock() }
func (n *numbers) get(i int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.at[i]
}

func (n *numbers) Begins(w Wave, of int) {
	n.order = append(n.order, fmt.Sprintf("%d/%d", w.Number, of))
}
func (n *numbers) Ended(int, Outcome) {}
func (n *numbers) TakesBack(w Wave, databases int) {
	n.order = append(n.order, fmt.Sprintf("back %d: %d", w.Number, databases))
}

func newNumbers(n int, bad ...int) *numbers {
	f := &numbers{at: slices.Repeat([]int{1}, n), bad: map[int]bool{}, stuck: map[int]bool{}, watches: map[int]bool{}}
	for _, b := range bad {
		f.bad[b] = true
	}
	return f
}

// at2 lists where the fleet is brought to 2, as ranges.
func (n *numbers) through() string {
	var out []string
	for i := 0; i < len(n.at); i++ {
		first := i
		for i < len(n.at) && n.at[i] == 2 {
			i++
		}
		if i > first {
			out = append(out, fmt.Sprintf("%d-%d", first, i-1))
		}
	}
	return strings.Join(out, " ")
}

func states(out []Outcome) string {
	count := map[State]int{}
	for _, o := range out {
		count[o.State]++
	}
	var words []string
	for _, s := range []State{UpToDate, Applied, RolledBack, Failed, Interrupted, NotBegun} {
		if count[s] > 0 {
			words = append(words, fmt.Sprintf("%d %s", count[s], s))
		}
	}
	return strings.Join(words, ", ")
}

func TestRun(t *testing.T) {
	steps := []int{10, 30, 50, 70, 90, 100}
	for name, c := range map[string]struct {
		on      OnFailure
		bad     []int
		through string
		states  string
	}{
		"all well":           {RollBack, nil, "0-49", "50 applied"},
		"two fail":           {RollBack, []int{7, 12}, "0-4", ""}, // how many were begun depends on who is faster
		"the first fails":    {RollBack, []int{0}, "", ""},
		"two fail, stop":     {Stop, []int{49}, "0-48", "49 applied, 1 failed"},
		"two fail, continue": {GoOn, []int{7, 32}, "0-6 8-31 33-49", "48 applied, 2 failed"},
	} {
		f := newNumbers(50, c.bad...)
		out, err := Run(t.Context(), 50, Policy{Percentages: steps, Parallel: 3, OnFailure: c.on}, f, f)
		if err != nil || f.through() != c.through || c.states != "" && states(out) != c.states || f.most > 3 {
			t.Errorf("%s: %v: through %q, %s, %d at a time", name, err, f.through(), states(out), f.most)
		}
		for _, b := range c.bad {
			if o := out[b]; o.State == Failed && o.Err == nil || o.State != Failed && o.State != NotBegun {
				t.Errorf("%s: %d is %+v", name, b, o)
			}
		}
		// A second run, after the cause is gone, finishes the rest, and only that.
		had := strings.Count(fmt.Sprint(f.at), "2")
		f.bad = nil
		if out, err = Run(t.Context(), 50, Policy{Percentages: steps, Parallel: 3, OnFailure: c.on}, f, f); err != nil || f.through() != "0-49" {
			t.Errorf("%s, again: %v: through %q", name, err, f.through())
		}
		want := fmt.Sprintf("%d up to date, %d applied", had, 50-had)
		if want = strings.TrimPrefix(strings.TrimSuffix(want, ", 0 applied"), "0 up to date, "); states(out) != want {
			t.Errorf("%s, again: %s, want %s", name, states(out), want)
		}
	}
}

func TestRunTakesTheWaveBack(t *testing.T) {
	f := newNumbers(10, 2)
	f.watches[1], f.stuck[1] = true, true
	out, err := Run(t.Context(), 10, Policy{Percentages: []int{10, 30, 100}, OnFailure: RollBack}, f, f)
	if err != nil || out[0].State != Applied || out[1].State != Applied || out[1].Back == nil || out[2].State != Failed || out[2].Back != nil || out[3].State != NotBegun {
		t.Errorf("%v %+v", err, out)
	}
	if got := strings.Join(f.order, ", "); got != "1/3, 2/3, back 2: 2" {
		t.Error(got)
	}
}

func TestRunInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := newNumbers(10)
	f.on = func(i int) {
		if i == 4 {
			cancel()
		}
	}
	out, err := Run(ctx, 10, Policy{Percentages: []int{100}, Parallel: 1, OnFailure: RollBack}, f, f)
	if !errors.Is(err, context.Canceled) || f.through() != "0-3" || states(out) != "4 applied, 1 interrupted, 5 not begun" {
		t.Errorf("%v: through %q, %s", err, f.through(), states(out))
	}
}

type explosive struct{ *numbers }

func (explosive) Forward(context.Context, context.Context, int) (bool, error) { panic("boom") }

func TestRunSurvivesAPanic(t *testing.T) {
	f := newNumbers(1)
	out, err := Run(t.Context(), 1, Policy{Percentages: []int{100}, OnFailure: Stop}, explosive{f}, f)
	if err != nil || out[0].State != Failed || !strings.Contains(out[0].Err.Error(), "boom") {
		t.Errorf("%v %+v", err, out)
	}
}
