package migrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing/fstest"
	"time"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// mostAside is how many trials with captures run at once: what they wait for is the server, which has other processors.
const mostAside = 2

// captured runs a migration up and rolls it back as `up` and `rollback` would, with captures, on a copy of the trunk
// that has the rows of the trial, and tells say what did not come back, "" when everything did, and until when a rollback goes. Where the server copies
// databases it goes on beside what comes next, until the end of the proof.
func (p *prover) captured(ctx context.Context, m *Migration, t *trial, mo mode, say func(why, until string)) error {
	seen := maps.Clone(p.seen) // p's is the next migration's soon
	try := func(c *trunk) error {
		why, until, err := p.runCaptured(ctx, c, m, t, mo, seen)
		if err != nil {
			return fmt.Errorf("%s: %w", m.File, err)
		}
		say(why, until)
		return nil
	}
	if !p.o.Scratch.Copies() {
		return errors.Join(p.copied(ctx, try), p.cleanTwin(ctx, m, t.before))
	}
	if p.o.AllowExternal || slices.ContainsFunc(slices.Concat(m.Up, m.Down), touchesServer) {
		return p.copied(ctx, try) // what it does beyond its database is the next one's, too
	}
	c, err := p.trunk.copy(ctx)
	if err != nil {
		return err
	}
	p.aside.Go(func() error { return errors.Join(try(c), c.close()) })
	return nil
}

// touchesServer tells of a statement that it may change what databases share.
func touchesServer(st Statement) bool {
	return st.Opaque() || slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.External || beyond[e.Object.Kind] })
}

func (p *prover) runCaptured(ctx context.Context, c *trunk, m *Migration, t *trial, mo mode, seen engine.Seen) (why, until string, err error) {
	names, err := extentOf(m, t.before).names(ctx, c.db, c.s, seen)
	if err != nil {
		return "", "", err
	}
	if mo.rows > 0 {
		if err := c.transaction(ctx, func() error {
			_, err := verify.Populate(ctx, c.db, c.s, p.population(m, names, mo, seen))
			return err
		}); err != nil {
			return "", "", err
		}
		if err := c.renew(ctx); err != nil {
			return "", "", err
		}
	}
	before, err := readAll(ctx, c.db, c.s, names, seen)
	if err != nil {
		return "", "", err
	}
	bounded, cancel := p.bounded(ctx, m)
	defer cancel()
	migrator, err := p.only(ctx, m, c.db)
	if err != nil {
		return "", "", err
	}
	if _, err := migrator.Up(bounded, UpRequest{To: m.Version, AllowIrreversible: true}); err != nil {
		why, err = p.hindered(ctx, "up", err)
		return why, "", err
	}
	until = migrator.untilRows(ctx, c.s, m)
	if _, err := migrator.Rollback(bounded, RollbackRequest{To: -1, Steps: 1}); err != nil {
		why, err = p.hindered(ctx, "rollback", err)
		return why, "", err
	}
	f, err := c.take(ctx, t.reach)
	if err != nil {
		return "", "", err
	}
	if d := material(verify.Diff(t.before, f)); len(d) > 0 {
		return fmt.Sprintf("%s %s and %d other objects are not as they were", d[0].Kind, d[0].Object, len(d)-1), "", nil
	}
	after, err := readAll(ctx, c.db, c.s, names, nil)
	if err != nil {
		return "", "", err
	}
	lost := losses(before, after)
	if len(lost) == 0 {
		return "", until, nil
	}
	l := lost[0]
	if l.Left > 0 {
		return fmt.Sprintf("%d rows are left in %s", l.Left, l.Table), "", nil
	}
	return fmt.Sprintf("%d of %d values of %s are not back", l.Lost, l.Of, l.Table), "", nil
}

// bounded is how long a run with captures may take: as long as its statements, and some time for what is done between them.
func (p *prover) bounded(ctx context.Context, m *Migration) (context.Context, context.CancelFunc) {
	if p.o.StatementTimeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, p.o.StatementTimeout*time.Duration(len(m.Up)+len(m.Down)+1))
}

// only opens a migrator that knows one migration.
func (p *prover) only(ctx context.Context, m *Migration, db *engine.DB) (*Migrator, error) {
	return Open(ctx, Options{DB: db, Files: fstest.MapFS{m.Name: {Data: []byte(m.Text)}}, Dir: p.o.Dir, User: "verify"})
}

// hindered says in one line why a run with captures did not come to its end; the error is the scratch server's own.
func (p *prover) hindered(ctx context.Context, what string, err error) (string, error) {
	if e, ok := engine.AsError(err); ctx.Err() != nil || ok && (e.Class == engine.ConnectionLost || e.Class == engine.DiskFull) {
		return "", err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return what + " does not end within --statement-timeout", nil
	}
	var refused *RefusedError
	if errors.As(err, &refused) && len(refused.Reasons) > 0 {
		return what + " refuses: " + refused.Reasons[0].Message, nil
	}
	return what + " fails: " + headline(err.Error()), nil
}
