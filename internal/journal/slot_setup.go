package journal

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Prepare makes what tables are to be journalled by, as far as that cannot be part of the transaction in which Enable runs. Settle takes away
// what was not needed in the end. q is no transaction.
func (j *Journal) Prepare(ctx context.Context, q engine.Querier, tables []engine.Name, o Options) error {
	if o.Source == "" {
		again, err := j.slotAgain(ctx, q, tables)
		if err != nil || !again {
			return err
		}
		o.Source = Slot
	}
	switch {
	case o.Source == Trigger:
		return nil
	case o.Source != Slot:
		return &RefusedError{Message: "there is no source " + strconv.Quote(o.Source), Hint: "--source trigger or --source slot"}
	case j.db.Kind != engine.Postgres:
		return &RefusedError{Message: "--source slot is a replication slot of PostgreSQL: this is " + string(j.db.Kind), Hint: "leave it out: triggers record; MySQL and MariaDB have --from-binlog besides"}
	}
	p := slot{j}
	for _, n := range tables {
		t, err := j.inspect(ctx, q, n)
		if err != nil {
			return err
		}
		if err := j.fit(ctx, q, t, Slot); err != nil {
			return err
		}
	}
	if err := p.fitServer(ctx, q, o.Unlimited); err != nil {
		return err
	}
	return p.make(ctx, q)
}

// slotAgain tells whether tables that are journalled by a slot, and go on so, lack it.
func (j *Journal) slotAgain(ctx context.Context, q engine.Querier, tables []engine.Name) (bool, error) {
	if j.db.Kind != engine.Postgres {
		return false, nil
	}
	for _, n := range tables {
		t, err := j.inspect(ctx, q, n)
		if err != nil {
			return false, err
		}
		if source, err := j.chosen(ctx, q, t.Name, Options{}); err != nil || source != Slot {
			if err != nil {
				return false, err
			}
			continue
		}
		state, err := slot{j}.state(ctx, q, false)
		if err != nil || state == nil {
			return err == nil, err
		}
		why, err := slot{j}.lost(ctx, q, state.token)
		return why != "", err
	}
	return false, nil
}

//go:embed slot_server.sql
var slotServer string

// fitServer refuses a server that cannot have a slot, or whose disk one could fill.
func (p slot) fitServer(ctx context.Context, q engine.Querier, unlimited bool) error {
	var level, keep, lacks string
	var slots, used, senders int
	var standby bool
	if err := q.QueryRowContext(ctx, slotServer).Scan(&level, &keep, &slots, &used, &senders, &lacks, &standby); err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	const instead = "; or leave --source slot out: triggers record"
	switch {
	case p.j.db.Version < 140000:
		return &RefusedError{Message: "a slot as a source wants PostgreSQL 14 or later", Hint: "leave --source slot out: triggers record"}
	case standby:
		return &RefusedError{Message: "this server is a standby", Hint: "name the primary in --dsn"}
	case level != "logical":
		return &RefusedError{Message: "the server's log lacks what a slot needs: wal_level is " + level, Hint: "ALTER SYSTEM SET wal_level = 'logical'; and start the server again" + instead}
	case used >= slots:
		return &RefusedError{Message: fmt.Sprintf("the server has no replication slot left: max_replication_slots is %d, and so many there are", slots),
			Hint: fmt.Sprintf("ALTER SYSTEM SET max_replication_slots = %d; and start the server again", slots+4) + instead}
	case senders == 0:
		return &RefusedError{Message: "the server sends its log to nobody: max_wal_senders is 0", Hint: "ALTER SYSTEM SET max_wal_senders = 10; and start the server again" + instead}
	case lacks != "":
		return &RefusedError{Message: "the role " + lacks + " may not read the server's log", Hint: "ALTER ROLE " + p.j.db.Ident(lacks) + " REPLICATION;" + strings.TrimPrefix(instead, ";")}
	case keep == "-1" && !unlimited:
		return &RefusedError{Message: "nothing limits what the server keeps for a slot that nobody reads (max_slot_wal_keep_size is -1): its disk would fill",
			Hint: "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf(); -- or --without-wal-limit, if something else watches over that disk"}
	}
	return nil
}

