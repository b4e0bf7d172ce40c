package migrate

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pressly/goose/v3/database"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// Plan says what a run would do. It only reads, unless Rehearse: then everything that can run in a transaction is run
// in one that is rolled back, so that what opaque statements touch is seen, and the locks that Up takes are taken.
func (m *Migrator) Plan(ctx context.Context, req PlanRequest) (_ *Plan, err error) {
	s, err := m.db.Session(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	applied, err := m.applied(ctx, s)
	if err != nil {
		return nil, err
	}
	var versions []int64
	if req.Direction == Up {
		if versions, err = m.pending(applied, req.To); err == nil {
			err = m.notElsewhere(ctx, s, applied, versions)
		}
	} else {
		versions, err = m.targets(ctx, s, req)
	}
	if err != nil {
		return nil, err
	}
	p := &Plan{Version: 1, Direction: req.Direction, Target: m.db.Target, From: current(applied), Migrations: []PlanMigration{}}
	p.To = p.From
	if len(versions) > 0 {
		if req.Direction == Up {
			p.To = versions[len(versions)-1]
		} else {
			p.To = current(slices.DeleteFunc(slices.Clone(applied), func(v int64) bool { return slices.Contains(versions, v) }))
		}
	}
	if err := m.tryOut(ctx, s, p, versions, req.Rehearse && m.db.Caps.TransactionalDDL); err != nil {
		return nil, err
	}
	if req.Direction == Down {
		if err := m.planObstacles(ctx, s, p); err != nil {
			return nil, err
		}
	}
	if err := m.foresee(ctx, s, p, req.Online); err != nil {
		return nil, err
	}
	return p, p.seal()
}

// tryOut fills a plan in, in a transaction that is rolled back where something is run: everything, to rehearse it, or what sets
// the search path, by which the tables of the other statements are found.
func (m *Migrator) tryOut(ctx context.Context, s *engine.Session, p *Plan, versions []int64, rehearse bool) error {
	if !rehearse && !m.db.Caps.Schemas {
		return m.plan(ctx, s, p, versions, false)
	}
	err := s.Tx(ctx, func(tx *sql.Tx) error {
		if err := m.plan(ctx, tx, p, versions, rehearse); err != nil {
			return err
		}
		return errRehearsed
	})
	if errors.Is(err, errRehearsed) {
		return nil
	}
	return err
}

// setsSearchPath tells whether a statement does, and nothing else.
func setsSearchPath(st Statement) bool {
	return len(st.Effects) > 0 && strings.Contains(strings.ToLower(st.SQL), "search_path") &&
		!slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind != effects.Session && e.Kind != effects.Read })
}

// errRehearsed rolls a rehearsal back.
var errRehearsed = errors.New("rehearsed")

// seal sets the hash, over everything but estimates.
func (p *Plan) seal() error {
	q := *p
	q.Hash = ""
	q.Migrations = slices.Clone(p.Migrations)
	for i, pm := range q.Migrations {
		pm.Steps, pm.Obstacles = slices.Clone(pm.Steps), nil
		pm.Back = nil
		for j, st := range pm.Steps {
			st.Captures = slices.Clone(st.Captures)
			for k := range st.Captures {
				st.Captures[k].Rows, st.Captures[k].Bytes = 0, 0
			}
			st.Locks = slices.Clone(st.Locks)
			for k := range st.Locks {
				st.Locks[k].KeepsOut, st.Locks[k].Seconds = "", 0
			}
			pm.Steps[j] = st
		}
		q.Migrations[i] = pm
	}
	b, err := json.Marshal(q)
	if err != nil {
		return err
	}
	h := sha256.Sum256(b)
	p.Hash = hex.EncodeToString(h[:])
	return nil
}

// plan fills in the migrations.
func (m *Migrator) plan(ctx context.Context, q database.DBTxConn, p *Plan, versions []int64, rehearse bool) error {
	known := map[int64]bool{}
	if ours, err := m.catalog.exists(ctx, q); err != nil {
		return err
	} else if ours {
		if known, err = m.catalog.known(ctx, q); err != nil {
			return err
		}
	}
	if p.Direction == Up {
		m.src.ready(ctx, versions)
	}
	future := m.tables()
	for _, v := range versions {
		var rec *record
		if known[v] {
			var err error
			if rec, err = m.catalog.load(ctx, q, v); err != nil {
				return err
			}
		}
		mig, _, err := m.migration(ctx, v, p.Direction, rec)
		if err != nil {
			return err
		}
		pm, err := m.planOne(ctx, q, mig, p.Direction, future, rehearse)
		if err != nil {
			return err
		}
		p.Migrations = append(p.Migrations, *pm)
	}
	return nil
}

