package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// The kinds of events, one lane of the timeline each.
const (
	migration = "migration"
	release   = "release"
	capture   = "capture"
	drill     = "drill"
	rollback  = "rollback"
	restore   = "restore"
	guard     = "guard"
	other     = "other"
)

// lanes are the kinds in the order of the page.
var lanes = []struct{ Kind, Name string }{
	{migration, "migrations"}, {release, "releases"}, {capture, "captures"}, {drill, "drills"}, {guard, "guards"}, {rollback, "rollbacks"},
	{restore, "restores"}, {other, "other runs"},
}

// kinds say what an action of the log is.
var kinds = map[string]string{"up": migration, "import": migration, "recover": migration, "rollback": rollback, "restore": restore,
	"snapshot": capture, "release": release, "drill": drill, "guard": guard}

// event is one run, or a name given to a version.
type event struct {
	ID                         int // of its place in the page
	Run                        string
	At                         time.Time
	Kind, Action, Outcome      string
	User                       string
	From, To                   int64
	Versions                   []int64
	Files                      []string
	Releases                   []string
	Tables                     []audit.Change
	Seconds                    float64
	NotUndone                  []string
	Error                      string
	Detail                     []pair
	Hash                       string
	Snapshots                  []snapshot.Snapshot
	Captured                   int64 // rows
	Back, Removed, Conflicting int64 // rows and values
	Undo                       string
}

type pair struct{ Name, Value string }

// Title says what was done.
func (e event) Title() string {
	switch {
	case e.Action == "release":
		return "release " + strings.Join(e.Releases, ", ") + fmt.Sprintf(" is version %d", e.To)
	case e.Kind == restore && len(e.Tables) > 0:
		var names []string
		for _, t := range e.Tables {
			names = append(names, t.Table)
		}
		return e.Action + " of " + strings.Join(names, ", ")
	case e.Kind == restore || e.Kind == capture || e.Kind == guard && e.From == e.To:
		return e.Action
	case e.From == e.To:
		return fmt.Sprintf("%s at version %d", e.Action, e.To)
	}
	return fmt.Sprintf("%s, version %d → %d", e.Action, e.From, e.To)
}

// Failed tells whether it did not do what it set out to do.
func (e event) Failed() bool { return e.Outcome != audit.Done }

// Tip is the event in one line.
func (e event) Tip(w Words) string {
	t := w.Moment(e.At) + ": " + e.Title()
	if e.Failed() {
		t += ", " + e.Outcome
	}
	return t
}

// events joins the entries of a run, which has one a migration, with what it captured, and adds the releases that a run named on the
// way. The newest comes first.
func events(d *Data) []event {
	var out []event
	byRun := map[string]int{}
	named := map[string]bool{}
	for _, e := range d.Entries {
		i, known := byRun[e.Run]
		if !known || e.Run == "" || out[i].Action != e.Action {
			out = append(out, event{Run: e.Run, At: e.At, Kind: kindOf(e.Action), Action: e.Action, Outcome: e.Outcome, User: e.User, From: e.From, To: e.To, Hash: e.Hash})
			i = len(out) - 1
			byRun[e.Run] = i
		}
		out[i].add(e)
		if e.Action == "release" {
			named[e.Detail["release"]] = true
			out[i].Releases = []string{e.Detail["release"]}
			if len(e.Versions) == 1 {
				out[i].To = e.Versions[0]
			}
		}
	}
	files := map[int64]string{}
	for _, m := range d.Migrations {
		files[m.Version] = m.File
	}
	for i := range out {
		e := &out[i]
		slices.Sort(e.Versions)
		for _, v := range e.Versions {
			if files[v] != "" {
				e.Files = append(e.Files, files[v])
			}
		}
	}
	for _, s := range d.Snapshots {
		if i, ok := byRun[s.Run]; ok && s.Run != "" {
			out[i].Snapshots = append(out[i].Snapshots, s)
			for _, c := range s.Captures {
				out[i].Captured += max(c.Rows, 0)
			}
		}
	}
	for _, r := range d.Releases {
		if !named[r.Name] {
			out = append(out, event{At: r.TaggedAt, Kind: release, Action: "release", Outcome: audit.Done, From: r.Version, To: r.Version, Releases: []string{r.Name}})
		}
	}
	slices.SortStableFunc(out, func(a, b event) int { return b.At.Compare(a.At) })
	for i := range out {
		out[i].ID = len(out) - i
		out[i].Undo = undo(&out[i])
	}
	return out
}

// add takes in another entry of the run, an older one.
func (e *event) add(a audit.Entry) {
	if len(a.Versions) > 0 && a.Outcome == audit.Done {
		e.From = a.From
	}
	for _, v := range a.Versions {
		if !slices.Contains(e.Versions, v) {
			e.Versions = append(e.Versions, v)
		}
	}
	e.Seconds = max(e.Seconds, a.DurationSeconds) // each tells the time since the run began
	for _, t := range a.Tables {
		e.Back, e.Removed, e.Conflicting = e.Back+t.Inserted+t.Updated, e.Removed+t.Deleted, e.Conflicting+t.Conflicts
		if i := slices.IndexFunc(e.Tables, func(x audit.Change) bool { return x.Table == t.Table }); i >= 0 {
			x := &e.Tables[i]
			x.Inserted, x.Updated, x.Deleted, x.Conflicts = x.Inserted+t.Inserted, x.Updated+t.Updated, x.Deleted+t.Deleted, x.Conflicts+t.Conflicts
			continue
		}
		e.Tables = append(e.Tables, t)
	}
	for _, n := range a.NotUndone {
		if !slices.Contains(e.NotUndone, n) {
			e.NotUndone = append(e.NotUndone, n)
		}
	}
	if e.Error == "" {
		e.Error = a.Error
	}
	for name, value := range a.Detail {
		if !slices.ContainsFunc(e.Detail, func(p pair) bool { return p.Name == name }) {
			e.Detail = append(e.Detail, pair{name, value})
		}
	}
	slices.SortFunc(e.Detail, func(a, b pair) int { return strings.Compare(a.Name, b.Name) })
}

func kindOf(action string) string {
	if k, ok := kinds[action]; ok {
		return k
	}
	return other
}

// undo is the command that takes an event back, "" when there is none.
func undo(e *event) string {
	if e.Failed() {
		return ""
	}
	switch e.Kind {
	case rollback:
		if e.From > e.To {
			return fmt.Sprintf("dbrollback up --to %d", e.From)
		}
	case restore:
		for _, p := range e.Detail {
			if p.Name == "safety" {
				return "dbrollback restore --snapshot " + p.Value
			}
		}
	}
	return ""
}