// slotName is the name of the slot of this database. Names of slots are the whole server's.
func (p slot) slotName(ctx context.Context, q engine.Querier) (string, error) {
	var name string
	err := q.QueryRowContext(ctx, "SELECT 'dbrollback_journal_' || oid FROM pg_catalog.pg_database WHERE datname = current_database()").Scan(&name)
	if err != nil {
		return "", fmt.Errorf("name the slot: %w", err)
	}
	return name, nil
}

// make makes the slot, unless it is there and sound. First the publication, which has to be older than all that is read by it, and
// a note that there will be a slot, then the slot, then the note that it is complete: what was cut off in between is made anew.
func (p slot) make(ctx context.Context, q engine.Querier) error {
	if err := p.j.ensure(ctx, q); err != nil {
		return err
	}
	for _, query := range strings.Split(slotEnsure, "\n\n") {
		if _, err := q.ExecContext(ctx, query); err != nil {
			return fmt.Errorf("make the journal: %w", err)
		}
	}
	name, err := p.slotName(ctx, q)
	if err != nil {
		return err
	}
	state, err := p.state(ctx, q, false)
	if err != nil {
		return err
	}
	if state != nil && state.lsn != "" {
		why, err := p.lost(ctx, q, state.token)
		if err != nil || why == "" {
			return err
		}
	}
	if err := p.dropSlot(ctx, q, name); err != nil {
		return err
	}
	if _, err := q.ExecContext(ctx, "DELETE FROM "+slotTableName); err != nil {
		return fmt.Errorf("make the journal: %w", err)
	}
	if _, err := q.ExecContext(ctx, "INSERT INTO "+slotTableName+" (slot, token, reads) VALUES ($1, $2, '{}')", name, newID()); err != nil {
		return fmt.Errorf("make the journal: %w", err)
	}
	var lsn string
	if err := q.QueryRowContext(ctx, "SELECT lsn::text FROM pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput')", name).Scan(&lsn); err != nil {
		return fmt.Errorf("make a replication slot, which waits for the transactions that are open on the server: %w", err)
	}
	if _, err := q.ExecContext(ctx, "UPDATE "+slotTableName+" SET lsn = $1::pg_lsn, read_at = clock_timestamp() WHERE slot = $2", lsn, name); err != nil {
		return fmt.Errorf("make the journal: %w", err)
	}
	return nil
}

// lost says why what the slot of a token tells is not all; "" when it is.
func (p slot) lost(ctx context.Context, q engine.Querier, token string) (string, error) {
	name, err := p.slotName(ctx, q)
	if err != nil {
		return "", err
	}
	// The slot before the state: whoever reads writes the one after the other.
	var status, confirmed, plugin *string
	err = q.QueryRowContext(ctx, "SELECT wal_status, confirmed_flush_lsn::text, plugin FROM pg_catalog.pg_replication_slots WHERE slot_name = $1", name).Scan(&status, &confirmed, &plugin)
	if errors.Is(err, sql.ErrNoRows) {
		return "its replication slot is gone", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for the slot: %w", err)
	}
	state, err := p.state(ctx, q, false)
	if err != nil {
		return "", err
	}
	switch {
	case state == nil || state.lsn == "" || state.token != token || state.slot != name:
		return "its replication slot was made anew since: what was written in between is not known", nil
	case status == nil || *status == "lost":
		return "its replication slot is lost: nobody read it before the server took away what it had kept for it (max_slot_wal_keep_size)", nil
	case plugin == nil || *plugin != "pgoutput":
		return "its replication slot is somebody else's", nil
	}
	var ahead bool
	if err := q.QueryRowContext(ctx, "SELECT $1::pg_lsn > $2::pg_lsn", *confirmed, state.lsn).Scan(&ahead); err != nil {
		return "", fmt.Errorf("look for the slot: %w", err)
	}
	if ahead {
		return "something else than dbrollback read its replication slot, and what that read is not known", nil
	}
	return "", nil
}