func (m *Migrator) planOne(ctx context.Context, q database.DBTxConn, mig *Migration, dir Direction, future tables, rehearse bool) (*PlanMigration, error) {
	pm := &PlanMigration{Version: mig.Version, File: mig.File, Verdict: Lossless, Transactional: mig.Transactional && m.db.Caps.TransactionalDDL, Steps: []PlanStep{}}
	pm.Reasons = m.refusals(mig, dir)
	if dir == Up {
		reasons, err := m.noWayBack(ctx, q, mig)
		if err != nil {
			return nil, err
		}
		pm.Reasons = append(pm.Reasons, reasons...)
	}
	own := m.tables() // made by this very migration: nothing of anyone's can be in them
	for i, st := range mig.statements(dir) {
		step := PlanStep{Line: st.Line, Column: st.Column, Statement: st.SQL, Effects: []PlanEffect{}, Captures: []snapshot.Need{}, Locks: []PlanLock{}}
		for _, e := range st.Effects {
			step.Effects = append(step.Effects, planEffect(e))
			if e.Kind == effects.External {
				step.Notes = append(step.Notes, "leaves the database and cannot be undone: "+e.Detail)
			}
			if refusal, ok := losesLarge(st, e); ok && dir == Up {
				pm.Reasons = append(pm.Reasons, refusal)
			}
		}
		if reason, ok := mig.annotation(dir, st, effects.NoCapture); ok {
			step.Notes = append(step.Notes, "not captured, as the migration says: "+reason)
		} else if swap, err := m.exchange(ctx, q, mig, dir, i); err != nil {
			return nil, (&work{mig: mig}).located(st, err)
		} else if swap != nil {
			step.Notes = append(step.Notes, "the rows change places, and the same statement in the opposite section brings them back: nothing is copied")
		} else {
			opaque, err := m.needs(ctx, q, mig, st, &step, pm, future)
			if err != nil {
				return nil, err
			}
			if opaque && rehearse && pm.Transactional {
				if err := m.rehearse(ctx, q, mig, st, &step); err != nil {
					return nil, err
				}
			}
			if dir == Up {
				if err := m.publications(ctx, q, st, &step); err != nil {
					return nil, err
				}
				if err := m.virtualTables(ctx, q, mig, st, pm, future); err != nil {
					return nil, err
				}
			}
			if err := m.mustCopy(ctx, mig, dir, i, pm, &step, own); err != nil {
				return nil, err
			}
			switch {
			case opaque && !pm.Transactional:
				if !mig.declares(dir, st) {
					pm.Reasons = append(pm.Reasons, notTold(st))
				}
			case opaque && !rehearse:
				step.Notes = append(step.Notes, "will be rehearsed in a savepoint, to see what it touches")
				pm.raise(Rehearsable)
			case len(step.Captures) > 0 || slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
				return e.Destroys() && own.finds(e)
			}):
				pm.raise(Restorable)
			}
		}
		for _, l := range locks(st, m.db.Caps) {
			if !future.has(l.table) {
				step.Locks = append(step.Locks, PlanLock{Table: l.table.String(), Mode: l.mode, name: engine.Name(future.now(l.table))})
			}
		}
		pm.Steps = append(pm.Steps, step)
		tried := rehearse && pm.Transactional
		future.follow(st.Statement, tried)
		own.follow(st.Statement, tried)
		if tried || m.db.Caps.Schemas && setsSearchPath(st) {
			if _, err := q.ExecContext(ctx, st.SQL); err != nil {
				return nil, (&work{mig: mig}).failed(st, err)
			}
		}
	}
	if len(pm.Reasons) > 0 {
		pm.Verdict = Irreversible
	}
	return pm, nil
}

