// Package report makes one page of what happened to a database: what can still be undone and until when, what could not be, the timeline of
// runs, and row counts and durations as plots. The page is one file that asks for nothing: no script, style, picture or font of it lies
// elsewhere, and its policy forbids the browser to fetch any.
//
// It is pure: from records to text. The plots are drawn here, as SVG; a few lines of script filter the timeline, and the page is whole
// without them.
package report

import (
	"time"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// Data is what the page tells of.
type Data struct {
	Made       time.Time // when it was read
	Program    string    // name and release
	Target     string    // for people, without a password
	Current    int64     // version
	Migrations []Migration
	Releases   []Release
	Snapshots  []snapshot.Snapshot
	Entries    []audit.Entry // the newest first
	Left       bool          // older entries were left out
	Broken     string        // why the log's chain does not hold; "" when it does
	Unfinished []string      // runs that were cut off
	Drift      []string      // what is not as migrations left it
}

// Migration is one that is applied or pending.
type Migration struct {
	Version   int64
	File      string
	AppliedAt *time.Time // nil when pending
	Captured  bool       // applied with captures
}

// Release is a name for a version.
type Release struct {
	Name     string
	Version  int64
	TaggedAt time.Time
}

// Words write numbers as the rest of the program does.
type Words struct {
	Count   func(int64) string
	Size    func(int64) string
	Seconds func(float64) string
	Moment  func(time.Time) string
}

// soon is how long before the end of a capture the page warns of it.
const soon = 48 * time.Hour

// The states of a way back.
const (
	ready   = "ready"   // with its data
	ending  = "ending"  // with its data, but not for long
	partial = "partial" // not all data comes back
)

// step is one migration that is applied, and the way back before it.
type step struct {
	Migration
	Release string
	State   string
	Why     string
	Rows    int64
	Bytes   int64
	Until   *time.Time // nil: no end
	Back    int64      // the version that a rollback ends at
}

// steps are the applied migrations, the newest first. Undoing one undoes all after it: the way back is as good as the worst of them.
func steps(d *Data) []step {
	held := map[int64]*snapshot.Snapshot{} // the newest one that Up made
	for i := range d.Snapshots {
		s := &d.Snapshots[i]
		if s.Direction == "up" && held[s.Migration] == nil {
			held[s.Migration] = s
		}
	}
	var applied []Migration
	for _, m := range d.Migrations {
		if m.AppliedAt != nil {
			applied = append(applied, m)
		}
	}
	var out []step
	var until *time.Time
	state := ready
	for i := len(applied) - 1; i >= 0; i-- {
		s := step{Migration: applied[i], Release: d.release(applied[i].Version)}
		if i > 0 {
			s.Back = applied[i-1].Version
		}
		own := ready
		switch sn := held[s.Version]; {
		case !s.Captured:
			own, s.Why = partial, "applied without captures: its Down runs with --allow-uncaptured, what it destroyed is gone"
		case sn == nil:
			s.Why = "destroyed nothing"
		default:
			for _, c := range sn.Captures {
				if c.Status == "expired" || c.Status == "void" {
					own, s.Why = partial, "its captured data was dropped when its time was over"
					continue
				}
				s.Rows, s.Bytes = s.Rows+max(c.Rows, 0), s.Bytes+max(c.Bytes, 0)
				until = earlier(until, c.ExpiresAt)
			}
		}
		switch {
		case own == partial || state == partial:
			if own != partial {
				s.Why = "a migration after it cannot give all its data back"
			}
			state = partial
		case until != nil && until.Sub(d.Made) < soon:
			state = ending
		}
		s.State, s.Until = state, until
		out = append(out, s)
	}
	return out
}

func earlier(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}

// release is the newest name of a version.
func (d *Data) release(version int64) string {
	name, at := "", time.Time{}
	for _, r := range d.Releases {
		if r.Version == version && r.TaggedAt.After(at) {
			name, at = r.Name, r.TaggedAt
		}
	}
	return name
}
