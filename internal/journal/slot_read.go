package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// reader reads the slot and writes what it tells into the segments. How far it is stands in the same transaction as the rows, and only then is
// the server told: after kill -9 nothing is lost, and nothing there twice. Two who take themselves for the reader find that the place is
// not where they left it, and the later one begins again.
//
// Nothing but a batch is held in memory: a large transaction is one here as well, and written as it comes.
type reader struct {
	p         slot
	s         *engine.Session
	conn      *pgconn.PgConn
	state     *slotState
	relations map[uint32]*pglogrepl.RelationMessage
	lots      map[string]*slotLot // by segment; nil for one that was dropped
	tx        *sql.Tx             // what is written and not yet committed
	stored    pglogrepl.LSN
	at        pglogrepl.LSN // all before it is read
	read      ReadSoFar

	// Of the transaction that is being read.
	inside bool
	x, s32 int64
	moment time.Time
	empty  map[uint32]int // tables of which a trigger told that they are about to be emptied

	rows    int // that wait in lots
	bytes   int
	written int       // rows since it was last stored
	since   time.Time // when the first thing came that is not stored; zero: nothing
	urgent  bool      // somebody waits for what is being read
	told    time.Time // when the server was last told
	kept    time.Time // when it was last stored
}

// ReadSoFar counts what a reader has written down.
type ReadSoFar struct {
	Rows         int64 `json:"rows"`
	Transactions int64 `json:"transactions"`
}

// The sizes and times of batches.
const (
	slotBatchRows  = 1_000
	slotBatchBytes = 4 << 20
	slotStoreRows  = 5_000
	slotStoreAfter = 200 * time.Millisecond
	slotQuiet      = 20 * time.Millisecond // with nothing new, what is there is written down
	slotIdle       = 10 * time.Second      // and the place alone, when so much was passed over
	slotPassed     = 64 << 10
)

// errSlotTaken says that another reader has the slot, or went on from where this one was.
var errSlotTaken = errors.New("the slot is being read by another process")

// errSlotEnded says that nothing is journalled by a slot any more.
var errSlotEnded = errors.New("nothing is journalled by a slot")

func busy(err error) bool {
	var answered *pgconn.PgError
	return errors.As(err, &answered) && answered.Code == "55006"
}

// open begins to read where it was left. The caller closes the reader.
func (p slot) open(ctx context.Context) (_ *reader, err error) {
	r := &reader{p: p, relations: map[uint32]*pglogrepl.RelationMessage{}, lots: map[string]*slotLot{}}
	if r.s, err = p.j.db.Session(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.state, err = p.state(ctx, r.s, false); err != nil {
		return nil, err
	}
	if r.state == nil || r.state.lsn == "" {
		return nil, errSlotEnded
	}
	why, err := p.lost(ctx, r.s, r.state.token)
	if err != nil {
		return nil, err
	}
	if why != "" {
		return nil, &RefusedError{Message: "the journals cannot be read on: " + why, Hint: "dbrollback journal enable … --source slot begins new ones"}
	}
	if r.stored, err = pglogrepl.ParseLSN(r.state.lsn); err != nil {
		return nil, fmt.Errorf("read the state of the slot: %w", err)
	}
	r.at = r.stored
	if r.conn, err = p.j.db.Replication(ctx); err != nil {
		return nil, err
	}
	err = pglogrepl.StartReplication(ctx, r.conn, p.j.db.Ident(r.state.slot), r.stored, pglogrepl.StartReplicationOptions{Mode: pglogrepl.LogicalReplication,
		PluginArgs: []string{"proto_version '1'", "publication_names '" + publication + "'", "messages 'true'"}})
	if busy(err) {
		return nil, errSlotTaken
	}
	if err != nil {
		return nil, fmt.Errorf("read the replication slot: %w", err)
	}
	r.told, r.kept = time.Now(), time.Now()
	return r, nil
}

// close lets go of what is not stored.
func (r *reader) close() {
	if r.tx != nil {
		_ = r.tx.Rollback() // fails only with the connection
		r.tx = nil
	}
	if r.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = r.conn.Close(ctx)
		cancel()
	}
	if r.s != nil {
		_ = r.s.Close()
	}
}

