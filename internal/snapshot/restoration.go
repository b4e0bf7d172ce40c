package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// Mode is how rows come back into a table that has been used since.
type Mode string

// The modes.
const (
	Merge   Mode = "merge"   // lost and changed rows come back, later ones stay
	Replace Mode = "replace" // the table becomes as it was
	Copy    Mode = "copy"    // into a new table, side by side
)

// Ask says which rows a restoration brings back, and how.
type Ask struct {
	Tables []engine.Name // none: all tables of the snapshot
	// One of these says of which moment. Migration is the snapshot that a migration's Up made, HasMigration that it is meant.
	Snapshot     string
	At           time.Time
	Migration    int64
	HasMigration bool

	Mode       Mode
	Into       engine.Name       // of Copy
	Where      string            // a condition on the rows as they were
	Columns    []string          // names of now; none: all that were captured
	Map        map[string]string // captured name -> name of now
	OnConflict Policy
	Captures   bool // not from a journal, whatever it knows
	Written    bool `json:"-"` // from the journal alone, whatever was captured
	Related    bool // tables tied by foreign keys come along, as far as they were captured
	Samples    int  // rows shown of each kind of change
}

// Preview says what a restoration would do, or did, to one table.
type Preview struct {
	TableReport
	Left     int64     `json:"left"`             // rows of now that stay as they are
	Into     string    `json:"into,omitempty"`   // of Copy
	Moment   time.Time `json:"moment"`           // as which the rows come back
	Snapshot string    `json:"snapshot"`         // where they come from
	Whole    bool      `json:"whole"`            // the source holds every row with every column
	Holds    string    `json:"holds,omitempty"`  // what it holds, when that is not all
	Samples  []Change  `json:"samples"`          // a few of the rows
	Tied     []Tied    `json:"tied"`             // tables that ought to go along
	Locks    []Lock    `json:"locks"`            // while it writes
	Seconds  float64   `json:"estimate_seconds"` // how long it will write, roughly
	Notes    []string  `json:"notes,omitempty"`
	// Findings of the comparison between the captured columns and the table of now; none when all fits.
	Findings []verify.Finding `json:"findings"`
}

// Tied is a table that a foreign key ties to a restored one.
type Tied struct {
	Table    string `json:"table"`
	Key      string `json:"foreign_key"`
	Captured bool   `json:"captured"` // at that moment, so that --with-related can bring it along
	Rows     int64  `json:"rows"`     // of it that are in the way or missing
	Why      string `json:"why"`
}

// Lock is a lock that is held while rows are written.
type Lock struct {
	Table string `json:"table"`
	Mode  string `json:"mode"`
}

// IncompatibleError says that captured rows do not fit into the table of now. Nothing was written.
type IncompatibleError struct {
	Table    engine.Name
	Findings []verify.Finding
}

func (e *IncompatibleError) Error() string {
	first := slices.IndexFunc(e.Findings, func(f verify.Finding) bool { return f.Blocks })
	return fmt.Sprintf("%s is %s with what was captured: %s", e.Table, verify.Compatibility(e.Findings), e.Findings[max(first, 0)].Message)
}

// AskError is a request that contradicts itself or names what is not there.
type AskError struct{ Message, Hint string }

func (e *AskError) Error() string { return e.Message }

// NothingError says that nothing is held for the moment that was asked for, and what is.
type NothingError struct {
	Message string
	Hint    string
	Have    []string // lines: what there is
}

func (e *NothingError) Error() string { return e.Message }

// DamagedError says that captured data is not what was captured.
type DamagedError struct {
	Verification
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("the capture of %s in snapshot %s is damaged: %s", e.Table, e.Snapshot, e.Reason)
}

// Restoration brings rows back into tables as they are now. Everything happens in the caller's transaction: Preview writes
// nothing of the user's, and what it notes goes when the transaction is rolled back; Apply writes.
type Restoration struct {
	s                     *Store
	ask                   Ask
	from                  past
	r                     *Restorer // of the differences
	lots                  []*lot    // parents before children
	conflicts, overridden []Conflict
	online                bool
	copied                engine.Name // what a copy is called
}

// lot is what a restoration does to one table.
type lot struct {
	name    engine.Name   // of now, or of then when it is gone
	live    *engine.Table // nil when it is gone
	was     *held         // what is known of it
	x       *capture      // what is put back: one entry a row, names of now
	entries *restoring    // x, with its conflicts
	picked  string        // the condition of the ask on entries d; "" for none
	asked   string        // the table of ours that it is asked of; "" for none
	w       *restoring    // the entries that differ from what stands in their place
	g       *target       // of w
	rows    *int64        // of live when it was compared, where they were counted
	saved   *capture      // what is written over
	savedAs []string      // of saved: its key, made of an entry d
	preview Preview
}

