// Package migrate is the conductor: it loads goose migrations, plans them, applies them with their
// captures, rolls them back with their data and recovers runs that were cut off.
//
// Planning is data: a Plan changes nothing and prints as text or JSON; Up and Rollback carry out a
// plan made the same way. The package returns results and events; it never prints and never exits.
// goose lives here only: it reads the files and owns the version table.
package migrate

import (
	"io/fs"
	"time"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// Direction is the way a migration runs.
type Direction string

// The directions.
const (
	Up   Direction = "up"
	Down Direction = "down"
)

// Options open a Migrator.
type Options struct {
	DB           *engine.DB
	Files        fs.FS         // the migrations folder; nil when there is none on disk (rollback from the catalog)
	Dir          string        // what to call the folder in messages, e.g. "migrations"
	VersionTable string        // goose's, default "goose_db_version"
	Catalog      string        // default "state_snapshots"
	LockWait     time.Duration // how long to wait for another run to end
	User         string        // who runs, for the audit log; default the operating system's user@host
	Keep         time.Duration // retention of captures made by this run; 0 = forever
	KeepCount    int           // snapshots kept besides; 0 = no limit
	KeepReleases int           // releases whose captures never expire
	// KeepColumns: dropped columns of tables of at least KeepColumnsFrom bytes are renamed instead of copied, where the engine can.
	KeepColumns     bool
	KeepColumnsFrom int64
	CopyTables      bool        // the rows of dropped tables are copied, also where the tables themselves could be kept
	OnlineFrom      int64       // captured rows of which an online rollback puts values back in batches; 0 = some thousand
	Batch           int         // rows of such a batch; 0 = a number that holds locks for a fraction of a second
	Events          func(Event) // progress; may be nil; called from the working goroutine
}

// Event is one step of progress. Kind says which fields are set.
type Event struct {
	Kind      EventKind
	Version   int64
	File      string
	Direction Direction
	Statement int    // 1-based
	Of        int    // statements in this migration
	Text      string // first words of the statement, or a note; of CaptureDone: the statement that Elapsed includes, "" for none
	Table     string
	Rows      int64 // rows captured or restored; while under way: so far, -1 unknown
	Bytes     int64
	Estimate  int64 // rows expected, from statistics; -1 unknown
	Elapsed   time.Duration
}

// EventKind names an event.
type EventKind string

// The events.
const (
	MigrationStart    EventKind = "migration_start"
	MigrationDone     EventKind = "migration_done"
	StatementStart    EventKind = "statement_start"
	CaptureStart      EventKind = "capture_start"
	CaptureDone       EventKind = "capture_done"
	RestoreDone       EventKind = "restore_done"
	Backfilling       EventKind = "backfilling"
	RehearsalDone     EventKind = "rehearsed"
	WaitingForLock    EventKind = "waiting_for_lock"
	WaitingForReplica EventKind = "waiting_for_replica"
	WarningEvent      EventKind = "warning"
	CapturesExpired   EventKind = "captures_expired"
)

// Verdict says what a rollback of a migration will be able to give back.
type Verdict string

// The verdicts, best first.
const (
	Lossless     Verdict = "lossless"     // destroys nothing
	Restorable   Verdict = "restorable"   // destroys, and all of it is captured
	Rehearsable  Verdict = "rehearsed"    // restorable once a rehearsal has shown what it touches
	Irreversible Verdict = "irreversible" // no Down, or a loss that cannot be captured
)

// Plan is what a run would do.
type Plan struct {
	Version    int             `json:"version"`
	Direction  Direction       `json:"direction"`
	Target     engine.Target   `json:"target"`
	From       int64           `json:"from"`
	To         int64           `json:"to"`
	Migrations []PlanMigration `json:"migrations"`
	Hash       string          `json:"hash"` // of all but estimates: what an approval binds
}

// PlanMigration is one migration of a plan.
type PlanMigration struct {
	Version       int64      `json:"version"`
	File          string     `json:"file"`
	Verdict       Verdict    `json:"verdict"`
	Transactional bool       `json:"transactional"`
	Reasons       []Refusal  `json:"reasons,omitempty"` // why it is irreversible
	Steps         []PlanStep `json:"steps"`
	Obstacles     []Obstacle `json:"obstacles,omitempty"` // of a rollback: data that Down may stumble over
	Back          []PlanBack `json:"back,omitempty"`      // of a rollback: how what was captured goes back
}

// Refusal is a reason for which Up or Rollback does not start.
type Refusal struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
	fatal   bool   // no annotation or flag can accept it
}

// PlanStep is one statement of a plan.
type PlanStep struct {
	Line      int             `json:"line"`
	Column    int             `json:"column"`
	Statement string          `json:"statement"`
	Effects   []PlanEffect    `json:"effects"`
	Captures  []snapshot.Need `json:"captures"`
	Locks     []PlanLock      `json:"locks"`
	Notes     []string        `json:"notes,omitempty"` // what cannot be undone, what will be rehearsed
}

// PlanEffect is an effect as the plan prints it.
type PlanEffect struct {
	Kind    effects.Kind `json:"kind"`
	Object  string       `json:"object"`
	Columns []string     `json:"columns,omitempty"`
	// ObjectKind is what the object is, as "view" or "index", where Kind does not say it.
	ObjectKind string `json:"object_kind,omitempty"`
	table      effects.Name
}