// follow reads on until all before a place is stored; 0: until ctx ends, and then stores what is whole.
func (r *reader) follow(ctx context.Context, until pglogrepl.LSN) error {
	var asked time.Time
	for {
		if until != 0 && !r.inside && r.at >= until {
			return r.store(ctx)
		}
		// Where others write and these tables are left alone, the server need not keep what was passed over. What storing writes itself is less.
		if !r.inside && r.since.IsZero() && r.at > r.stored+slotPassed && time.Since(r.kept) > slotIdle {
			if err := r.store(ctx); err != nil {
				return err
			}
		}
		wait := time.Second
		if until != 0 || !r.since.IsZero() {
			wait = slotQuiet
		}
		if until != 0 && time.Since(asked) > slotQuiet {
			if err := r.tell(ctx, true); err != nil {
				return err
			}
			asked = time.Now()
		} else if time.Since(r.told) > slotIdle/2 {
			if err := r.tell(ctx, false); err != nil {
				return err
			}
		}
		short, cancel := context.WithTimeout(ctx, wait)
		msg, err := r.conn.ReceiveMessage(short)
		cancel()
		if ctx.Err() != nil {
			calm, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if !r.inside {
				err = r.store(calm)
			}
			return errors.Join(ctx.Err(), err)
		}
		if err != nil && pgconn.Timeout(err) {
			if !r.inside && !r.since.IsZero() {
				if err := r.store(ctx); err != nil {
					return err
				}
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("read the replication slot: %w", err)
		}
		if err := r.receive(ctx, msg); err != nil {
			return err
		}
	}
}

// tell tells the server how far it may forget.
func (r *reader) tell(ctx context.Context, reply bool) error {
	r.told = time.Now()
	if err := pglogrepl.SendStandbyStatusUpdate(ctx, r.conn, pglogrepl.StandbyStatusUpdate{WALWritePosition: r.stored, WALFlushPosition: r.stored, WALApplyPosition: r.stored, ReplyRequested: reply}); err != nil {
		return fmt.Errorf("answer the server: %w", err)
	}
	return nil
}

func (r *reader) receive(ctx context.Context, msg pgproto3.BackendMessage) error {
	switch msg := msg.(type) {
	case *pgproto3.ErrorResponse:
		return fmt.Errorf("read the replication slot: %w", pgconn.ErrorResponseToPgError(msg))
	case *pgproto3.CopyData:
		switch msg.Data[0] {
		case pglogrepl.PrimaryKeepaliveMessageByteID:
			alive, err := pglogrepl.ParsePrimaryKeepaliveMessage(msg.Data[1:])
			if err != nil {
				return fmt.Errorf("read the replication slot: %w", err)
			}
			if !r.inside && alive.ServerWALEnd > r.at { // the server has sent all before it
				r.at = alive.ServerWALEnd
			}
			if alive.ReplyRequested {
				return r.tell(ctx, false)
			}
		case pglogrepl.XLogDataByteID:
			data, err := pglogrepl.ParseXLogData(msg.Data[1:])
			if err != nil {
				return fmt.Errorf("read the replication slot: %w", err)
			}
			logical, err := pglogrepl.Parse(data.WALData)
			if err != nil {
				return fmt.Errorf("read the replication slot: %w", err)
			}
			return r.logical(ctx, logical)
		}
	case *pgproto3.CopyDone, *pgproto3.CommandComplete, *pgproto3.ReadyForQuery:
		return &engine.Error{Class: engine.ConnectionLost, Message: "the server ended the replication"}
	}
	return nil
}

func (r *reader) logical(ctx context.Context, msg pglogrepl.Message) error {
	switch m := msg.(type) {
	case *pglogrepl.BeginMessage:
		r.empty = map[uint32]int{}
		r.inside, r.x, r.s32, r.moment = true, -int64(m.FinalLSN), int64(m.Xid), m.CommitTime.UTC()
		if r.moment.Before(r.state.committed) {
			r.moment = r.state.committed // the server's clock went back: the order of the log counts
		}
	case *pglogrepl.CommitMessage:
		r.inside = false
		r.at = max(r.at, m.TransactionEndLSN)
		if r.since.IsZero() {
			return nil
		}
		r.state.committed = r.moment
		r.read.Transactions++
		if r.urgent || r.written+r.rows >= slotStoreRows || time.Since(r.since) >= slotStoreAfter {
			return r.store(ctx)
		}
	case *pglogrepl.RelationMessage:
		r.relations[m.RelationID] = m
		for _, l := range r.lots {
			if l != nil && l.oid == m.RelationID {
				l.places = nil
			}
		}
	case *pglogrepl.InsertMessage:
		return r.record(ctx, m.RelationID, "i", nil, m.Tuple)
	case *pglogrepl.UpdateMessage:
		if m.OldTupleType != pglogrepl.UpdateMessageTupleTypeOld {
			return r.record(ctx, m.RelationID, "u", nil, m.NewTuple)
		}
		return r.record(ctx, m.RelationID, "u", m.OldTuple, m.NewTuple)
	case *pglogrepl.DeleteMessage:
		if m.OldTupleType != pglogrepl.DeleteMessageTupleTypeOld {
			return r.record(ctx, m.RelationID, "d", nil, nil)
		}
		return r.record(ctx, m.RelationID, "d", m.OldTuple, nil)
	case *pglogrepl.TruncateMessage:
		for _, oid := range m.RelationIDs {
			if err := r.emptied(ctx, oid); err != nil {
				return err
			}
		}
	case *pglogrepl.LogicalDecodingMessage:
		if words := strings.Fields(string(m.Content)); m.Transactional && m.Prefix == publication && len(words) > 1 && words[0] == r.state.token {
			return r.obey(ctx, words[1:])
		}
	}
	return nil
}

// obey does what a message of ours says.
func (r *reader) obey(ctx context.Context, words []string) error {
	r.touch()
	if words[0] == "mark" {
		r.urgent = true
		return nil
	}
	if len(words) < 3 {
		return nil
	}
	number, err := strconv.ParseUint(words[1], 10, 32)
	if err != nil {
		return fmt.Errorf("read a message of the log: %w", err)
	}
	if err := r.visible(ctx); err != nil {
		return err
	}
	oid, id := uint32(number), words[2]
	switch {
	case words[0] == "begin":
		r.state.reads[oid] = id
	case words[0] == "end" && r.state.reads[oid] == id:
		delete(r.state.reads, oid)
	case words[0] == "truncate" && len(words) == 4:
		r.empty[oid]++
		return r.truncated(ctx, id, words[3])
	}
	return nil
}

// visible waits until others see what the transaction that is being read has done: the log has its commit before they do, and long before where commits
// wait for a standby. What it put by and wrote down for the reader would be missed.
func (r *reader) visible(ctx context.Context) error {
	for {
		var yes bool
		// Its number has 32 of the 64 bits; those that are not below the end of the snapshot are yet to end.
		err := r.q().QueryRowContext(ctx, `SELECT CASE WHEN d BETWEEN 1 AND 2147483647 THEN pg_catalog.pg_visible_in_snapshot((x - d)::text::xid8, s) ELSE false END
			FROM (SELECT s, x, (x - $1::bigint) & 4294967295 AS d FROM (SELECT s, pg_catalog.pg_snapshot_xmax(s)::text::bigint AS x FROM (SELECT pg_catalog.pg_current_snapshot() AS s OFFSET 0) a) b) c`, r.s32).Scan(&yes)
		if err != nil {
			return fmt.Errorf("wait for a transaction of the log: %w", err)
		}
		if yes {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// touch notes that something came that is to be stored.
func (r *reader) touch() {
	if r.since.IsZero() {
		r.since = time.Now()
	}
}

// q is where is read and written.
func (r *reader) q() engine.Querier {
	if r.tx != nil {
		return r.tx
	}
	return r.s
}

// begin opens the transaction in which is written, and looks that nobody else went on from the same place.
func (r *reader) begin(ctx context.Context) error {
	if r.tx != nil {
		return nil
	}
	tx, err := r.s.BeginTx(context.WithoutCancel(ctx), &sql.TxOptions{Isolation: sql.LevelReadCommitted}) // it has to see what others do meanwhile
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	r.tx = tx
	for _, query := range append(engine.ExactText(), "SET LOCAL synchronous_commit = 'local'") {
		if _, err := tx.ExecContext(ctx, query); err != nil {
			return fmt.Errorf("fix settings: %w", err)
		}
	}
	now, err := r.p.state(ctx, tx, true)
	switch {
	case err != nil:
		return err
	case now == nil || now.token != r.state.token:
		return errSlotEnded
	case now.lsn != r.state.lsn:
		return errSlotTaken
	}
	return nil
}

// store writes down what is read, and how far, and tells the server.
func (r *reader) store(ctx context.Context) error {
	if r.at == r.stored && r.since.IsZero() {
		return nil
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	if err := r.begin(ctx); err != nil {
		return err
	}
	reads, err := json.Marshal(r.state.reads)
	if err != nil {
		return err
	}
	_, err = r.tx.ExecContext(ctx, "UPDATE "+slotTableName+" SET lsn = $1::pg_lsn, committed = nullif($2, '')::timestamptz, read_at = clock_timestamp(), reads = $3", r.at.String(), stamp(r.state.committed), string(reads))
	if err != nil {
		return fmt.Errorf("write how far the slot is read: %w", err)
	}
	tx := r.tx
	r.tx = nil
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit what was read: %w", err)
	}
	r.stored, r.state.lsn, r.kept = r.at, r.at.String(), time.Now()
	r.read.Rows += int64(r.written)
	r.written, r.since, r.urgent = 0, time.Time{}, false
	maps.DeleteFunc(r.lots, func(_ string, l *slotLot) bool { return l == nil })
	return r.tell(ctx, false)
}