// Restoration finds what is asked for. It reads only.
func (s *Store) Restoration(ctx context.Context, q engine.Querier, ask Ask) (*Restoration, error) {
	if ask.Mode == "" {
		ask.Mode = Merge
	}
	if ask.OnConflict == "" {
		ask.OnConflict = Keep
	}
	if err := s.condition(ask.Where); err != nil {
		return nil, err
	}
	x := &Restoration{s: s, ask: ask, r: &Restorer{s: s, report: map[engine.Name]*TableReport{}}}
	found, err := s.captured(ctx, q, ask)
	if err != nil {
		return nil, err
	}
	if err := unmapped(ask, found.held()); err != nil {
		return nil, err
	}
	x.from = found
	for _, h := range found.held() {
		l := &lot{name: h.home, live: h.live, was: h}
		if l.live != nil {
			l.name = l.live.Name
			if why := unfit(l.live); why != "" && ask.Mode != Copy {
				return nil, &NoTableError{Table: l.name, Kind: why}
			}
		}
		x.lots = append(x.lots, l)
	}
	if ask.Mode == Copy && len(x.lots) > 1 {
		return nil, &AskError{Message: "--into names one table, and there are several to copy: " + x.names(), Hint: "name one with --table"}
	}
	x.order()
	return x, nil
}

func (x *Restoration) names() string {
	var out []string
	for _, l := range x.lots {
		out = append(out, l.name.String())
	}
	return strings.Join(out, ", ")
}

// Tables lists the tables, parents before children.
func (x *Restoration) Tables() []engine.Name {
	var out []engine.Name
	for _, l := range x.lots {
		out = append(out, l.name)
	}
	return out
}

// order puts parents before children, as far as foreign keys do not run in a circle.
func (x *Restoration) order() {
	var out []*lot
	var visit func(l *lot, path []*lot)
	visit = func(l *lot, path []*lot) {
		if slices.Contains(out, l) || slices.Contains(path, l) {
			return
		}
		if l.live != nil {
			for _, fk := range l.live.ForeignKeys {
				for _, p := range x.lots {
					if p.name == fk.Parent {
						visit(p, append(path, l))
					}
				}
			}
		}
		out = append(out, l)
	}
	for _, l := range x.lots {
		visit(l, nil)
	}
	x.lots = out
}

// Preview says what Apply would do. It takes no lock on the user's tables and writes only tables of our own, which go
// when the transaction is rolled back, as it must be.
func (x *Restoration) Preview(ctx context.Context, tx engine.Querier) ([]Preview, error) {
	err := x.s.pinned(ctx, tx, func() error {
		if err := x.check(ctx, tx); err != nil {
			return err
		}
		x.busy()
		if x.ask.Mode == Copy {
			return x.previewCopy(ctx, tx)
		}
		if err := x.compare(ctx, tx); err != nil {
			return err
		}
		if err := x.settled(ctx); err != nil {
			return err
		}
		if err := x.foresee(ctx, tx); err != nil {
			return err
		}
		return x.describe(ctx, tx)
	})
	return x.previews(), err
}

// busy says that nobody keeps writers from the tables while they are compared.
func (x *Restoration) busy() {
	for _, l := range x.lots {
		l.was.busy = true
	}
}

// Conflicts lists the conflicts that were found, at most MaxConflicts of a table.
func (x *Restoration) Conflicts() []Conflict {
	return append(slices.Clone(x.overridden), x.conflicts...)
}

// Undo gives what takes a copy away, and otherwise the flags that restoring the safety snapshot needs.
func (x *Restoration) Undo() string {
	if x.ask.Mode == Copy {
		return "DROP TABLE " + x.s.db.Quote(x.copied)
	}
	if slices.ContainsFunc(x.lots, func(l *lot) bool { return l.w == nil }) {
		return "--mode " + string(Replace)
	}
	return ""
}

// Previews gives what is known of each table so far.
func (x *Restoration) Previews() []Preview { return x.previews() }

func (x *Restoration) previews() []Preview {
	out := []Preview{}
	for _, l := range x.lots {
		p := l.preview
		p.Table = l.name.String()
		if l.was.changes != nil {
			p.Notes = append(slices.Clone(l.was.changes.Notes), p.Notes...)
		}
		p.Moment, p.Snapshot, p.Whole, p.Holds = l.was.moment, l.was.snapshot, l.was.whole(), l.was.holds()
		out = append(out, p)
	}
	return out
}

// check makes sure that what is to be put back is what was captured.
func (x *Restoration) check(ctx context.Context, tx engine.Querier) error {
	for _, l := range x.lots {
		for _, c := range l.was.captures {
			if err := x.s.keyIndex(ctx, c); err != nil {
				return err
			}
			all, err := x.s.Verify(ctx, tx, c.ID)
			if err != nil {
				return err
			}
			for _, v := range all {
				if !v.OK {
					return &DamagedError{v}
				}
			}
		}
	}
	return nil
}
