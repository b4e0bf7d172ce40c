package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// prover judges the migrations of a folder. It keeps one database, the trunk, at the state that the Ups so far
// have made. A migration is tried on it in a transaction that is rolled back; what does not come out well
// that way, and what cannot run in a transaction, is tried on a copy of the trunk with commits, as it would run.
type prover struct {
	o       ProveOptions
	dialect effects.Dialect
	trunk   *trunk
	twin    twin
	texts   *verify.Texts
	applied []*Migration // to the trunk
	current *Migration   // that is judged
	empty   verify.Fingerprint
	state   verify.Fingerprint // of all of the trunk as it is; nil when not known
	seen    engine.Seen        // tables of the trunk as it is
	watched bool               // there are event triggers
	failed  []string           // files whose Up did not apply
	roles   []string           // that the trunk made, which outlive it
	aside   errgroup.Group     // trials with captures, each on a copy of its own, while the next migrations are judged
	drops   errgroup.Group     // copies that nobody needs any more
	fits    verify.Fits
	report  *ProofReport
}

func newProver(o ProveOptions) *prover {
	p := &prover{o: o, dialect: effects.Dialect(o.Scratch.Kind()), texts: &verify.Texts{}, report: &ProofReport{Version: 1, Migrations: []*Proof{}}}
	p.aside.SetLimit(mostAside)
	p.drops.SetLimit(mostAside)
	return p
}

func (p *prover) prove(ctx context.Context) (_ *ProofReport, err error) {
	start := time.Now()
	all, err := Load(ctx, p.o.Files, p.o.Dir, p.dialect)
	if err != nil {
		return nil, err
	}
	if p.trunk, err = newTrunk(ctx, p.o.Scratch, p.o.StatementTimeout, p.texts); err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, p.aside.Wait(), p.drops.Wait(), p.dropTwin(), p.trunk.close())
		p.dropRoles(p.roles)
	}()
	if err := p.know(ctx); err != nil {
		return nil, err
	}
	p.empty = p.state
	for i, m := range all {
		began := time.Now()
		p.o.Events(ProofEvent{File: m.File, Index: i + 1, Of: len(all)})
		proof, err := p.migration(ctx, m)
		if err != nil {
			return p.report, fmt.Errorf("%s: %w", m.File, err)
		}
		if proof == nil {
			continue
		}
		proof.Seconds = time.Since(began).Seconds()
		p.report.Migrations = append(p.report.Migrations, proof)
		p.o.Events(ProofEvent{File: m.File, Index: i + 1, Of: len(all), Verdict: proof.Verdict})
	}
	if p.o.Only == nil && len(all) > 0 {
		p.o.Events(ProofEvent{Index: len(all), Of: len(all), Text: "all the way down and up again"})
		if p.report.RoundTrip, err = p.roundTrip(ctx, all); err != nil {
			return p.report, err
		}
	}
	if err := p.aside.Wait(); err != nil {
		return p.report, err
	}
	p.report.Seconds = time.Since(start).Seconds()
	return p.report, nil
}

// know takes the trunk's fingerprint when it is not known.
func (p *prover) know(ctx context.Context) error {
	if p.state != nil {
		return nil
	}
	var err error
	p.state, err = p.trunk.take(ctx, everything)
	return err
}

// migration judges one migration and brings the trunk to where its Up leads. The result is nil for one that is
// only applied, and applies.
func (p *prover) migration(ctx context.Context, m *Migration) (*Proof, error) {
	p.current, p.seen = m, engine.Seen{}
	proof := &Proof{Version: m.Version, File: m.File, Line: downLine(m), Differences: []verify.Difference{}, Accepted: accepted(m)}
	if m.DownFile != m.File {
		proof.DownFile = m.DownFile
	}
	if why := p.refused(m, Up); why != nil {
		return p.upFails(proof, why), nil
	}
	judged := p.o.Only == nil || p.o.Only(m)
	if judged {
		if err := p.judge(ctx, m, proof); err != nil {
			return nil, err
		}
		if proof.Verdict == ProofUpFails {
			return p.upFails(proof, proof.Error), nil
		}
	}
	switch next, err := p.advance(ctx, m); {
	case err != nil:
		return nil, err
	case next != nil:
		p.state = nil
		return p.upFails(proof, next), nil
	}
	p.applied = append(p.applied, m)
	p.state = nil
	if !judged {
		return nil, nil
	}
	return proof, nil
}

