package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/fleet"
	"github.com/dbrollback/dbrollback/internal/migrate"
)

// fleetRun is a command on many databases.
type fleetRun struct {
	s       *session
	command string
	members []*member
	policy  fleet.Policy
	began   time.Time
	mu      sync.Mutex // of what is told
}

// member is one database of the fleet. Only one goroutine works on it at a time.
type member struct {
	target
	s        *session // of its own: settings, output and connection
	m        *migrate.Migrator
	from, at int64 // versions before the run and now; -1 not known
	pending  int
	outcome  fleet.Outcome
	note     string // what is to be known besides
	forward  *migrate.Result
	back     *migrate.Result
	took     time.Duration
	guard    *guarding
	told     bool // that it failed
}

// fleetDocument is the JSON of up, rollback and recover with --targets.
type fleetDocument struct {
	Version int                 `json:"version"`
	Command string              `json:"command"`
	Targets []memberDocument    `json:"targets"`
	Summary map[fleet.State]int `json:"summary"`
	Seconds float64             `json:"duration_seconds"`
	Error   *problem            `json:"error"`
}

type memberDocument struct {
	Name     string          `json:"name"`
	Target   engine.Target   `json:"target"`
	Wave     int             `json:"wave"`
	From     *int64          `json:"from"` // null: not known
	To       *int64          `json:"to"`
	State    fleet.State     `json:"state"`
	Note     string          `json:"note,omitempty"`
	Error    *problem        `json:"error"`
	Stuck    *problem        `json:"not_taken_back,omitempty"` // why it is not where it was, with its wave
	Result   *migrate.Result `json:"result"`
	Rollback *migrate.Result `json:"rollback"` // with its wave
	Seconds  float64         `json:"duration_seconds"`
}

// fleet makes ready what --targets names.
func (s *session) fleet(ctx context.Context, command, which string, p fleet.Policy) (*fleetRun, error) {
	all, err := s.targets(ctx, which)
	if err != nil {
		return nil, err
	}
	p.Parallel = s.Parallel
	f := &fleetRun{s: s, command: command, policy: p, began: time.Now()}
	for _, t := range all {
		f.members = append(f.members, &member{target: t, s: f.sub(t), from: -1, at: -1})
	}
	return f, nil
}

// sub is the session of one database: what it says is said with its name, what it asks is answered by the fleet's answer.
func (f *fleetRun) sub(t target) *session {
	settings := *f.s.settings
	settings.DSN, settings.DSNFrom, settings.dsnErr = t.dsn, "target "+t.name, nil
	settings.NoProgress, settings.Yes, settings.JSON = true, true, false
	streams := f.s.streams
	streams.In, streams.Out, streams.Err = strings.NewReader(""), io.Discard, &named{f: f, name: t.name}
	streams.InTerminal, streams.ErrTerminal, streams.OutTerminal = false, false, false
	sub := &session{streams: streams, settings: &settings, out: newOutput(streams), member: true}
	sub.out.secret = t.dsn
	return sub
}

// named writes each line with the name of its database.
type named struct {
	f    *fleetRun
	name string
}

func (n *named) Write(p []byte) (int, error) {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	for _, line := range strings.Split(strings.TrimRight(string(p), "\n"), "\n") {
		fmt.Fprintf(n.f.s.Err, "%s: %s\n", n.name, line)
	}
	return len(p), nil
}

// with opens a database for as long as do takes.
func (m *member) with(ctx context.Context, forward bool, do func() error) error {
	began := time.Now()
	defer func() { m.took += time.Since(began) }()
	defer func() {
		m.s.close()
		m.s.db, m.m = nil, nil
	}()
	var err error
	if m.m, err = m.s.migrator(ctx, forward); err != nil {
		return err
	}
	return do()
}

// look reads where a database stands, and what it lacks.
func (m *member) look(ctx context.Context, forward bool, to int64) error {
	return m.with(ctx, forward, func() error {
		var err error
		if m.from, err = m.m.Current(ctx); err != nil {
			return err
		}
		m.at = m.from
		if !forward {
			return nil
		}
		pending, err := m.m.Pending(ctx, to)
		m.pending = len(pending)
		return err
	})
}

// each does something to all databases, as many at a time as is allowed.
func (f *fleetRun) each(ctx context.Context, do func(m *member) error) {
	at := f.policy.Parallel
	if at < 1 {
		at = len(f.members)
	}
	places := make(chan struct{}, at)
	var wg sync.WaitGroup
	for _, m := range f.members {
		places <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wg.Add(1)
		go func() {
			defer func() { <-places; wg.Done() }()
			m.outcome.Err = do(m)
		}()
	}
	wg.Wait()
}