// dropSlot drops the slot, if it is there. A reader of ours ends by itself when its journal is gone; it is waited for.
func (p slot) dropSlot(ctx context.Context, q engine.Querier, name string) error {
	for try := 0; ; try++ {
		var pid *int64
		err := q.QueryRowContext(ctx, "SELECT active_pid FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND database = current_database()", name).Scan(&pid)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for the slot: %w", err)
		}
		if pid == nil {
			_, err := q.ExecContext(ctx, "SELECT pg_catalog.pg_drop_replication_slot($1)", name)
			if err != nil && !busy(err) {
				return fmt.Errorf("drop the replication slot %s: %w", name, err)
			}
			if err == nil {
				return nil
			}
		}
		if try == 100 && pid != nil { // ten seconds
			if _, err := q.ExecContext(ctx, "SELECT pg_catalog.pg_terminate_backend($1::int)", *pid); err != nil {
				return fmt.Errorf("end the reader of the replication slot %s, process %d: %w", name, *pid, err)
			}
		}
		if try == 200 {
			return &engine.Error{Class: engine.LockTimeout, Message: "the replication slot " + name + " is being read: it could not be dropped", Hint: "end dbrollback journal run, and run this again"}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Settle drops the slot when nothing is journalled by it, and all that journals have in common when there is none. q is no transaction; it may be asked at any time.
func (j *Journal) Settle(ctx context.Context, q engine.Querier) error {
	if j.db.Kind != engine.Postgres {
		return nil
	}
	p := slot{j}
	all, err := j.segments(ctx, q)
	if err != nil {
		return err
	}
	for _, g := range all {
		if g.source == Slot {
			return nil
		}
	}
	name, err := p.slotName(ctx, q)
	if err != nil {
		return err
	}
	var there bool
	if err := q.QueryRowContext(ctx, "SELECT to_regclass($1) IS NOT NULL OR EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = $2)", slotTableName, name).Scan(&there); err != nil {
		return fmt.Errorf("look for the slot: %w", err)
	}
	if there {
		for _, query := range slotVanish {
			if _, err := q.ExecContext(ctx, query); err != nil {
				return fmt.Errorf("drop the journal: %w", err)
			}
		}
		if err := p.dropSlot(ctx, q, name); err != nil {
			return err
		}
	}
	if len(all) > 0 {
		return nil
	}
	if is, err := j.exists(ctx, q); !is || err != nil {
		return err
	}
	return j.vanish(ctx, q)
}

// Left tells of a slot that is there though nothing is journalled by it, because an enable or a disable was cut off; "" when there is none.
func (j *Journal) Left(ctx context.Context, q engine.Querier) (string, error) {
	if j.db.Kind != engine.Postgres {
		return "", nil
	}
	all, err := j.segments(ctx, q)
	if err != nil || slices.ContainsFunc(all, func(g *segment) bool { return g.source == Slot }) {
		return "", err
	}
	var name string
	err = q.QueryRowContext(ctx, "SELECT slot_name FROM pg_catalog.pg_replication_slots WHERE slot_name = 'dbrollback_journal_' || (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())").Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for the slot: %w", err)
	}
	return name, nil
}

// Lag is how far a slot is read.
type Lag struct {
	Name   string     `json:"name"`
	Bytes  int64      `json:"behind_bytes"` // of the log that is still to be read
	Kept   int64      `json:"kept_bytes"`   // that the server keeps for the slot
	Status string     `json:"wal_status"`   // reserved | extended | unreserved | lost; "" when there is no slot
	Active bool       `json:"active"`       // somebody reads it
	ReadAt *time.Time `json:"read_at"`      // when the reader last wrote down how far it is
}

// behind tells how far the slot is read; nil when there is none, and nothing that wants one.
func (j *Journal) behind(ctx context.Context, q engine.Querier, all []*segment) (*Lag, error) {
	wanted := false
	for _, g := range all {
		wanted = wanted || g.source == Slot
	}
	if !wanted {
		return nil, nil
	}
	p := slot{j}
	name, err := p.slotName(ctx, q)
	if err != nil {
		return nil, err
	}
	l := &Lag{Name: name}
	var read sql.NullString
	err = q.QueryRowContext(ctx, `SELECT coalesce(s.wal_status, ''), s.active, coalesce(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), greatest(s.confirmed_flush_lsn, t.lsn)), 0)::bigint,
		coalesce(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), s.restart_lsn), 0)::bigint, `+fmt.Sprintf(pgTime, "t.read_at")+`
		FROM pg_catalog.pg_replication_slots s LEFT JOIN `+slotTableName+` t ON t.slot = s.slot_name WHERE s.slot_name = $1`, name).Scan(&l.Status, &l.Active, &l.Bytes, &l.Kept, &read)
	if errors.Is(err, sql.ErrNoRows) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the slot: %w", err)
	}
	if read.Valid {
		at := parse(read.String)
		l.ReadAt = &at
	}
	return l, nil
}