// notTold refuses a statement that nobody understands and that cannot be tried.
func notTold(st Statement) Refusal {
	r := Refusal{
		File: st.File, Line: st.Line, Column: st.Column,
		Message: "what this statement touches cannot be told from its text, and it runs outside a transaction, so it cannot be rehearsed",
		Hint:    "name the tables in front of it: -- +dbrollback affects: table, …",
	}
	if st.ParseError != "" {
		r.Message = "this statement is " + st.ParseError + ", and it runs outside a transaction, so it cannot be rehearsed to see what it touches"
		r.Hint = "correct it; or, when the server knows more, name the tables that it touches in front of it: -- +dbrollback affects: table, …"
		if line, column := effects.Position(st.SQL, st.ErrorOffset); line > 1 {
			r.Line, r.Column = st.Line+line-1, column
		} else {
			r.Column += column - 1
		}
	}
	return r
}

func (pm *PlanMigration) raise(v Verdict) {
	order := []Verdict{Lossless, Restorable, Rehearsable, Irreversible}
	if slices.Index(order, v) > slices.Index(order, pm.Verdict) {
		pm.Verdict = v
	}
}

// needs asks which captures a statement wants.
func (m *Migrator) needs(ctx context.Context, q engine.Querier, mig *Migration, st Statement, step *PlanStep, pm *PlanMigration, future tables) (opaque bool, err error) {
	now, made := st.Statement, false
	now.Effects = nil
	for _, e := range st.Effects {
		if was, there := future.effect(e); there {
			now.Effects = append(now.Effects, was)
		} else {
			made = true
		}
	}
	if made && st.Destroys() {
		step.Notes = append(step.Notes, "works on a table that this run makes")
	}
	if len(now.Effects) == 0 {
		return false, nil
	}
	needs, opaque, err := m.store.Needs(ctx, q, now)
	var loss *snapshot.LossError
	switch {
	case errors.As(err, &loss):
		hint := "accept the loss in the migration: -- +dbrollback no-capture: <reason>"
		if loss.Hint != "" {
			hint = loss.Hint
		}
		pm.Reasons = append(pm.Reasons, Refusal{File: st.File, Line: st.Line, Column: st.Column, Message: loss.Error(), Hint: hint})
		return false, nil
	case err != nil:
		return false, (&work{mig: mig}).located(st, err)
	}
	for _, n := range needs {
		if by := future.then(n.Name); by != "" {
			step.Notes = append(step.Notes, fmt.Sprintf("%s is %s, which this run renames", by, n.Table))
		}
	}
	step.Captures = append(step.Captures, needs...)
	return opaque, nil
}

// mustCopy finds the tables that could be kept and will be copied all the same: an earlier statement captures something of them, or a later one
// comes to the table that stands in their place.
func (m *Migrator) mustCopy(ctx context.Context, mig *Migration, dir Direction, at int, pm *PlanMigration, step *PlanStep, own tables) error {
	if !slices.ContainsFunc(step.Captures, func(c snapshot.Need) bool { return c.Kind == snapshot.Kept || c.Kind == snapshot.KeptColumns }) {
		return nil // most statements of a long migration: what comes after each is not gathered
	}
	rest := parsed(mig.statements(dir)[at+1:])
	for i := range step.Captures {
		c := &step.Captures[i]
		if c.Kind == snapshot.KeptColumns {
			captured := slices.ContainsFunc(pm.Steps, func(s PlanStep) bool {
				return slices.ContainsFunc(s.Captures, func(o snapshot.Need) bool { return o.Table == c.Table && o.Kind != snapshot.KeptColumns })
			})
			if dir != Up || captured || !snapshot.Quiet(c.Name, rest) || !snapshot.Quiet(c.Name, parsed(mig.statements(dir.opposite()))) {
				c.Kind = snapshot.Columns
			} else {
				step.Notes = append(step.Notes, "the columns stay in the table under names of dbrollback until their captures are pruned; what the way back takes does not grow with the table, but for indexes over them")
			}
			continue
		}
		if c.Kind != snapshot.Kept {
			continue
		}
		copied := slices.ContainsFunc(pm.Steps, func(s PlanStep) bool {
			return slices.ContainsFunc(s.Captures, func(o snapshot.Need) bool { return o.Table == c.Table })
		})
		copied = copied || m.store.GivenAgain(c.Name, rest) || own.then(c.Name) != ""
		if !copied && c.Empties {
			alone, err := m.store.LeftAlone(ctx, c.Name, rest)
			if err != nil {
				return err
			}
			copied = !alone
		}
		if copied {
			c.Kind = snapshot.Table
		}
	}
	return nil
}