// run does the work, wave by wave, and prints what became of it.
func (f *fleetRun) run(ctx context.Context, work fleet.Work) error {
	out, err := fleet.Run(ctx, len(f.members), f.policy, work, f)
	for i, o := range out {
		f.members[i].outcome = o
	}
	return f.finish(ctx, f.verdict(err))
}

// Begins is fleet.Teller.
func (f *fleetRun) Begins(w fleet.Wave, of int) {
	if of > 1 {
		f.say("wave %d of %d, to %d%%: %s", w.Number, of, w.Percentage, number(int64(w.End-w.First), "database", "databases"))
	}
}

// Ended is fleet.Teller.
func (f *fleetRun) Ended(i int, o fleet.Outcome) {
	m := f.members[i]
	m.outcome = o
	switch {
	case o.Back != nil:
		m.s.out.warn("could not be taken back: %s", f.problem(m, o.Back).line())
	case o.State == fleet.Failed && !m.told:
		m.told = true
		m.s.out.warn("failed: %s", f.problem(m, o.Err).line())
	case o.State != fleet.UpToDate && o.State != fleet.Failed:
		f.say("  %s: %s, %s", m.name, f.word(o.State), m.path())
	}
}

// TakesBack is fleet.Teller.
func (f *fleetRun) TakesBack(w fleet.Wave, databases int) {
	f.s.out.note("wave %d has failed: %s", w.Number, number(int64(databases), "database is taken back", "databases are taken back"))
}

// word is what a state is called for this command.
func (f *fleetRun) word(s fleet.State) fleet.State {
	switch {
	case s != fleet.Applied:
	case f.command == "rollback":
		return fleet.RolledBack
	case f.command == "recover":
		return "recovered"
	}
	return s
}

