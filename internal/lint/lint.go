// Package lint reads migrations and says which of them cannot be undone, destroy data, break the release
// that runs beside them, or hold locks for long. It is pure: no database, no files, no clock.
//
// Rules see effects, never SQL text, so that one rule serves every engine. A model of the schema is built
// by folding the effects of the migrations in order; each Down is played on it as well, and what then differs
// from the schema before Up is what the Down forgot. Where the model cannot know (opaque statements, objects that
// no migration made) it says nothing: a finding is meant to be right.
package lint

import (
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// Severity of a finding.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Off     Severity = "off"
)

// Migration is one migration, ready to be judged.
type Migration struct {
	Version       int64
	File          string // for messages
	DownFile      string // where Down stands, when not in File
	Text          string // the whole file
	Transactional bool   // its statements run in one transaction, where the engine has them
	HasDown       bool   // there is a Down section, if only an empty one
	Up, Down      []Statement
	Notes         []effects.Annotation
	Skip          bool // read for context only: nothing is reported about it
	Old           bool // it may be applied somewhere already; see SF002
	Edited        bool // it differs from what was applied; see SF003
}

// Statement is one statement and its place in the file, both 1-based, columns in characters.
type Statement struct {
	effects.Statement
	File         string // "" for the migration's
	Line, Column int
}

// Diagnostic is one finding.
type Diagnostic struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Column   int      `json:"column"`
	Message  string   `json:"message"`
	Fix      string   `json:"fix,omitempty"` // what to write instead or besides, when it can be said
}

// Options of a run.
type Options struct {
	Engine    effects.Dialect
	Severity  map[string]Severity // by code; overrides the rule's own
	NoCapture bool                // captures are switched off: see RV007
}

// Report is the outcome of a run.
type Report struct {
	Findings   []Diagnostic
	Migrations int
	Files      []string // those that were judged

	// Text gives the text of a file, for reporters that quote it; "" for none. It is asked when the report is written, so
	// that no text is held until then. It may be nil.
	Text func(file string) string

	// Findings of another command than lint have rules of their own: its name, the rules, and the page of docs/
	// that explains them.
	Command string
	Rules   []Rule
	Page    string
}

// Count gives the number of findings of a severity.
func (r *Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// CheckSeverities says which code or value of a configuration no rule knows.
func CheckSeverities(m map[string]Severity) error {
	codes := make([]string, 0, len(m))
	for code := range m {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	for _, code := range codes {
		if Find(code) == nil {
			return fmt.Errorf("no rule is called %s", code)
		}
		switch m[code] {
		case Error, Warning, Off:
		default:
			return fmt.Errorf("%s: severity %q is none of error, warning, off", code, string(m[code]))
		}
	}
	return nil
}

// Run judges migrations, given in the order in which they are applied.
func Run(migrations []*Migration, o Options) *Report {
	r, _ := RunEach(migrations, func(yield func(*Migration, error) bool) { // it gives no errors
		for _, m := range migrations {
			if !yield(m, nil) {
				return
			}
		}
	}, o)
	return r
}

// RunEach judges migrations one after the other and keeps none of them: memory does not grow with their number, only with
// the schema that they build and what is found. All are those of the sequence, of which only versions, files and Old matter.
func RunEach(all []*Migration, each iter.Seq2[*Migration, error], o Options) (*Report, error) {
	r := &Report{}
	model, in, cut := NewModel(o.Engine), newSequence(all), newParts()
	for m, err := range each {
		if err != nil {
			return nil, err
		}
		r.Migrations++
		p := newPass(m, model, o)
		p.all = in
		p.play()
		if !m.Skip {
			r.Files = append(r.Files, m.File)
			p.judge()
			r.Findings = append(r.Findings, p.found()...)
		}
		cut.add(p)
		model.commit(p.After)
	}
	r.Findings = append(r.Findings, cut.told()...)
	slices.SortStableFunc(r.Findings, byPlace)
	return r, nil
}

func byPlace(a, b Diagnostic) int {
	if c := strings.Compare(a.File, b.File); c != 0 {
		return c
	}
	if a.Line != b.Line {
		return a.Line - b.Line
	}
	if a.Column != b.Column {
		return a.Column - b.Column
	}
	return strings.Compare(a.Code, b.Code)
}

// Find gives the rule with a code, or nil.
func Find(code string) *Rule {
	i := sort.Search(len(Rules), func(i int) bool { return Rules[i].Code >= code })
	if i < len(Rules) && Rules[i].Code == code {
		return &Rules[i]
	}
	return nil
}

// Add takes over the findings of another folder.
func (r *Report) Add(o *Report) {
	r.Findings = append(r.Findings, o.Findings...)
	r.Files = append(r.Files, o.Files...)
	r.Migrations += o.Migrations
}