// rehearse runs an opaque statement in a savepoint and asks for the captures of what was seen.
func (m *Migrator) rehearse(ctx context.Context, q engine.Querier, mig *Migration, st Statement, step *PlanStep) error {
	seen, err := m.store.Rehearse(ctx, q, func() error {
		if _, err := q.ExecContext(ctx, st.SQL); err != nil {
			return (&work{mig: mig}).failed(st, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, e := range seen.Effects {
		step.Effects = append(step.Effects, planEffect(e))
	}
	for _, l := range seen.LeavesTransaction {
		step.Notes = append(step.Notes, "cannot be undone: "+l)
	}
	if len(seen.Effects) == 0 {
		return nil
	}
	needs, _, err := m.store.Needs(ctx, q, effects.Statement{SQL: st.SQL, Effects: seen.Effects})
	if err != nil {
		return (&work{mig: mig}).located(st, err)
	}
	step.Captures = append(step.Captures, needs...)
	return nil
}

func planEffect(e effects.Effect) PlanEffect {
	return PlanEffect{Kind: e.Kind, Object: objectOf(e), Columns: e.Columns, ObjectKind: e.Object.Kind, table: e.Table}
}

func objectOf(e effects.Effect) string {
	if e.Object.Name.Name != "" {
		return e.Object.Name.String()
	}
	return e.Table.String()
}

// refusals are the reasons for which a migration does not run, as far as its text tells.
func (m *Migrator) refusals(mig *Migration, dir Direction) []Refusal {
	var out []Refusal
	for _, a := range mig.Notes {
		if a.Problem != "" {
			out = append(out, Refusal{File: mig.noteFile(a), Line: a.Line, Column: a.Column, Message: a.Problem, Hint: "annotations: affects, irreversible, ignore, no-capture; each with a value"})
		}
	}
	out = append(out, m.refusedStatements(mig, dir)...)
	if dir == Up && len(mig.Down) == 0 && slices.ContainsFunc(mig.Up, func(st Statement) bool { return st.Changes() }) {
		first := mig.Up[0]
		out = append(out, Refusal{File: first.File, Line: first.Line, Column: first.Column, Message: "the migration has no Down section: nothing could undo it",
			Hint: "write one " + m.src.downAt(mig.Version) + "; or accept it with -- +dbrollback irreversible: <reason> and --allow-irreversible"})
	}
	return out
}

// refusedStatements are the reasons that are statements of one direction.
func (m *Migrator) refusedStatements(mig *Migration, dir Direction) []Refusal {
	var out []Refusal
	refuse := func(st Statement, message, hint string) {
		out = append(out, Refusal{File: st.File, Line: st.Line, Column: st.Column, Message: message, Hint: hint, fatal: true})
	}
	for _, st := range mig.statements(dir) {
		for _, e := range st.Effects {
			switch {
			case e.Refused != "":
				hint := "write the rows as INSERT, or COPY from a file of the server"
				switch e.Kind {
				case effects.Truncate:
					hint = "move files outside of migrations; to empty the table, or a partition, TRUNCATE it"
				case effects.Session:
					hint = "SET ROLE does the same for what the migration makes, and its captures stay closed"
				case effects.External:
					hint = "bring the rows into this database before the migration, or migrate the other file on its own"
				case effects.DetachPartition:
					hint = "exchange it WITH VALIDATION, which is what happens when nothing is said"
				}
				refuse(st, e.Refused, hint)
			case e.Kind == effects.Session && e.Object.Kind == "setting" && e.Object.Name.Name == "database":
				refuse(st, "a migration must stay in the database of the URL: "+headline(st.SQL), "write the other database in front of the names, as in other.table, or give it migrations of its own")
			case e.Kind == effects.Transaction:
				refuse(st, "a migration must not control its own transaction: "+headline(st.SQL), "take the statement out; each migration runs in one transaction, or none under -- +goose NO TRANSACTION")
			case st.Autocommit && mig.Transactional && m.db.Caps.TransactionalDDL:
				refuse(st, "this statement cannot run inside a transaction: "+headline(st.SQL), "put it into a migration of its own that begins with -- +goose NO TRANSACTION")
			default:
				continue
			}
			break
		}
	}
	return out
}

// annotation finds one that applies to a statement.
func (mig *Migration) annotation(dir Direction, st Statement, name effects.AnnotationKind) (string, bool) {
	for _, a := range mig.Notes {
		if a.Kind == name && a.Applies(string(dir), st.Line) {
			return a.Reason, true
		}
	}
	return "", false
}

// declares says whether the migration names what an opaque statement touches.
func (mig *Migration) declares(dir Direction, st Statement) bool {
	return len(mig.declared(dir, st)) > 0
}

// declared gives the effects that an affects annotation stands for: any row of its tables may change.
func (mig *Migration) declared(dir Direction, st Statement) []effects.Effect {
	var out []effects.Effect
	for _, a := range mig.Notes {
		if a.Kind == effects.Affects && a.Applies(string(dir), st.Line) {
			for _, t := range a.Tables {
				out = append(out, effects.Effect{Kind: effects.Replace, Table: t, Detail: "affects"})
			}
		}
	}
	return out
}

func (mig *Migration) noCapture(dir Direction, st Statement) bool {
	_, ok := mig.annotation(dir, st, effects.NoCapture)
	return ok
}

func (mig *Migration) acceptedLoss() bool {
	return slices.ContainsFunc(mig.Notes, func(a effects.Annotation) bool { return a.Kind == effects.Irreversible && a.Problem == "" })
}

// check refuses a run before anything of it happens.
func (m *Migrator) check(ctx context.Context, s *engine.Session, dir Direction, versions []int64, allow bool, maxLock time.Duration) error {
	p := &Plan{Direction: dir}
	if err := m.tryOut(ctx, s, p, versions, false); err != nil {
		return err
	}
	var out []Refusal
	for i, pm := range p.Migrations {
		if pm.Verdict == Irreversible && dir == Up {
			mig, err := m.src.load(ctx, versions[i])
			if err != nil {
				return err
			}
			if mig.acceptedLoss() && allow && !fatal(pm.Reasons) {
				continue
			}
		}
		out = append(out, pm.Reasons...)
		if hold := pm.hold(); maxLock > 0 && hold > maxLock {
			out = append(out, Refusal{File: pm.File, Line: 1, Column: 1,
				Message: fmt.Sprintf("its captures would keep writers out for about %s, more than --max-lock %s", hold.Round(min(time.Second, max(time.Millisecond, maxLock/10))), maxLock),
				Hint:    "raise --max-lock in a quiet hour, split the migration, or mark worthless data with -- +dbrollback no-capture: <reason>"})
		}
	}
	if len(out) > 0 {
		return &RefusedError{Reasons: out}
	}
	if dir == Up {
		return m.remakes(ctx, s, p, versions)
	}
	return nil
}

// remakes refuses an up whose rollback this account could not carry out: it would find that out when its Down has run.
func (m *Migrator) remakes(ctx context.Context, s *engine.Session, p *Plan, versions []int64) error {
	var tables []engine.Name
	var objects []engine.Object
	for i, pm := range p.Migrations {
		for _, step := range pm.Steps {
			for _, n := range step.Captures {
				if slices.Contains([]snapshot.Kind{snapshot.Rows, snapshot.Columns, snapshot.Table}, n.Kind) && !slices.Contains(tables, n.Name) {
					tables = append(tables, n.Name)
				}
			}
		}
		mig, err := m.src.load(ctx, versions[i])
		if err != nil {
			return err
		}
		for _, st := range mig.statements(Up) {
			for _, e := range st.Effects {
				if e.Kind == effects.Drop {
					objects = append(objects, engine.Object{Kind: e.Object.Kind, Name: e.Object.Name.Name})
				}
			}
		}
	}
	return m.db.Remakes(ctx, s, tables, objects)
}

// fatal reasons cannot be accepted: the migration would not run.
func fatal(reasons []Refusal) bool {
	return slices.ContainsFunc(reasons, func(r Refusal) bool { return r.fatal })
}
