package migrate

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// dropWait bounds what is cleaned up after a run that was given up.
const dropWait = 30 * time.Second

// trial is what one up, down, up showed; what was not reached is nil.
type trial struct {
	reach                      reach // of the fingerprints
	before, after, back, again verify.Fingerprint
	up, down, upAgain          *ProofError
	noDown                     bool // no statement of Down changes anything
	fix                        []string
}

// stage is where a trial takes place.
type stage interface {
	run(ctx context.Context, m *Migration, d Direction) error
	take(ctx context.Context, r reach) (verify.Fingerprint, error)
	// session is what to read and write through; a run may change it.
	session() (*engine.DB, engine.Querier)
	// settle ends what was done before the first run.
	settle(ctx context.Context) error
	// hurry makes statements end sooner, or again as late as they may: those of an Up on generated rows.
	hurry(bool)
	// aside runs f and takes back whatever it did, where the server can.
	aside(ctx context.Context, f func(q engine.Querier) error) error
}

// try runs a migration up, down and up, and compares what it can reach, or everything.
func (p *prover) try(ctx context.Context, s stage, m *Migration, all bool) (*trial, error) {
	t := &trial{noDown: !slices.ContainsFunc(m.Down, changesAnything), reach: everything}
	var err error
	if !all {
		if t.reach, err = p.reach(ctx, s, m); err != nil {
			return nil, err
		}
	}
	if t.before, err = p.before(ctx, s, t.reach); err != nil {
		return nil, err
	}
	if t.up, err = p.outcome(ctx, s.run(ctx, m, Up)); t.up != nil || err != nil {
		return t, err
	}
	if t.after, err = s.take(ctx, t.reach); err != nil {
		return t, err
	}
	p.watch(t.after)
	if p.refused(m, Down) != nil {
		return t, nil
	}
	if t.down, err = p.outcome(ctx, s.run(ctx, m, Down)); t.down != nil || err != nil {
		return t, err
	}
	if t.back, err = s.take(ctx, t.reach); err != nil {
		return t, err
	}
	if !t.reach.all && len(verify.Diff(t.before, t.back)) > 0 {
		if wide, err := p.widen(ctx, s, t); !wide || err != nil {
			return t, err
		}
	}
	if len(material(verify.Diff(t.before, t.back))) > 0 {
		if !t.noDown {
			t.fix, err = p.suggest(ctx, s, m, t)
		}
		return t, err
	}
	if t.upAgain, err = p.outcome(ctx, s.run(ctx, m, Up)); t.upAgain != nil || err != nil {
		return t, err
	}
	t.again, err = s.take(ctx, t.reach)
	return t, err
}

// widen looks at everything after a Down that did not give back what the migration reaches, because what depends on that may differ, too. A
// copy need not be made once more for it: the trunk shows what was there before. It says whether it could.
func (p *prover) widen(ctx context.Context, s stage, t *trial) (bool, error) {
	if _, copied := s.(committed); !copied || len(material(verify.Diff(t.before, t.back))) == 0 {
		return false, nil
	}
	if err := p.know(ctx); err != nil {
		return false, err
	}
	back, err := s.take(ctx, everything)
	if err != nil || len(material(verify.Diff(p.state, back))) == 0 {
		return false, err
	}
	t.reach, t.before, t.after, t.back = everything, p.state, nil, back // nobody asks for after: Up does not run again
	return true, nil
}

// before is the trunk's fingerprint, taken on a stage on which nothing has run yet.
func (p *prover) before(ctx context.Context, s stage, r reach) (verify.Fingerprint, error) {
	if !r.all {
		return s.take(ctx, r)
	}
	if p.state == nil {
		f, err := s.take(ctx, r)
		if err != nil {
			return nil, err
		}
		p.state = f
		p.watch(f)
	}
	return p.state, nil
}

// watch notes that there are event triggers: they may do anything after any statement.
func (p *prover) watch(f verify.Fingerprint) {
	for _, o := range f {
		p.watched = p.watched || o.Kind == "event trigger"
	}
}

func changesAnything(st Statement) bool {
	return slices.ContainsFunc(st.Effects, effects.Effect.Changes)
}

// differs tells whether Down or the second Up led elsewhere.
func (t *trial) differs() bool {
	return t.back != nil && len(verify.Diff(t.before, t.back)) > 0 || t.again != nil && len(verify.Diff(t.after, t.again)) > 0
}

// verdict says what a trial means.
func (t *trial) verdict(proof *Proof) {
	proof.Differences = []verify.Difference{}
	if t.back != nil {
		proof.Differences = append(proof.Differences, verify.Diff(t.before, t.back)...)
	}
	wrong := len(material(slices.Clone(proof.Differences))) > 0
	switch {
	case t.up != nil:
		proof.Verdict, proof.Error = ProofUpFails, t.up
	case t.noDown && (wrong || t.upAgain != nil):
		proof.Verdict = ProofNoDown
	case t.down != nil:
		proof.Verdict, proof.Error = ProofDownFails, t.down
	case wrong:
		proof.Verdict, proof.Suggestion = ProofWrong, t.fix
	case t.upAgain != nil:
		proof.Verdict, proof.Error = ProofNotRepeatable, t.upAgain
	case t.again != nil && len(material(verify.Diff(t.after, t.again))) > 0:
		proof.Verdict, proof.Differences = ProofNotRepeatable, verify.Diff(t.after, t.again)
		proof.Notes = append(proof.Notes, "the differences are between the schema after the first Up and after the second")
	case len(proof.Differences) > 0:
		proof.Verdict = ProofCosmetic
	default:
		proof.Verdict = ProofOK
	}
}