// judge fills the proof; the trunk stays as it is.
func (p *prover) judge(ctx context.Context, m *Migration, proof *Proof) error {
	t, err := p.trial(ctx, m, false)
	if err == nil && !t.reach.all && t.differs() {
		t, err = p.trial(ctx, m, true) // what depends on what differs may differ, too
	}
	if err != nil {
		return err
	}
	if p.twin.steps = nil; t.down == nil {
		p.twin.steps = []step{{t.after, m, Down}}
	}
	if !p.o.Scratch.Copies() && t.reach.all {
		p.twin.now = t.again // the last that was seen of it; nil when it did not come so far
	}
	t.verdict(proof)
	why := p.refused(m, Down)
	if why != nil && proof.Verdict != ProofUpFails {
		proof.Verdict, proof.Error = ProofDownFails, why
	}
	if proof.Verdict == ProofUpFails {
		return nil
	}
	if why == nil {
		if err := p.judgeData(ctx, m, t, proof); err != nil {
			return err
		}
	}
	p.state = nil // Up need not do the same again: a view may hold the time at which it was made
	p.twin.steps = []step{{t.before, m, Up}}
	return nil
}

// trial tries a migration in a transaction or, where that tells nothing, on a copy.
func (p *prover) trial(ctx context.Context, m *Migration, all bool) (t *trial, err error) {
	try := func(s stage) (err error) {
		t, err = p.try(ctx, s, m, all)
		return err
	}
	if p.rehearsable(m) {
		if err := p.rehearse(ctx, try); err != nil {
			return nil, err
		}
	}
	if t == nil || t.down.doubtful() || t.upAgain.doubtful() || !m.Transactional && t.up.doubtful() {
		// A transaction is not quite how it runs: what fails must fail with commits, too.
		if err := p.onCopy(ctx, try); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// judgeData adds to the proof what becomes of rows, without captures and with them.
func (p *prover) judgeData(ctx context.Context, m *Migration, t *trial, proof *Proof) error {
	mo := mode{rows: p.o.Rows}
	switch proof.Verdict {
	case ProofOK, ProofCosmetic, ProofWrong:
		rows, err := p.data(ctx, m, t)
		if err != nil {
			return err
		}
		if rows == nil {
			break
		}
		mo = rows.mode
		proof.Data, proof.Notes = rows.data, append(proof.Notes, rows.notes...)
		switch {
		case proof.Verdict == ProofWrong:
		case t.noDown && len(m.Down) == 0 && len(rows.data) > 0: // a Down that says SELECT 1 leaves the rows to the captures
			proof.Verdict = ProofNoDown
		case rows.down != nil:
			proof.Verdict, proof.Error = ProofData, rows.down
		case len(rows.data) > 0:
			proof.Verdict = ProofData
		}
	}
	if proof.Verdict == ProofOK || proof.Verdict == ProofCosmetic {
		return nil
	}
	switch { // what needs no trial
	case len(m.Down) == 0:
		proof.WithCapture, proof.CaptureReason = notRestored, "up refuses a migration without a Down"
		return nil
	case proof.Verdict == ProofDownFails:
		proof.WithCapture, proof.CaptureReason = notRestored, "rollback stops where its Down fails"
		return nil
	case proof.Verdict == ProofData && proof.Error != nil && proof.Error.endless:
		proof.WithCapture, proof.CaptureReason = notRestored, "rollback does not get beyond this statement of its Down either"
		return nil
	}
	return p.captured(ctx, m, t, mo, func(why, until string) {
		proof.WithCapture, proof.CaptureReason, proof.CaptureUntil = Restored, why, until
		if why != "" {
			proof.WithCapture, proof.CaptureUntil = notRestored, ""
		}
	})
}

// upFails ends the judgement of a migration that does not apply; those behind it are judged without it.
func (p *prover) upFails(proof *Proof, why *ProofError) *Proof {
	proof.Verdict, proof.Error = ProofUpFails, why
	if len(p.failed) > 0 {
		proof.Notes = append(proof.Notes, fmt.Sprintf("%s, which comes before it, does not apply either: this may be its consequence", strings.Join(p.failed[max(0, len(p.failed)-3):], ", ")))
	} else {
		proof.Notes = append(proof.Notes, "the migrations after it are judged without it")
	}
	p.failed = append(p.failed, proof.File)
	return proof
}

// advance applies Up to the trunk for good.
func (p *prover) advance(ctx context.Context, m *Migration) (*ProofError, error) {
	made, err := p.makingRoles(ctx, func() error { return p.trunk.run(ctx, m, Up) })
	p.roles = append(p.roles, made...)
	return p.outcome(ctx, err)
}

func (e *ProofError) doubtful() bool { return e != nil && !e.definite }

// outcome tells a migration's failure from the scratch server's.
func (p *prover) outcome(ctx context.Context, err error) (*ProofError, error) {
	if err == nil {
		return nil, nil
	}
	var at *StatementError
	if !errors.As(err, &at) || ctx.Err() != nil {
		return nil, err
	}
	out := &ProofError{Message: at.Err.Error(), File: at.File, Line: at.Line, Column: at.Column, Statement: headline(at.SQL), definite: engine.Definite(at.Err)}
	if e, ok := engine.AsError(at.Err); ok {
		if e.Class == engine.ConnectionLost || e.Class == engine.Unreachable || e.Class == engine.DiskFull {
			return nil, err
		}
		out.Message, out.Hint = e.Message, cmp.Or(lacking(e), e.Hint)
		if e.Class == engine.StatementTimeout {
			out.endless, out.definite = true, true // it would not end with commits either
		}
	}
	out.Message = scratchNames.ReplaceAllString(out.Message, "")
	return out, nil
}

// scratchNames are what MySQL puts before the names of tables: another database in each run, and none of the reader's.
var scratchNames = regexp.MustCompile("`?" + engine.ScratchPrefix + `[0-9a-f]{16}_\d+` + "`?\\.")

// rehearsable says whether up, down and up can be tried in one transaction.
func (p *prover) rehearsable(m *Migration) bool {
	return p.trunk.db.Caps.TransactionalDDL && !slices.ContainsFunc(slices.Concat(m.Up, m.Down), func(st Statement) bool {
		return !m.Transactional && mindsTransaction(st) || st.Autocommit || freezesTime(st) || slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.Transaction })
	})
}

