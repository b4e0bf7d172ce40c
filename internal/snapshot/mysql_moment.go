package snapshot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// MySQL and MariaDB have no transaction that copies rows as of the moment at which it began: INSERT … SELECT reads what is committed as the statement begins at READ COMMITTED, and
// locks the newest rows at any other level. So each table is copied by a statement of a connection of its own, and all of them begin while a short LOCK TABLES … READ keeps writers out.
// That a statement has begun is told by a lock by name, which it takes once it has read a first row, of our catalog, and with that decided what it sees
// (https://dev.mysql.com/doc/refman/8.4/en/innodb-consistent-read.html).

// atOnce fills captures of whole tables, all of one moment, and gives that moment.
func (s *Store) atOnce(ctx context.Context, xs []*capture) (moment time.Time, err error) {
	if len(xs) == 0 {
		return time.Now().UTC().Truncate(time.Microsecond), nil
	}
	c, err := s.db.Conn(ctx)
	if err != nil {
		return moment, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	readable := s.db.ReadsCommitted()
	for _, x := range xs {
		readable = readable && x.live.Transactional() // of other tables what a statement reads changes under its hands
	}
	unlock := func() error { return nil }
	if len(xs) > 1 || !readable {
		if unlock, err = s.shut(ctx, c, xs); err != nil {
			return moment, err
		}
		defer func() { err = errors.Join(err, unlock()) }()
	}
	moment = time.Now().UTC().Truncate(time.Microsecond)
	begun := make(chan struct{}, len(xs))
	var group errgroup.Group
	for _, x := range xs {
		group.Go(func() error {
			defer func() { begun <- struct{}{} }()
			return s.fillAside(ctx, x, readable)
		})
	}
	if readable && len(xs) > 1 {
		err = s.awaitBegun(ctx, c, xs, begun)
		err = errors.Join(err, unlock())
		unlock = func() error { return nil }
	}
	return moment, errors.Join(group.Wait(), err)
}

// shut keeps others from writing to tables. Who has written to one and not committed is waited for, a second at a time, so that nobody waits for long behind this one; for as long in all
// as a lock may take.
func (s *Store) shut(ctx context.Context, c *sql.Conn, xs []*capture) (open func() error, err error) {
	var patience int
	if err := c.QueryRowContext(ctx, "SELECT @@SESSION.lock_wait_timeout").Scan(&patience); err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	var locks []string
	for _, x := range xs {
		locks = append(locks, s.db.Quote(x.live.Name)+" READ")
	}
	if _, err := c.ExecContext(ctx, "SET SESSION lock_wait_timeout = 1"); err != nil {
		return nil, fmt.Errorf("fix settings: %w", err)
	}
	restore := func() error {
		_, err := c.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("SET SESSION lock_wait_timeout = %d", patience))
		return err
	}
	for end := time.Now().Add(time.Duration(patience) * time.Second); ; {
		_, err := c.ExecContext(ctx, "LOCK TABLES "+list(locks))
		if err == nil {
			return func() error {
				_, err := c.ExecContext(context.WithoutCancel(ctx), "UNLOCK TABLES")
				return errors.Join(err, restore())
			}, nil
		}
		if e, ok := engine.AsError(err); !ok || e.Class != engine.LockTimeout || !time.Now().Before(end) {
			return nil, errors.Join(fmt.Errorf("lock what is captured, for a moment: %w", err), restore())
		}
	}
}

// fillAside copies a table on a connection of its own. With told, a lock by the capture's name tells that what the copy sees is decided.
func (s *Store) fillAside(ctx context.Context, x *capture, told bool) (err error) {
	c, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	level, from := sql.LevelDefault, s.live(x, x.live)
	if told {
		level = sql.LevelReadCommitted
		from = fmt.Sprintf("(SELECT DISTINCT get_lock('%s', 0) AS l FROM (SELECT count(*) AS n FROM %s) c) g STRAIGHT_JOIN %s ON g.l = 1", x.sign(), s.db.Quote(s.catalog), from)
		defer func() {
			_, failed := c.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("DO release_lock('%s')", x.sign()))
			err = errors.Join(err, failed)
		}()
	}
	tx, err := c.BeginTx(ctx, &sql.TxOptions{Isolation: level})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing to take back once it is committed
	if err := s.pinned(ctx, tx, func() (err error) {
		names, _ := x.columns()
		x.Rows, err = exec(ctx, tx, "capture "+x.At.String(), "INSERT INTO "+s.own(x.data())+" ("+list(names)+") SELECT "+list(s.read(x))+" FROM "+from)
		return err
	}); err != nil {
		return err
	}
	return tx.Commit()
}

// sign is the lock by which the copy of a table says that it has begun.
func (c *capture) sign() string { return "dbrollback_" + compact(c.ID) }

// awaitBegun waits until each copy has begun, or has ended already.
func (s *Store) awaitBegun(ctx context.Context, c *sql.Conn, xs []*capture, ended <-chan struct{}) error {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	over := 0
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			over++
		case <-look.C:
		}
		begun := int64(0)
		for _, x := range xs {
			n, err := number(ctx, c, "look whether a copy has begun", fmt.Sprintf("SELECT is_used_lock('%s') IS NOT NULL", x.sign()))
			if err != nil {
				return err
			}
			begun += n
		}
		if int(begun)+over >= len(xs) {
			return nil
		}
	}
}
