package guard

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Policy says how patient the guard is.
type Policy struct {
	Threshold int           `json:"failure_threshold"` // consecutive failed rounds that make it roll back
	Interval  time.Duration `json:"check_interval"`    // from the beginning of one round to that of the next
	Grace     time.Duration `json:"grace"`             // after the migration, in which failures do not count
	For       time.Duration `json:"for"`               // how long it watches, the grace included
	Timeout   time.Duration `json:"probe_timeout"`     // of one probe
}

// Validate says what cannot be meant.
func (p Policy) Validate() error {
	switch {
	case p.Threshold < 1:
		return fmt.Errorf("a failure threshold of %d would never, or always, roll back", p.Threshold)
	case p.Interval <= 0:
		return fmt.Errorf("the check interval must be longer than 0")
	case p.Timeout <= 0:
		return fmt.Errorf("the timeout of a probe must be longer than 0")
	case p.Grace < 0 || p.For <= 0:
		return fmt.Errorf("the watch must last longer than 0")
	case p.Grace >= p.For:
		return fmt.Errorf("the grace of %s leaves nothing of a watch of %s", p.Grace, p.For)
	}
	return nil
}

// Verdict is what is to be done.
type Verdict string

// The verdicts.
const (
	Continue Verdict = "continue"
	Well     Verdict = "well"      // the watch is over, and nothing is wrong
	RollBack Verdict = "roll back" // the migration must be taken back
	Blind    Verdict = "blind"     // the watch is over, and nothing was learnt
)

// Progress is what was seen so far. It is all that the verdict depends on, and what is kept in the catalog.
type Progress struct {
	Since       time.Time `json:"since"` // when the migrations were applied
	Rounds      int       `json:"rounds"`
	Healthy     int       `json:"healthy"`
	Failed      int       `json:"failed"`
	Unknown     int       `json:"unknown"`
	Consecutive int       `json:"consecutive"` // failed rounds in a row, as of now
	Failing     []string  `json:"failing"`     // probes that failed in the last of them
	Reason      string    `json:"reason"`      // what the last failed round said
	Last        time.Time `json:"last"`        // the last round
}

// Judge adds a round to what was seen and says what is to be done. A round fails when any probe fails. It is unknown, and
// changes nothing, when no probe fails but one that failed last time could not be asked, or none could be asked.
func (p Policy) Judge(seen Progress, at time.Time, round []Finding) (Progress, Verdict) {
	seen.Rounds++
	seen.Last = at
	var failing, reasons []string
	healthy, held := false, false
	for _, f := range round {
		switch f.State {
		case Failed:
			failing = append(failing, f.Probe)
			reasons = append(reasons, f.Probe+": "+f.Reason)
		case Unknown:
			held = held || slices.Contains(seen.Failing, f.Probe)
		case Healthy:
			healthy = true
		}
	}
	elapsed := at.Sub(seen.Since)
	switch {
	case len(failing) > 0:
		seen.Failed++
		seen.Reason = strings.Join(reasons, "; ")
		if elapsed >= p.Grace {
			seen.Consecutive++
			seen.Failing = failing
		}
	case held || !healthy:
		seen.Unknown++
	default:
		seen.Healthy++
		seen.Consecutive, seen.Failing = 0, nil
	}
	switch {
	case seen.Consecutive >= p.Threshold:
		return seen, RollBack
	case elapsed < p.For:
		return seen, Continue
	case seen.Consecutive == 0 && seen.Healthy > 0:
		return seen, Well
	case elapsed >= p.For+p.patience():
		return seen, Blind // the question stays open, and nobody answers it
	case seen.Consecutive > 0:
		return seen, Continue // a failure is under way: it ends, or it reaches the threshold
	}
	return seen, Blind
}

// patience is how much longer than For a failure that is under way is watched.
func (p Policy) patience() time.Duration { return 2 * time.Duration(p.Threshold) * p.Interval }

// Why puts a verdict of RollBack into one line.
func (p Policy) Why(seen Progress) string {
	return fmt.Sprintf("%d consecutive failed checks: %s", seen.Consecutive, seen.Reason)
}