// mindsTransaction tells of a statement that it may do without a transaction what it does not do in one, or the other way round: LOCK TABLE and
// SET LOCAL want one, a procedure may commit.
func mindsTransaction(st Statement) bool {
	return st.Opaque() || slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return harmless[e.Kind] && e.Kind != effects.Read })
}

// In a transaction the clock stands: a definition that holds the time at which it was made would seem to be the same the
// second time.
var (
	timeLiteral = regexp.MustCompile(`(?i)'\s*(now|today|tomorrow|yesterday)\s*'`)
	timeWord    = regexp.MustCompile(`(?i)'\s*(now|today|tomorrow|yesterday)\s*'|\b(now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday)\s*\(|\b(current_(date|time|timestamp)|localtime|localtimestamp)\b`)
)

// freezesTime tells of a statement that it may write the time of its own run into a definition: a literal becomes a constant when
// it is read, and dynamic SQL can be put together from anything.
func freezesTime(st Statement) bool {
	if st.Opaque() {
		return timeWord.MatchString(st.SQL)
	}
	return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return !rowsOnly[e.Kind] && !harmless[e.Kind] }) && timeLiteral.MatchString(st.SQL)
}

// rowsOnly are the kinds that change rows and no definition.
var rowsOnly = map[effects.Kind]bool{effects.Insert: true, effects.Update: true, effects.Delete: true, effects.Upsert: true, effects.Replace: true, effects.Merge: true}

// roundTrip goes all the way down and up again on the trunk. It only says something where each Down was good.
func (p *prover) roundTrip(ctx context.Context, all []*Migration) (*RoundTrip, error) {
	for _, proof := range p.report.Migrations {
		switch proof.Verdict {
		case ProofOK, ProofCosmetic, ProofData:
		default:
			return &RoundTrip{Verdict: notTried, Reason: fmt.Sprintf("%s is %s", proof.File, proof.Verdict)}, nil
		}
	}
	p.state = nil
	if err := p.know(ctx); err != nil {
		return nil, err
	}
	for _, m := range slices.Backward(all) {
		if failed, err := p.outcome(ctx, p.trunk.run(ctx, m, Down)); failed != nil || err != nil {
			return &RoundTrip{Verdict: string(ProofDownFails), Error: failed}, err
		}
	}
	f, err := p.trunk.take(ctx, everything)
	if err != nil {
		return nil, err
	}
	if d := material(verify.Diff(p.empty, f)); len(d) > 0 {
		return &RoundTrip{Verdict: string(ProofWrong), Reason: "after all Downs the database is not as it was at first", Differences: d}, nil
	}
	for _, m := range all {
		if failed, err := p.outcome(ctx, p.trunk.run(ctx, m, Up)); failed != nil || err != nil {
			return &RoundTrip{Verdict: string(ProofUpFails), Error: failed}, err
		}
	}
	if f, err = p.trunk.take(ctx, everything); err != nil {
		return nil, err
	}
	if d := material(verify.Diff(p.state, f)); len(d) > 0 {
		return &RoundTrip{Verdict: string(ProofWrong), Reason: "the second time all Ups lead to another schema", Differences: d}, nil
	}
	return &RoundTrip{Verdict: "ok"}, nil
}

// downLine is where a migration's Down begins, or its first line.
func downLine(m *Migration) int {
	if len(m.Down) > 0 {
		return m.Down[0].Line
	}
	return max(m.downMark, 1)
}

// accepted is the reason of an "irreversible" annotation that holds for the migration's Up.
func accepted(m *Migration) string {
	for _, n := range m.Notes {
		if n.Kind == effects.Irreversible && n.Problem == "" {
			return n.Reason
		}
	}
	return ""
}