func (f *fleetRun) say(format string, args ...any) {
	if f.s.NoProgress {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.s.out.note(format, args...)
}

// problem explains an error of one database, without its password.
func (f *fleetRun) problem(m *member, err error) *problem {
	p := explain(context.Background(), err)
	p.redact(m.dsn)
	return p
}

// path is the way of versions that a database has gone.
func (m *member) path() string {
	if m.from < 0 {
		return "?"
	}
	text := fmt.Sprint(m.from)
	if top := m.top(); top != m.from {
		text += fmt.Sprintf(" -> %d", top)
		if m.at == top {
			return text
		}
	} else if m.at == m.from {
		return text
	}
	if m.at < 0 {
		return text + " -> ?"
	}
	return text + fmt.Sprintf(" -> %d", m.at)
}

// top is how far a database was brought before it was taken back.
func (m *member) top() int64 {
	if m.forward != nil {
		return m.forward.To
	}
	return m.from
}

// fleetError is a run in which databases failed.
type fleetError struct {
	message, hint string
	details       []string
	exit          int
}

func (e *fleetError) Error() string { return e.message }

// verdict is the error of the whole run: nil when every database is where it should be.
func (f *fleetRun) verdict(err error) error {
	if err != nil {
		return err
	}
	var failed, stuck, wave int
	e := &fleetError{exit: -1}
	for _, m := range f.members {
		if m.outcome.Back != nil {
			stuck++
			e.details = append(e.details, fmt.Sprintf("%s could not be taken back: %s", m.name, f.problem(m, m.outcome.Back).line()))
		}
		if m.outcome.State != fleet.Failed {
			continue
		}
		failed++
		wave = m.outcome.Wave
		p := f.problem(m, m.outcome.Err)
		switch {
		case e.exit < 0:
			e.exit, e.hint = p.Exit, p.Hint
		case e.exit != p.Exit:
			e.exit = exitFailed
		}
	}
	if failed == 0 {
		return nil
	}
	e.message = fmt.Sprintf("%d of %s failed", failed, number(int64(len(f.members)), "database", "databases"))
	again := "the same command finishes the rest, once the cause is mended"
	switch {
	case f.command == "status":
	case f.command != "up" && f.command != "guard" || f.policy.OnFailure == fleet.GoOn:
		e.hint = again
	case stuck > 0:
		e.exit = exitFailed
		e.message += fmt.Sprintf(" in wave %d, which could not be taken back everywhere", wave)
		e.hint = "dbrollback status --targets all shows where each stands"
	case f.policy.OnFailure == fleet.RollBack:
		e.message += fmt.Sprintf("; wave %d was taken back, and nothing after it was begun", wave)
		e.hint = again
	default:
		e.message += fmt.Sprintf(" in wave %d; nothing after it was begun", wave)
		e.hint = again
	}
	if f.command == "guard" {
		e.hint = strings.Replace(e.hint, "the same command", "the same command, with guard --again,", 1)
	}
	return e
}

// finish prints the table, or the document.
func (f *fleetRun) finish(ctx context.Context, err error) error {
	doc := fleetDocument{Version: 1, Command: f.command, Targets: []memberDocument{}, Summary: map[fleet.State]int{}, Seconds: time.Since(f.began).Seconds()}
	for _, m := range f.members {
		doc.Targets = append(doc.Targets, m.document(f))
		doc.Summary[f.word(m.outcome.State)]++
	}
	if err != nil {
		doc.Error = explain(ctx, err)
	}
	if werr := f.s.out.result(doc, func(w *page) { f.write(w, doc) }); err == nil {
		err = werr
	}
	return err
}

func (m *member) document(f *fleetRun) memberDocument {
	d := memberDocument{Name: m.name, Target: m.Target, Wave: m.outcome.Wave, State: f.word(m.outcome.State), Note: m.note, Result: m.forward, Rollback: m.back, Seconds: m.took.Seconds()}
	if m.from >= 0 {
		d.From = &m.from
	}
	if m.at >= 0 {
		d.To = &m.at
	}
	if err := m.outcome.Back; err != nil {
		d.Stuck = f.problem(m, err)
	}
	if m.outcome.Err != nil {
		d.Error = f.problem(m, m.outcome.Err)
	}
	for _, r := range []*migrate.Result{m.forward, m.back} {
		if r != nil {
			r.Version = 1
			r.Migrations, r.Tables, r.Conflicts, r.NotUndone = list(r.Migrations), list(r.Tables), list(r.Conflicts), list(r.NotUndone)
		}
	}
	return d
}

func (f *fleetRun) write(w *page, doc fleetDocument) {
	var rows [][]string
	for i := 0; i < len(f.members); {
		m, d := f.members[i], doc.Targets[i]
		outcome := string(d.State)
		switch {
		case m.outcome.Back != nil:
			outcome = w.bold("NOT TAKEN BACK") + ": " + d.Stuck.line()
		case m.outcome.Err != nil:
			outcome = w.bold(strings.ToUpper(outcome)) + ": " + d.Error.line()
		case m.outcome.State == fleet.RolledBack:
			outcome += " with its wave"
		}
		if m.note != "" {
			outcome += " (" + m.note + ")"
		}
		name, next := m.name, f.alike(i)
		if next > i+1 {
			name += fmt.Sprintf(" … %s: %s", f.members[next-1].name, number(int64(next-i), "database", "databases"))
		}
		took, wave := "", ""
		if m.outcome.State != fleet.NotBegun && m.outcome.State != fleet.UpToDate {
			took = seconds(m.took.Seconds())
		}
		if m.outcome.Wave > 0 {
			wave = fmt.Sprint(m.outcome.Wave)
		}
		rows = append(rows, []string{wave, name, m.path(), took, outcome})
		i = next
	}
	w.table([]string{">wave", "target", "version", ">time", "outcome"}, rows)
	w.line("")
	w.line("%s, in %s", f.standing(), seconds(doc.Seconds))
}

// alike gives the end of the databases from i on with which nothing was done, in one wave, for the same reason: one line will do.
func (f *fleetRun) alike(i int) int {
	m, end := f.members[i], i+1
	quiet := func(o fleet.Outcome) bool {
		return o.Err == nil && (o.State == fleet.NotBegun || o.State == fleet.UpToDate)
	}
	for end < len(f.members) && quiet(m.outcome) {
		o := f.members[end]
		if o.outcome != m.outcome || o.path() != m.path() || o.note != m.note {
			break
		}
		end++
	}
	return end
}

// standing says how many databases are at which version.
func (f *fleetRun) standing() string {
	count := map[int64]int64{}
	var order []int64
	for _, m := range f.members {
		if count[m.at]++; count[m.at] == 1 {
			order = append(order, m.at)
		}
	}
	var out []string
	for _, v := range order {
		at := fmt.Sprintf("version %d", v)
		if v < 0 {
			at = "a version that is not known"
		}
		out = append(out, fmt.Sprintf("%s at %s", number(count[v], "database", "databases"), at))
	}
	return strings.Join(out, ", ")
}
