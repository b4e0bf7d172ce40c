// Package fleet brings many databases forward in waves. It knows no database: what is done to one of them, and how it is taken
// back, it is given. It promises that a wave begins only when all before it are through, that never more than so many databases are
// worked on at a time, and that after a failure the databases of that wave, and of no other, are taken back.
//
// Nothing is remembered between runs: whether a database is through already is asked of the database itself, so that a second run
// finishes what the first one left.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// OnFailure says what becomes of a wave in which a database fails.
type OnFailure string

// What a failure leads to.
const (
	RollBack OnFailure = "rollback" // the wave is taken back, and the run is over
	Stop     OnFailure = "stop"     // what is through stays, nothing more is begun
	GoOn     OnFailure = "continue" // the others are brought forward all the same
)

// Policy says how a fleet is gone through.
type Policy struct {
	Percentages []int // of the fleet that is through after each wave, rising, the last one 100
	Parallel    int   // databases that are worked on at a time; 0: all of a wave
	OnFailure   OnFailure
}

// Wave is a part of the fleet: the databases from First to before End.
type Wave struct {
	Number     int // from 1
	Percentage int // of the fleet that is through after it
	First, End int
}

// Waves cuts a fleet of n databases. A wave that would have no database is left out.
func (p Policy) Waves(n int) []Wave {
	var out []Wave
	first := 0
	for _, percentage := range p.Percentages {
		end := (n*percentage + 99) / 100 // the first wave has one database, however few there are
		if end > first {
			out = append(out, Wave{Number: len(out) + 1, Percentage: percentage, First: first, End: end})
			first = end
		}
	}
	return out
}

// State is what became of one database.
type State string

// The states.
const (
	NotBegun    State = "not begun"
	UpToDate    State = "up to date" // there was nothing to do
	Applied     State = "applied"
	RolledBack  State = "rolled back" // it was through, and was taken back with its wave
	Failed      State = "failed"
	Interrupted State = "interrupted"
)

// Outcome is what became of one database.
type Outcome struct {
	Wave  int
	State State
	Err   error // why it failed
	Back  error // why it could not be taken back; then it is not where it was
}

// ErrHalted is what Forward answers when it stopped because its wave has failed elsewhere.
var ErrHalted = errors.New("another database of the wave failed")

// Work is what is done to the databases, each by its number. Several are worked on at the same time.
type Work interface {
	// Forward brings a database forward and says whether there was anything to do. It may stop, with ErrHalted, once halt is
	// over: the database is taken back then, if anything was changed.
	Forward(ctx, halt context.Context, i int) (changed bool, err error)
	// Back takes a database back to where it was, also after a Forward that failed half-way.
	Back(ctx context.Context, i int) error
}

// Teller is told how a run goes on, from several goroutines.
type Teller interface {
	Begins(w Wave, of int)
	Ended(i int, o Outcome)
	TakesBack(w Wave, databases int)
}

// Run brings n databases forward, wave by wave. The error is ctx's; a failure of a database is in its outcome.
func Run(ctx context.Context, n int, p Policy, work Work, teller Teller) ([]Outcome, error) {
	out := make([]Outcome, n)
	waves := p.Waves(n)
	for _, w := range waves {
		for i := w.First; i < w.End; i++ {
			out[i] = Outcome{Wave: w.Number, State: NotBegun}
		}
	}
	for _, w := range waves {
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		teller.Begins(w, len(waves))
		r := &running{Policy: p, Wave: w, work: work, teller: teller, out: out}
		if failed := r.forward(ctx); !failed || ctx.Err() != nil || p.OnFailure == GoOn {
			continue
		}
		if p.OnFailure == RollBack {
			r.back(ctx)
		}
		return out, ctx.Err()
	}
	return out, ctx.Err()
}

// running is one wave under way.
type running struct {
	Policy
	Wave
	work   Work
	teller Teller
	out    []Outcome
}

// each calls f for databases of the wave, as many at a time as is allowed, as long as more is true.
func (r *running) each(which []int, more func() bool, f func(i int)) {
	at := r.Parallel
	if at < 1 {
		at = len(r.out)
	}
	places := make(chan struct{}, at)
	var wg sync.WaitGroup
	for _, i := range which {
		places <- struct{}{}
		if !more() {
			break
		}
		wg.Add(1)
		go func() {
			defer func() { <-places; wg.Done() }()
			f(i)
		}()
	}
	wg.Wait()
}

func (r *running) forward(ctx context.Context) (failed bool) {
	halt, cancel := context.WithCancel(ctx)
	defer cancel()
	var bad atomic.Bool
	var all []int
	for i := r.First; i < r.End; i++ {
		all = append(all, i)
	}
	r.each(all, func() bool { return ctx.Err() == nil && (!bad.Load() || r.OnFailure == GoOn) }, func(i int) {
		changed, err := guarded(func() (bool, error) { return r.work.Forward(ctx, halt, i) })
		o := &r.out[i]
		switch {
		case errors.Is(err, ErrHalted):
			if changed {
				o.State = Applied
			}
		case err != nil && ctx.Err() != nil:
			o.State, o.Err = Interrupted, err
		case err != nil:
			o.State, o.Err = Failed, err
			bad.Store(true)
			if r.OnFailure == RollBack {
				cancel()
			}
		case changed:
			o.State = Applied
		default:
			o.State = UpToDate
		}
		r.teller.Ended(i, *o)
	})
	return bad.Load()
}

// back takes the wave back: what this run has brought forward, and what failed on its way.
func (r *running) back(ctx context.Context) {
	var which []int
	for i := r.First; i < r.End; i++ {
		if s := r.out[i].State; s == Applied || s == Failed {
			which = append(which, i)
		}
	}
	r.teller.TakesBack(r.Wave, len(which))
	r.each(which, func() bool { return ctx.Err() == nil }, func(i int) {
		o := &r.out[i]
		_, err := guarded(func() (bool, error) { return false, r.work.Back(ctx, i) })
		if err != nil {
			o.Back = err
		} else if o.State == Applied {
			o.State = RolledBack
		}
		r.teller.Ended(i, *o)
	})
}

// guarded keeps a panic of one database from leaving the others half-way.
func guarded(f func() (bool, error)) (changed bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("internal error, please report it: %v", r)
		}
	}()
	return f()
}
