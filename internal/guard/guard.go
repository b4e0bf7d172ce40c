// Package guard watches a service after its database was migrated, and decides whether the migration must be taken back. It
// promises that the decision follows from consecutive failures alone, that what may be the guard's own trouble (its network, its
// monitoring) is never counted against the service, and that a decision, once acted upon, is not acted upon twice.
//
// The verdict is a pure function of what was seen so far and of one more round of probes (verdict.go); the watch asks the
// probes and keeps the time, which it is given (watch.go); what was seen lies in the catalog of the migrated database, so that
// a guard that was killed goes on where it stopped (store.go).
package guard

import (
	"context"
	"time"
)

// State is what one probe says about the service.
type State string

// The states.
const (
	Healthy State = "healthy"
	Failed  State = "failed"
	Unknown State = "unknown" // nothing was learnt about the service
)

// Finding is the answer of one probe in one round.
type Finding struct {
	Probe  string        `json:"probe"`
	State  State         `json:"state"`
	Reason string        `json:"reason,omitempty"` // why it failed, or why nothing was learnt
	Took   time.Duration `json:"-"`
}

// Probe asks one question about the service.
type Probe interface {
	// Name tells the probe apart, for people; it has no secrets.
	Name() string
	// Check asks. It ends soon after ctx does.
	Check(ctx context.Context) (State, string)
}

// Clock is the time, as the watch is given it.
type Clock interface {
	Now() time.Time
	// After is time.After.
	After(d time.Duration) <-chan time.Time
}

// System is the clock of the machine.
type System struct{}

// Now is the time in UTC.
func (System) Now() time.Time { return time.Now().UTC() }

// After is time.After.
func (System) After(d time.Duration) <-chan time.Time { return time.After(d) }
