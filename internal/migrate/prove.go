package migrate

import (
	"context"
	"encoding/json"
	"io/fs"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// ProofVerdict says what a migration's Down was seen to give back.
type ProofVerdict string

// The verdicts, in the order in which they win.
const (
	ProofUpFails       ProofVerdict = "up-fails"       // the server rejects its Up
	ProofNoDown        ProofVerdict = "no-down"        // its Up changes something, and no Down takes it back
	ProofDownFails     ProofVerdict = "down-fails"     // the server rejects its Down
	ProofWrong         ProofVerdict = "wrong"          // its Down runs and leaves another schema
	ProofNotRepeatable ProofVerdict = "not-repeatable" // its Up fails, or does something else, the second time
	ProofData          ProofVerdict = "data"           // the schema comes back, rows do not
	ProofCosmetic      ProofVerdict = "cosmetic"       // only the order of columns, or names that the server made up, differ
	ProofOK            ProofVerdict = "ok"
)

// WithCapture says what a rollback by dbrollback gives back that the Down alone does not. It is empty, and null in JSON, where
// captures make no difference: Down gives everything back, or Up does not apply.
type WithCapture string

// What WithCapture says.
const (
	Restored    WithCapture = "restored"
	notRestored WithCapture = "not restored"
)

// MarshalJSON gives null for the empty one.
func (w WithCapture) MarshalJSON() ([]byte, error) {
	if w == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(w))
}

// Proof is what was seen of one migration.
type Proof struct {
	Version       int64               `json:"version"`
	File          string              `json:"file"`
	DownFile      string              `json:"down_file,omitempty"` // where Down stands, when not in File
	Line          int                 `json:"line"`                // of its Down, where there is one
	Verdict       ProofVerdict        `json:"verdict"`
	WithCapture   WithCapture         `json:"with_capture"`                  // what a rollback by dbrollback gives back
	CaptureReason string              `json:"with_capture_reason,omitempty"` // why it is not restored
	CaptureUntil  string              `json:"with_capture_until,omitempty"`  // until when it is: then rollback refuses
	Differences   []verify.Difference `json:"differences"`                   // between the schema before Up and after Down
	Data          []DataLoss          `json:"data,omitempty"`                // what the Down alone loses, or leaves
	Error         *ProofError         `json:"error"`
	Suggestion    []string            `json:"suggestion,omitempty"` // statements that Down lacks; run after it they were seen to give the schema back
	Accepted      string              `json:"accepted,omitempty"`   // the reason of the migration's own "irreversible" annotation
	Notes         []string            `json:"notes,omitempty"`
	Seconds       float64             `json:"duration_seconds"`
}

// Fails says whether the proof is a finding. Strict makes findings of what a rollback gives back all the same.
func (p *Proof) Fails(strict bool) bool {
	switch p.Verdict {
	case ProofOK:
		return false
	case ProofCosmetic:
		return strict
	case ProofData:
		return strict || p.WithCapture != Restored && p.Accepted == ""
	case ProofUpFails, ProofNotRepeatable:
		return true
	}
	return strict || p.Accepted == ""
}

// ProofError is a statement that the server rejected.
type ProofError struct {
	Message   string `json:"message"`
	Hint      string `json:"hint,omitempty"`
	File      string `json:"file"`
	Line      int    `json:"line"`
	Column    int    `json:"column"`
	Statement string `json:"statement,omitempty"`

	definite bool // it has nothing to do with the transaction that it was tried in
	endless  bool // it was stopped because it did not end
}

// DataLoss is what Down alone did to the rows of one table, or to the values of one column.
type DataLoss struct {
	Table   string `json:"table"`
	Column  string `json:"column,omitempty"` // "" when whole rows are concerned
	Of      int    `json:"of"`               // rows, or values, before Up
	Lost    int    `json:"lost"`             // gone, or another value in their place
	Left    int    `json:"left,omitempty"`   // rows that were not there before
	Message string `json:"message"`
}

// RoundTrip is the way all the way down and up again, once every migration was judged.
type RoundTrip struct {
	Verdict     string              `json:"verdict"` // ok | wrong | down-fails | up-fails | not tried
	Reason      string              `json:"reason,omitempty"`
	Differences []verify.Difference `json:"differences,omitempty"`
	Error       *ProofError         `json:"error,omitempty"`
}

// Fails says whether the round trip is a finding.
func (r *RoundTrip) Fails() bool { return r != nil && r.Verdict != "ok" && r.Verdict != notTried }

const notTried = "not tried"

// ProofReport is the outcome of Prove.
type ProofReport struct {
	Version    int        `json:"version"`
	Migrations []*Proof   `json:"migrations"`
	RoundTrip  *RoundTrip `json:"round_trip,omitempty"`
	Seconds    float64    `json:"duration_seconds"`
}

// ProofEvent is one step of progress.
type ProofEvent struct {
	File    string
	Index   int // 1-based
	Of      int
	Verdict ProofVerdict // "" when it begins
	Text    string       // what is being done, or a note
}

// ProveOptions say what to prove, and where.
type ProveOptions struct {
	Files         fs.FS
	Dir           string
	Scratch       *engine.Scratch
	Only          func(m *Migration) bool // nil: all; the others are applied without being judged
	Rows          int                     // generated rows a table; 0: none
	AllowExternal bool                    // run statements that reach beyond the scratch database
	Events        func(ProofEvent)        // may be nil

	// StatementTimeout is the longest run of one statement of a migration, 0 for none. One that does not end fails.
	StatementTimeout time.Duration
}

// Prove runs each migration up, down and up again in scratch databases, and says what its Down gives back. A
// migration that does not come back hides nothing of the next: each is judged on what the Ups before it make.
//
// The error is that of the scratch server or of a folder that cannot be read; what migrations do wrong is in
// the report.
func Prove(ctx context.Context, o ProveOptions) (*ProofReport, error) {
	if o.Events == nil {
		o.Events = func(ProofEvent) {}
	}
	return newProver(o).prove(ctx)
}