// rehearsal is a stage within one transaction of the trunk, which is rolled back.
type rehearsal struct{ t *trunk }

// rehearse runs f on the trunk without a trace.
func (p *prover) rehearse(ctx context.Context, f func(stage) error) (err error) {
	counters, err := p.trunk.db.Counters(ctx, p.trunk.s)
	if err != nil {
		return err
	}
	if _, err := p.trunk.s.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	defer func() {
		ctx := context.WithoutCancel(ctx)
		// SQLite has rolled back by itself when a statement was stopped, or said so (ON CONFLICT ROLLBACK).
		_, _ = p.trunk.s.ExecContext(ctx, "ROLLBACK")
		// Rows of a migration get the numbers that it takes for granted elsewhere.
		err = errors.Join(err, p.trunk.renew(ctx), p.trunk.db.ResetCounters(ctx, p.trunk.s, counters))
	}()
	return f(rehearsal{p.trunk})
}

func (r rehearsal) run(ctx context.Context, m *Migration, d Direction) error {
	stmts := m.statements(d)
	if !m.Transactional { // each statement commits: what it leaves for later is checked with it
		if err := r.settle(ctx); err != nil {
			return err
		}
	}
	if err := r.t.execute(ctx, stmts); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		if len(stmts) == 0 {
			return err
		}
		return placed(stmts[len(stmts)-1], err)
	}
	return r.t.fresh(ctx)
}

// settle checks what a commit would check.
func (r rehearsal) settle(ctx context.Context) error {
	for _, check := range engine.CheckDeferred(r.t.db) {
		if _, err := r.t.s.ExecContext(ctx, check); err != nil {
			return err
		}
	}
	return nil
}

func (r rehearsal) hurry(on bool) { r.t.hurried = on }

func (r rehearsal) session() (*engine.DB, engine.Querier) { return r.t.db, r.t.s }

func (r rehearsal) take(ctx context.Context, of reach) (verify.Fingerprint, error) {
	return r.t.take(ctx, of)
}

func (r rehearsal) aside(ctx context.Context, f func(q engine.Querier) error) error {
	return within(ctx, r.t.s, f)
}

// within runs f in a savepoint that is rolled back.
func within(ctx context.Context, q engine.Querier, f func(q engine.Querier) error) error {
	if _, err := q.ExecContext(ctx, "SAVEPOINT dbrollback_aside"); err != nil {
		return err
	}
	err := f(q)
	for _, back := range []string{"ROLLBACK TO SAVEPOINT dbrollback_aside", "RELEASE SAVEPOINT dbrollback_aside"} {
		if _, rerr := q.ExecContext(context.WithoutCancel(ctx), back); rerr != nil {
			return errors.Join(err, rerr)
		}
	}
	return err
}

// committed is a stage in a database of its own, with a commit after each direction.
type committed struct{ t *trunk }

// onCopy runs f on a copy of the trunk.
func (p *prover) onCopy(ctx context.Context, f func(stage) error) error {
	return p.copied(ctx, func(c *trunk) error { return f(committed{c}) })
}

// copied gives f a copy of the trunk, to do with as it likes.
func (p *prover) copied(ctx context.Context, f func(c *trunk) error) error {
	if !p.o.Scratch.Copies() {
		t, err := p.inStep(ctx)
		if err != nil {
			return err
		}
		return f(t)
	}
	made, err := p.makingRoles(ctx, func() error {
		c, err := p.trunk.copy(ctx)
		if err != nil {
			return err
		}
		if err := f(c); err != nil || slices.ContainsFunc(slices.Concat(p.current.Up, p.current.Down), touchesServer) {
			return errors.Join(err, c.close()) // roles can only be dropped behind it
		}
		p.drops.Go(c.close)
		return nil
	})
	p.dropRoles(made) // the trunk has yet to make them
	return err
}

func (c committed) run(ctx context.Context, m *Migration, d Direction) error {
	return c.t.run(ctx, m, d)
}

func (c committed) hurry(on bool) { c.t.hurried = on }

func (c committed) session() (*engine.DB, engine.Querier) { return c.t.db, c.t.s }

// settle commits what populating began.
func (c committed) settle(ctx context.Context) error {
	if _, err := c.t.s.ExecContext(ctx, "COMMIT"); err != nil {
		return err
	}
	return c.t.renew(ctx)
}

func (c committed) take(ctx context.Context, of reach) (verify.Fingerprint, error) {
	return c.t.take(ctx, of)
}

func (c committed) aside(ctx context.Context, f func(q engine.Querier) error) error {
	if !c.t.db.Caps.TransactionalDDL {
		return f(c.t.s)
	}
	if _, err := c.t.s.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	err := within(ctx, c.t.s, f)
	_, rerr := c.t.s.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	return errors.Join(err, rerr)
}
