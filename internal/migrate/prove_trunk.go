package migrate

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// trunk is a scratch database and the one session that works on it.
type trunk struct {
	scratch *engine.Scratch
	limit   time.Duration // of one statement of a migration, 0 for none
	hurried bool          // statements run on generated rows, of which there are few
	texts   *verify.Texts // shared by all databases of a proof; nil remembers nothing
	name    string
	db      *engine.DB
	s       *engine.Session
}

// newTrunk makes an empty scratch database.
func newTrunk(ctx context.Context, scratch *engine.Scratch, limit time.Duration, texts *verify.Texts) (*trunk, error) {
	name, err := scratch.Create(ctx, "")
	if err != nil {
		return nil, err
	}
	return opened(ctx, &trunk{scratch: scratch, limit: limit, texts: texts, name: name})
}

func opened(ctx context.Context, t *trunk) (*trunk, error) {
	if err := t.open(ctx); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

func (t *trunk) open(ctx context.Context) (err error) {
	if t.s != nil {
		return nil
	}
	if t.db, err = t.scratch.Open(ctx, t.name); err != nil {
		return err
	}
	t.db.Ignore = append(t.db.Ignore, engine.Name{Name: "goose_db_version"})
	if t.s, err = t.db.Session(ctx); err != nil {
		return err
	}
	return t.fresh(ctx)
}

// leave ends the connections, so that the database can be copied.
func (t *trunk) leave() error {
	var errs []error
	if t.s != nil {
		errs = append(errs, t.s.Close())
	}
	if t.db != nil {
		errs = append(errs, t.db.Close())
	}
	t.s, t.db = nil, nil
	return errors.Join(errs...)
}

// close drops the database. One that cannot be dropped now, because the server is busy with something else, goes
// when the scratch place is closed.
func (t *trunk) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), dropWait)
	defer cancel()
	err := t.leave()
	_ = t.scratch.Drop(ctx, t.name)
	return err
}

// copy makes a database like this one. Where its own session can do so, that stays: a new one would have to plan the catalog's statements again.
func (t *trunk) copy(ctx context.Context) (*trunk, error) {
	c := &trunk{scratch: t.scratch, limit: t.limit, texts: t.texts}
	var err error
	if c.name, err = t.scratch.CopyBy(ctx, t.s, t.name); err == nil {
		return opened(ctx, c)
	}
	if err := t.leave(); err != nil {
		return nil, err
	}
	if c.name, err = t.scratch.Create(ctx, t.name); err != nil {
		return nil, errors.Join(err, t.open(ctx))
	}
	if c, err = opened(ctx, c); err != nil {
		return nil, errors.Join(err, t.open(ctx))
	}
	return c, t.open(ctx)
}

// everything is the reach of what may change anything.
var everything = reach{all: true}

func (t *trunk) take(ctx context.Context, r reach) (verify.Fingerprint, error) {
	return r.takeBy(ctx, t.db, t.s, func(ctx context.Context, q engine.Querier, s verify.Scope) (verify.Fingerprint, error) {
		return t.texts.Take(ctx, t.db, q, s)
	})
}

// run runs one direction of a migration and commits, in a session that is as good as new.
func (t *trunk) run(ctx context.Context, m *Migration, d Direction) error {
	stmts := m.statements(d)
	if m.Transactional {
		if _, err := t.s.ExecContext(ctx, "BEGIN"); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
	}
	err := t.execute(ctx, stmts)
	if err == nil && m.Transactional {
		if _, cerr := t.s.ExecContext(ctx, "COMMIT"); cerr != nil {
			err = cerr
			if len(stmts) > 0 { // a deferred constraint speaks up
				err = placed(stmts[len(stmts)-1], cerr)
			}
		}
	}
	if err != nil {
		_, _ = t.s.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") // there may be no transaction any more
	}
	if err == nil && t.db.Kind == engine.SQLite && !slices.ContainsFunc(stmts, lasts) {
		return nil // to open a session takes time that grows with the schema
	}
	return errors.Join(err, t.renew(ctx))
}

// momentary are the effects after which a session of SQLite is as it was.
var momentary = []effects.Kind{effects.CreateTable, effects.DropTable, effects.AddColumn, effects.DropColumn, effects.RenameTable, effects.RenameColumn,
	effects.Insert, effects.Update, effects.Delete, effects.Read, effects.Create, effects.Drop}

// sticking are the words without which nothing lasts.
var sticking = regexp.MustCompile(`(?i)\b(temp|temporary|pragma|attach|detach|begin|commit|end|rollback|savepoint|release)\b`)

// lasts says whether a statement may leave something on its session.
func lasts(st Statement) bool {
	return sticking.MatchString(st.SQL) || slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return !slices.Contains(momentary, e.Kind) })
}

// transaction runs f between BEGIN and COMMIT.
func (t *trunk) transaction(ctx context.Context, f func() error) error {
	if _, err := t.s.ExecContext(ctx, "BEGIN"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	err := f()
	if err == nil {
		_, err = t.s.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		_, _ = t.s.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") // the first error counts
	}
	return err
}

// execute runs statements; the error is a *StatementError.
func (t *trunk) execute(ctx context.Context, stmts []Statement) error {
	for _, st := range stmts {
		if err := t.one(ctx, st); err != nil {
			return placed(st, err)
		}
	}
	return nil
}

// one runs a statement, as long as it may take. It is stopped from here, not by a setting of the server: what a migration sets
// itself, and what the setting does not cover (DDL and routines on MySQL, everything on SQLite), would get round that.
func (t *trunk) one(ctx context.Context, st Statement) error {
	limit := t.patience()
	if limit <= 0 {
		_, err := t.s.ExecContext(ctx, st.SQL)
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := t.s.ExecContext(bounded, st.SQL)
	if ctx.Err() != nil || bounded.Err() == nil {
		return err
	}
	// It may seem to have ended well: a SLEEP that is interrupted does.
	return &engine.Error{Class: engine.StatementTimeout, Err: err, Message: fmt.Sprintf("the statement did not end within %s on a scratch database", limit),
		Hint: "see whether it ends at all; if it only takes longer: --statement-timeout " + (10 * t.limit).String()}
}

// enough is how long a statement may take on generated rows in any case: a fourth of the limit, when that is longer.
const enough = 15 * time.Second

// patience is how long a statement may take now, 0 for as long as it likes.
func (t *trunk) patience() time.Duration {
	if t.hurried {
		return min(t.limit, max(enough, t.limit/4))
	}
	return t.limit
}

// renew makes the session as good as new: what a migration set on it must not reach the next one.
func (t *trunk) renew(ctx context.Context) error {
	if t.db.Kind == engine.Postgres { // a new session would have to plan the catalog's statements again
		return t.fresh(ctx)
	}
	if err := t.s.Close(); err != nil {
		return err
	}
	var err error
	t.s, err = t.db.Session(ctx)
	return err
}

// fresh undoes what statements can set on a session, in a transaction or outside of one. It also takes the
// settings off that our connections have and a migration tool's have not.
func (t *trunk) fresh(ctx context.Context) error { return freshen(ctx, t.db, t.s) }

func freshen(ctx context.Context, db *engine.DB, q engine.Querier) error {
	for _, statement := range engine.ResetSession(db) {
		if _, err := q.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("reset the session: %w", err)
		}
	}
	return nil
}