// PlanLock is a lock that a step takes on a table that exists.
type PlanLock struct {
	Table    string  `json:"table"`
	Mode     string  `json:"mode"`
	KeepsOut string  `json:"keeps_out,omitempty"` // who waits for it
	Seconds  float64 `json:"seconds,omitempty"`   // about how long it is held, by the server's statistics: to the end of the transaction
	name     engine.Name
}

// PlanBack is how a capture goes back on a rollback.
type PlanBack struct {
	snapshot.Way
	Seconds float64 `json:"seconds"` // about how long that takes
}

// PlanRequest asks for a plan.
type PlanRequest struct {
	Direction Direction
	To        int64     // Up: up to and including; Down: leaves it applied; -1 = all pending (Up) or by Steps (Down)
	Steps     int       // Down, when To is -1: how many to undo
	At        time.Time // Down: undo what was applied after it; zero = unset
	ToRelease string    // Down
	Online    bool      // Down: as RollbackRequest
	Rehearse  bool      // run opaque statements in a savepoint and roll back
}

// UpRequest asks for an Up run.
type UpRequest struct {
	To                int64 // -1 = all pending
	Release           string
	AllowIrreversible bool
	DryRun            bool // plan with rehearsal only
	MaxLock           time.Duration
	Detail            map[string]string // for the audit log: who approved it, and the like
}

// RollbackRequest asks for a rollback.
type RollbackRequest struct {
	To              int64 // -1 = unset
	Steps           int   // used when To is -1, At zero and ToRelease empty
	At              time.Time
	ToRelease       string
	OnConflict      snapshot.Policy
	AllowDrift      bool
	AllowUncaptured bool
	Online          bool // values of dropped columns of large tables go back in batches, after the migration
	DryRun          bool
	Agreed          func(*Plan) error // asked under the run lock, before anything is done; an error ends the run
	Detail          map[string]string // for the audit log: why, who approved it
}

// RecoverRequest asks for a recovery of an unfinished run.
type RecoverRequest struct {
	Abort      bool // undo instead of resume
	AllowDrift bool // finish a run at the end of which the schema is not as it should be
}

// Result is what Up, Rollback and Recover did; filled as far as the run came, also next to an error.
type Result struct {
	Version    int                    `json:"version"`
	Run        string                 `json:"run"`
	Target     engine.Target          `json:"target"`
	Direction  Direction              `json:"direction"`
	Aborted    bool                   `json:"aborted,omitempty"` // by recover --abort: all is as it was before the run
	From       int64                  `json:"from"`
	To         int64                  `json:"to"`
	Release    string                 `json:"release,omitempty"`
	Migrations []MigrationResult      `json:"migrations"`
	Tables     []snapshot.TableReport `json:"tables"`
	Conflicts  []snapshot.Conflict    `json:"conflicts"`
	Verified   bool                   `json:"verified"`
	NotUndone  []string               `json:"not_undone"`
	Warnings   []string               `json:"warnings,omitempty"`
	Seconds    float64                `json:"duration_seconds"`
	Plan       *Plan                  `json:"plan,omitempty"` // of a dry run
}

// MigrationResult is one migration of a Result.
type MigrationResult struct {
	Version  int64   `json:"version"`
	File     string  `json:"file"`
	Snapshot string  `json:"snapshot,omitempty"` // id of the captures made, "" when none
	Captures int     `json:"captures"`
	Rows     int64   `json:"rows"` // captured
	Verified bool    `json:"verified"`
	Seconds  float64 `json:"duration_seconds"`
}

// Status is the state of a target.
type Status struct {
	Version    int                 `json:"version"`
	Target     engine.Target       `json:"target"`
	Current    int64               `json:"current"`
	Migrations []StatusMigration   `json:"migrations"`
	Unfinished []Unfinished        `json:"unfinished"`
	Drift      []verify.Difference `json:"drift"`
	Captures   snapshot.Usage      `json:"captures"`
	Drill      *Drilled            `json:"drill,omitempty"` // the last one that the catalog remembers
}

// StatusMigration is one migration, applied or pending.
type StatusMigration struct {
	Version   int64      `json:"version"`
	File      string     `json:"file"`
	AppliedAt *time.Time `json:"applied_at"` // nil when pending
	Release   *string    `json:"release"`
	Captured  bool       `json:"captured"`         // applied by dbrollback, so that rollback has its captures
	Edited    bool       `json:"edited,omitempty"` // the file differs from what was applied
}

// Unfinished is a run that was cut off.
type Unfinished struct {
	Run       string           `json:"run"`
	Version   int64            `json:"version"`
	Direction Direction        `json:"direction"`
	Statement int              `json:"statement"` // the one whose outcome is not recorded
	Of        int              `json:"of"`
	SQL       string           `json:"sql"`
	Since     time.Time        `json:"since"`
	Filling   []snapshot.Later `json:"filling,omitempty"` // of a rollback --online: the migration is through, these values are still to go back
	State     string           `json:"state"`             // "took effect" | "did not take effect" | "unclear"
	// Rejected: the server rejected that statement; tried again as it is, it does so again.
	Rejected bool `json:"rejected,omitempty"`
	// Back: all statements ran and the captured rows are back, so that it can be finished and no longer taken back.
	Back bool `json:"back,omitempty"`
}
