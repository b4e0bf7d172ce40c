package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// RunOptions say how a slot is to be read.
type RunOptions struct {
	UntilNow bool                       // and no further
	Lost     func(err error, n int)     // the connection broke, for the n-th time in a row, and will be made again
	Reading  func(from string, lag Lag) // it begins, or begins again
}

// Run reads the slot, until ctx ends or, with UntilNow, all is read that was committed when it was asked. A connection that breaks is made again.
func (j *Journal) Run(ctx context.Context, o RunOptions) (ReadSoFar, error) {
	var total ReadSoFar
	if j.db.Kind != engine.Postgres {
		return total, &RefusedError{Message: "journal run reads a replication slot of PostgreSQL: this is " + string(j.db.Kind), Hint: "triggers record here: nothing has to run"}
	}
	p := slot{j}
	var until pglogrepl.LSN
	for failed := 0; ; {
		begun := total
		err := func() error {
			if o.UntilNow && until == 0 {
				var err error
				if until, err = p.target(ctx); err != nil {
					return err
				}
			}
			r, err := p.open(ctx)
			if err != nil {
				return err
			}
			defer r.close()
			if o.Reading != nil {
				if all, err := j.segments(ctx, r.s); err == nil {
					if lag, err := j.behind(ctx, r.s, all); err == nil && lag != nil {
						o.Reading(r.state.lsn, *lag)
					}
				}
			}
			err = r.follow(ctx, until)
			total.Rows += r.read.Rows
			total.Transactions += r.read.Transactions
			return err
		}()
		if total != begun {
			failed = 0
		}
		failed++
		switch {
		case err == nil:
			return total, nil
		case ctx.Err() != nil:
			return total, ctx.Err()
		case errors.Is(err, errSlotEnded):
			if begun == (ReadSoFar{}) && failed == 1 && total == begun {
				return total, &RefusedError{Message: "no table is journalled by a replication slot", Hint: "dbrollback journal enable TABLE --source slot"}
			}
			return total, nil
		case errors.Is(err, errSlotTaken):
			if failed > 50 { // what is left of a reader that was killed goes within moments
				return total, p.taken(ctx)
			}
		case forGood(err), !passing(err) && failed > 3, o.UntilNow && failed > 3:
			return total, err
		default:
			if o.Lost != nil {
				o.Lost(err, failed)
			}
		}
		pause := 100 * time.Millisecond
		if !errors.Is(err, errSlotTaken) {
			pause = min(time.Duration(failed)*500*time.Millisecond, 30*time.Second)
		}
		select {
		case <-ctx.Done():
			return total, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// forGood tells whether an error stays whatever is tried.
func forGood(err error) bool {
	var refused *RefusedError
	if errors.As(err, &refused) {
		return true
	}
	e, ok := engine.AsError(err)
	return ok && (e.Class == engine.Privilege || e.Class == engine.Auth || e.Class == engine.Unsupported)
}

// passing tells whether an error goes away by itself.
func passing(err error) bool {
	e, ok := engine.AsError(err)
	return ok && (e.Class == engine.ConnectionLost || e.Class == engine.Unreachable || e.Class == engine.LockTimeout || e.Class == engine.DiskFull)
}

// taken says who reads the slot.
func (p slot) taken(ctx context.Context) error {
	var pid int64
	var who, since string
	err := p.j.db.QueryRowContext(ctx, `SELECT s.active_pid, coalesce(a.usename || CASE WHEN host(a.client_addr) IS NULL THEN '' ELSE ' at ' || host(a.client_addr) END, ''), coalesce(`+fmt.Sprintf(pgTime, "a.backend_start")+`, '')
		FROM pg_catalog.pg_replication_slots s LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid WHERE s.active AND s.slot_name = 'dbrollback_journal_' || (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())`).Scan(&pid, &who, &since)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("look for the slot: %w", err)
	}
	return &engine.Error{Class: engine.LockTimeout, Err: errSlotTaken, Message: fmt.Sprintf("the replication slot is being read already: server process %d, %s, since %s", pid, who, since),
		Hint: "one dbrollback journal run is enough for a database"}
}

// target is a place in the log behind all that is committed by now. What is before it is on the server's disk, so that it can be read, and
// a reader that runs writes down at once that it came so far.
func (p slot) target(ctx context.Context) (pglogrepl.LSN, error) {
	s, err := p.j.db.Session(ctx)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	state, err := p.state(ctx, s, false)
	if err != nil {
		return 0, err
	}
	if state == nil {
		return 0, errSlotEnded
	}
	var place string
	err = s.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "SET LOCAL synchronous_commit = 'local'"); err != nil {
			return fmt.Errorf("fix settings: %w", err)
		}
		err := tx.QueryRowContext(ctx, "SELECT pg_catalog.pg_logical_emit_message(true, $1, $2)::text", publication, state.token+" mark").Scan(&place)
		if err != nil {
			return fmt.Errorf("write to the log: %w", err)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return pglogrepl.ParseLSN(place)
}

// slotPatience is how long is waited for a reader that does not get on.
const slotPatience = 30 * time.Second

// catchUp has all in the journals that is committed by now: it reads the slot, or waits for whoever does. Unless it is strict, a slot that is
// lost is left for sound to find.
func (j *Journal) catchUp(ctx context.Context, n engine.Name, strict bool) error {
	p := slot{j}
	until, err := p.target(ctx)
	if errors.Is(err, errSlotEnded) && !strict {
		return nil
	}
	if err != nil {
		return err
	}
	var last string
	for got := time.Now(); ; {
		err := func() error {
			r, err := p.open(ctx)
			if err != nil {
				return err
			}
			defer r.close()
			return r.follow(ctx, until)
		}()
		var refused *RefusedError
		switch {
		case !strict && (errors.Is(err, errSlotEnded) || errors.As(err, &refused)):
			return nil
		case err == nil:
			return nil
		case !errors.Is(err, errSlotTaken):
			if e, ok := engine.AsError(err); ok && e.Class == engine.Privilege {
				return &engine.Error{Class: engine.Privilege, Err: err, Message: fmt.Sprintf("the journal of %s has to be read up to now first: %s", n, e.Message), Hint: "let dbrollback journal run read it, by a role that may; or ALTER ROLE … REPLICATION"}
			}
			return fmt.Errorf("read the journal of %s up to now: %w", n, err)
		}
		state, err := p.state(ctx, j.db, false)
		if err == nil && state == nil {
			err = errSlotEnded
		}
		if err != nil {
			return err
		}
		at, err := pglogrepl.ParseLSN(state.lsn)
		if err != nil {
			return err
		}
		if at >= until {
			return nil
		}
		if state.lsn != last {
			last, got = state.lsn, time.Now()
		}
		if time.Since(got) > slotPatience {
			return &snapshot.NothingError{Message: fmt.Sprintf("the journal of %s is behind by %d bytes of the server's log, and its reader does not get on", n, until-at),
				Hint: "dbrollback journal status shows the lag; end the reader, and dbrollback journal run --until-now catches up"}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(slotQuiet):
		}
	}
}

// catchingUp is catchUp for a restoration: it tells whether there was more of a table than the last time.
func (j *Journal) catchingUp(n engine.Name, chain []*segment) func(ctx context.Context) (bool, error) {
	var before int64
	return func(ctx context.Context) (bool, error) {
		if err := j.catchUp(ctx, n, true); err != nil {
			return false, err
		}
		all, err := j.segments(ctx, j.db)
		if err != nil {
			return false, err
		}
		for _, g := range chain { // the reader may have ended one
			if !slices.ContainsFunc(all, func(o *segment) bool { return o.id == g.id && o.ended.Equal(g.ended) && o.joined == g.joined }) {
				return false, &snapshot.NothingError{Message: fmt.Sprintf("the journal of %s ended while it was read", n), Hint: "dbrollback journal status says why"}
			}
		}
		var sum int64
		for _, g := range chain {
			var last int64
			if err := j.db.QueryRowContext(ctx, "SELECT coalesce((SELECT s.last_value FROM pg_catalog.pg_sequences s WHERE format('%I.%I', s.schemaname, s.sequencename)::regclass = pg_get_serial_sequence($1, 'n')::regclass), 0)", j.own(g.data())).Scan(&last); err != nil {
				return false, fmt.Errorf("read the journal of %s: %w", n, err)
			}
			sum += last
		}
		moved := sum != before
		before = sum
		return moved, nil
	}
}
