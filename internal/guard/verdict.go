package guard

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Policy says how patient the guard is.
type Policy struct {
	Threshold int           // consecutive failed rounds that make it roll back
	Interval  time.Duration // from the beginning of one round to that of the next
	Grace     time.Duration // after the migration, in which failures do not count
	For       time.Duration // how long it watches, the grace included
	Timeout   time.Duration // of one probe
}

// policyText is a policy in JSON.
type policyText struct {
	Threshold int    `json:"failure_threshold"`
	Interval  string `json:"check_interval"`
	Grace     string `json:"grace"`
	For       string `json:"for"`
	Timeout   string `json:"probe_timeout"`
}

// MarshalJSON writes durations as people do.
func (p Policy) MarshalJSON() ([]byte, error) {
	return json.Marshal(policyText{p.Threshold, p.Interval.String(), p.Grace.String(), p.For.String(), p.Timeout.String()})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Policy) UnmarshalJSON(b []byte) error {
	var t policyText
	if err := json.Unmarshal(b, &t); err != nil {
		return err
	}
	p.Threshold = t.Threshold
	for text, into := range map[*string]*time.Duration{&t.Interval: &p.Interval, &t.Grace: &p.Grace, &t.For: &p.For, &t.Timeout: &p.Timeout} {
		d, err := time.ParseDuration(*text)
		if err != nil {
			return err
		}
		*into = d
	}
	return nil
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
	Step        int       `json:"step"`  // of a gradual rollout, from 0
	Rounds      int       `json:"rounds"`
	Healthy     int       `json:"healthy"`
	Failed      int       `json:"failed"`
	Unknown     int       `json:"unknown"`
	Consecutive int       `json:"consecutive"` // failed rounds in a row, as of now
	Failing     []string  `json:"failing"`     // probes that failed in the last of them
	Held        int       `json:"held"`        // unknown rounds in a row, as of now
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
		seen.Held = 0
		seen.Reason = strings.Join(reasons, "; ")
		if elapsed >= p.Grace {
			seen.Consecutive++
			seen.Failing = failing
		}
	case held || !healthy:
		seen.Unknown++
		seen.Held++
	default:
		seen.Healthy++
		seen.Consecutive, seen.Failing, seen.Held = 0, nil, 0
	}
	switch {
	case seen.Consecutive >= p.Threshold:
		return seen, RollBack
	case elapsed < p.For:
		return seen, Continue
	case seen.Consecutive == 0 && seen.Healthy > 0:
		return seen, Well
	case seen.Consecutive > 0 && seen.Held < 2*p.Threshold:
		return seen, Continue // a failure is under way: it ends, or it reaches the threshold
	}
	return seen, Blind // nothing was seen, or the question stays open and nobody answers it
}

// Why puts a verdict of RollBack into one line.
func (p Policy) Why(seen Progress) string {
	return fmt.Sprintf("%d consecutive failed checks: %s", seen.Consecutive, seen.Reason)
}
