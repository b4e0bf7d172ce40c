package migrate

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// DrillLock is a lock on a table that was seen to be held while a phase ran.
type DrillLock struct {
	Table   string  `json:"table"`
	Mode    string  `json:"mode"`
	Seconds float64 `json:"seconds"` // from when it was first seen to when it was last seen
	Seen    int     `json:"seen"`    // how often
}

// lockPause is the time between two looks at the locks: what is held for less may go unseen.
const lockPause = 5 * time.Millisecond

// sampler looks at the locks that are held, over a connection of its own, until it is stopped.
type sampler struct {
	cancel context.CancelFunc
	done   chan struct{}
	locks  []DrillLock
	why    string // there are none: the server does not tell
}

// sample begins to look. That locks cannot be seen does not fail a drill: it is said instead.
func (d *drill) sample(ctx context.Context) *sampler {
	ctx, cancel := context.WithCancel(ctx)
	s := &sampler{cancel: cancel, done: make(chan struct{}), locks: []DrillLock{}}
	if d.m.db.Caps.HeldLocks == "" {
		close(s.done)
		return s
	}
	session, err := d.m.db.Session(ctx)
	if err != nil {
		s.why = "locks could not be looked at: " + err.Error()
		close(s.done)
		return s
	}
	go func() {
		defer close(s.done)
		defer func() { _ = session.Close() }()
		s.look(ctx, d.m.db, session)
	}()
	return s
}

func (s *sampler) look(ctx context.Context, db *engine.DB, q engine.Querier) {
	type key struct {
		table engine.Name
		mode  string
	}
	first := map[key]time.Time{}
	at := map[key]int{}
	for {
		now := time.Now()
		held, why, err := db.HeldLocks(ctx, q)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.why = "locks could not be looked at: " + err.Error()
			return
		case why != "":
			s.why = why
			return
		}
		for _, h := range held {
			k := key{h.Table, h.Mode}
			if _, ok := first[k]; !ok {
				first[k], at[k] = now, len(s.locks)
				s.locks = append(s.locks, DrillLock{Table: h.Table.String(), Mode: h.Mode})
			}
			l := &s.locks[at[k]]
			l.Seconds = now.Sub(first[k]).Seconds()
			l.Seen++
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(lockPause):
		}
	}
}

// stop gives what was seen, by table.
func (s *sampler) stop() ([]DrillLock, string) {
	s.cancel()
	<-s.done
	slices.SortFunc(s.locks, func(a, b DrillLock) int {
		return strings.Compare(a.Table+" "+a.Mode, b.Table+" "+b.Mode)
	})
	return s.locks, s.why
}

// sampled notes at the last phase what was seen while it ran.
func (d *drill) sampled(s *sampler) {
	locks, why := s.stop()
	if n := len(d.r.Phases); n > 0 {
		d.r.Phases[n-1].Locks, d.r.Phases[n-1].LocksUnknown = locks, why
	}
}
