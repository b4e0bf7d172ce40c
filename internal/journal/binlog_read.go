package journal

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	protocol "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// position is a place in the binary log: between two events of a file.
type position struct {
	file string
	at   uint32
}

const binlogGrant = "what it takes: GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.*, and CREATE TEMPORARY TABLES on the database"

// end tells where the log ends now, and the files that there are.
func (b *Binlog) end(ctx context.Context) (position, []string, error) {
	rows, err := b.j.db.QueryContext(ctx, "SHOW BINARY LOGS")
	if err != nil {
		return position{}, nil, b.explain("list the files of the binary log", err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return position{}, nil, err
	}
	var files []string
	var p position
	for rows.Next() {
		into := make([]any, len(columns))
		for i := range into {
			into[i] = new(sql.RawBytes)
		}
		var size uint64
		into[0], into[1] = &p.file, &size
		if err := rows.Scan(into...); err != nil {
			return p, nil, err
		}
		if size > math.MaxUint32 {
			return p, nil, nothing("dbrollback snapshot list shows captures", "the file %s of the binary log is larger than 4 GiB: positions in it are not what they say", p.file)
		}
		p.at = uint32(size)
		files = append(files, p.file)
	}
	if err := rows.Err(); err != nil {
		return p, nil, err
	}
	if len(files) == 0 {
		return p, nil, nothing("dbrollback snapshot list shows captures", "the server has no file of the binary log")
	}
	// The file grows as a transaction is written; what counts is where one ends.
	var only, without string
	for _, query := range []string{"SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"} {
		var at uint64
		if err = status(ctx, b.j.db, query, &p.file, &at, &only, &without); err == nil {
			p.at = uint32(at)
			break
		}
	}
	if err != nil {
		return p, nil, b.explain("ask where the binary log ends", err)
	}
	in := func(list string) bool {
		return slices.ContainsFunc(strings.Split(list, ","), func(s string) bool { return b.same(strings.TrimSpace(s), b.j.db.Target.Database) })
	}
	if only != "" && !in(only) || in(without) {
		return p, nil, nothing("dbrollback journal enable records from now on; dbrollback snapshot list shows captures", "the server leaves this database out of its binary log (binlog_do_db, binlog_ignore_db)")
	}
	if !slices.Contains(files, p.file) { // a new one was begun in between
		files = append(files, p.file)
	}
	return p, files, nil
}

// status reads the first columns of an answer of one row.
func status(ctx context.Context, q engine.Querier, query string, first ...any) error {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	if !rows.Next() {
		return errors.Join(rows.Err(), sql.ErrNoRows)
	}
	into := make([]any, len(columns))
	for i := range into {
		into[i] = new(sql.RawBytes)
	}
	copy(into, first)
	return rows.Scan(into...)
}

// explain says which right is missing, and which file.
func (b *Binlog) explain(what string, err error) error {
	var answered *protocol.MyError
	if errors.As(err, &answered) {
		switch answered.Code {
		case 1227, 1045, 1142:
			return &engine.Error{Class: engine.Privilege, Message: what + ": " + engine.Redact(answered.Message), Hint: binlogGrant, Err: err}
		case 1236:
			return nothing("dbrollback snapshot list shows captures, to be given to --snapshot", "%s: %s", what, engine.Redact(answered.Message))
		}
		return &engine.Error{Class: engine.Unknown, Message: what + ": " + engine.Redact(answered.Message), Err: err}
	}
	if e, ok := engine.AsError(err); ok {
		out := *e
		out.Message = what + ": " + e.Message
		if e.Class == engine.Privilege {
			out.Hint = binlogGrant
		}
		return &out
	}
	return fmt.Errorf("%s: %s", what, engine.Redact(err.Error()))
}

// cover finds the file in which the log has to be begun to have everything since a moment: all that is in those before it was
// committed before that file was begun.
func (b *Binlog) cover(ctx context.Context, files []string, at time.Time) (position, error) {
	begun := func(i int) (time.Time, error) { return b.begun(ctx, files[i]) }
	low, high := 0, len(files) // files below low were begun before the moment, from high on not
	for low < high {
		middle := (low + high) / 2
		t, err := begun(middle)
		if err != nil {
			return position{}, err
		}
		if t.Unix() < at.Unix() {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == 0 {
		first, err := begun(0)
		if err != nil {
			return position{}, err
		}
		return position{}, nothing("--at "+stamp(first.Add(time.Second))+" is the earliest that can be had; dbrollback snapshot list shows captures, to be given to --snapshot",
			"the binary log goes back to %s (%s); %s is before that", stamp(first), files[0], stamp(at))
	}
	return position{files[low-1], 4}, nil
}

// begun tells when a file was begun.
func (b *Binlog) begun(ctx context.Context, file string) (time.Time, error) {
	var out time.Time
	err := b.stream(ctx, position{file, 4}, nil, func(e *replication.BinlogEvent) (bool, error) {
		if e.Header.EventType == replication.FORMAT_DESCRIPTION_EVENT {
			out = time.Unix(int64(e.Header.Timestamp), 0)
			return true, nil
		}
		return false, nil
	})
	return out, err
}

// patience is how long the server may send nothing at all.
const patience = 60 * time.Second

// stream gives the events from a position on to f, until f says that it is done. rows chooses the tables of which rows are read.
func (b *Binlog) stream(ctx context.Context, from position, rows func(t *replication.TableMapEvent) bool, f func(*replication.BinlogEvent) (done bool, err error)) error {
	link := b.j.db.Link()
	var id [4]byte
	_, _ = rand.Read(id[:])
	config := replication.BinlogSyncerConfig{
		ServerID: binary.LittleEndian.Uint32(id[:]) | 1<<31, // of another reader's the server ends the connection
		Flavor:   protocol.MySQLFlavor, Host: link.Host, Port: link.Port, User: link.User, Password: link.Password, TLSConfig: link.TLS, Localhost: "dbrollback",
		TimestampStringLocation: time.UTC, DisableRetrySync: true, Logger: slog.New(slog.DiscardHandler), EventCacheCount: 64, HeartbeatPeriod: 5 * time.Second, ReadTimeout: patience,
		RowsEventDecodeFunc: func(e *replication.RowsEvent, data []byte) error {
			at, err := e.DecodeHeader(data)
			if err != nil || rows == nil || !rows(e.Table) {
				return err
			}
			return decodeRows(e, at, data)
		},
	}
	if b.j.db.Kind == engine.MariaDB {
		config.Flavor, config.FillZeroLogPos = protocol.MariaDBFlavor, true
	}
	var conn *client.Conn
	config.Option = func(c *client.Conn) error { conn = c; return nil }
	syncer := replication.NewBinlogSyncer(config)
	defer func() {
		if conn != nil {
			_ = conn.SetReadDeadline(time.Now()) // else it would wait for a tenth of a second
		}
		syncer.Close()
	}()
	what := "read the binary log"
	events, err := syncer.StartSync(protocol.Position{Name: from.file, Pos: from.at})
	if err != nil {
		return b.explain(what, err)
	}
	for {
		e, err := events.GetEvent(ctx)
		if err != nil {
			return b.explain(what+" ("+from.file+")", err)
		}
		if done, err := f(e); done || err != nil {
			return err
		}
	}
}

// decodeRows reads the rows of an event. What MySQL stores as JSON is left as it is stored: its text says less.
func decodeRows(e *replication.RowsEvent, at int, data []byte) error {
	if e.Type() == replication.EnumRowsEventTypeUnknown {
		return nil // JSON in part, which is refused later
	}
	for i, t := range e.Table.ColumnType {
		if t == protocol.MYSQL_TYPE_JSON {
			e.Table.ColumnType[i] = protocol.MYSQL_TYPE_BLOB
		}
	}
	return e.DecodeData(at, data)
}

// ours finds the table that a table of the log is; nil when nobody asked for it.
func (b *Binlog) ours(schema, table string) *watched {
	if !b.same(schema, b.j.db.Target.Database) {
		return nil
	}
	for _, w := range b.watched {
		if b.same(w.name.Name, table) && w.refused == nil {
			return w
		}
	}
	return nil
}

// same compares names as the server does.
func (b *Binlog) same(one, other string) bool {
	return one == other || b.folds && strings.EqualFold(one, other)
}
