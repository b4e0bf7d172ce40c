// Package audit is the log of runs: who ran what, when, on which versions, which rows it changed, how it
// ended and what could not be undone. It promises that an entry that was changed or taken out later is
// found: each entry carries a hash over its own text and the hash of the entry before it.
//
// The log lives in the target database, table dbrollback_log, and an entry is written in the transaction of
// the run that it tells of. Removing the newest entries leaves a chain that is whole but shorter; who must
// notice that, too, copies the newest hash elsewhere from time to time.
package audit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// The outcomes of a run.
const (
	Done    = "done"
	Failed  = "failed"
	Refused = "refused"
)

// Change counts what a run wrote into one table, captured data only.
type Change struct {
	Table     string `json:"table"`
	Inserted  int64  `json:"inserted"`
	Updated   int64  `json:"updated"`
	Deleted   int64  `json:"deleted"`
	Conflicts int64  `json:"conflicts"`
}

// Entry is one run.
type Entry struct {
	ID              string            `json:"id"` // made by Append when empty
	Run             string            `json:"run"`
	At              time.Time         `json:"at"` // UTC, microseconds
	User            string            `json:"user"`
	Action          string            `json:"action"` // up | rollback | recover | ...
	From            int64             `json:"from"`
	To              int64             `json:"to"`
	Versions        []int64           `json:"versions"` // migrations that ran
	Tables          []Change          `json:"tables"`
	Outcome         string            `json:"outcome"`
	DurationSeconds float64           `json:"duration_seconds"`
	NotUndone       []string          `json:"not_undone"`
	Error           string            `json:"error,omitempty"`
	Detail          map[string]string `json:"detail,omitempty"`
	Prev            string            `json:"prev,omitempty"` // hash of the entry before, "" for the first; set by Append
	Hash            string            `json:"hash,omitempty"` // set by Append
}

// BrokenError names the first entry at which the chain does not hold.
type BrokenError struct {
	Number int64  // place in the log, from 1
	ID     string // of the entry, "" when it is missing
	Reason string
}

func (e *BrokenError) Error() string {
	if e.ID == "" {
		return fmt.Sprintf("the audit log is broken at entry %d: %s", e.Number, e.Reason)
	}
	return fmt.Sprintf("the audit log is broken at entry %d (%s): %s", e.Number, e.ID, e.Reason)
}

// Log is the audit log of one database.
type Log struct {
	db    *engine.DB
	table string // quoted
	lock  string // statement that keeps other writers out until the transaction ends
	// Where no lock of a transaction keeps others from the place of the first entry: what ends the lock, and what makes
	// a reader of the newest entry wait for the transaction that wrote it.
	unlock, newest string
}

// New gives the log of a database; nothing is read or written yet.
func New(db *engine.DB) *Log {
	l := &Log{db: db, table: db.Quote(db.Own("dbrollback_log"))}
	switch db.Kind {
	case engine.Postgres:
		// SELECT goes on; a second appender waits.
		l.lock = "LOCK TABLE " + l.table + " IN EXCLUSIVE MODE"
	case engine.MySQL, engine.MariaDB:
		const name = "(concat('dbrollback log ', left(sha2(lower(database()), 256), 40))"
		l.lock, l.unlock, l.newest = "DO get_lock"+name+", 60)", "DO release_lock"+name+")", " FOR UPDATE"
	default:
		// Any write statement takes SQLite's one write lock; this one changes nothing.
		l.lock = "UPDATE " + l.table + " SET number = number WHERE false"
	}
	return l
}

//go:embed create.sql
var createSQL string

// Ensure makes the table when it is missing.
func (l *Log) Ensure(ctx context.Context, q engine.Querier) error {
	if exists, err := l.exists(ctx, q); err != nil || exists {
		return err
	}
	if err := l.db.EnsureHome(ctx, q); err != nil {
		return fmt.Errorf("create audit log: %w", err)
	}
	if _, err := q.ExecContext(ctx, strings.NewReplacer("{text}", l.db.Caps.LongText, "{options}", l.db.Caps.TableOptions).Replace(fmt.Sprintf(createSQL, l.table))); err != nil {
		return fmt.Errorf("create audit log: %w", err)
	}
	return nil
}

func (l *Log) exists(ctx context.Context, q engine.Querier) (bool, error) {
	_, err := l.db.Resolve(ctx, q, l.db.Own("dbrollback_log"))
	if errors.Is(err, engine.ErrNoTable) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for audit log: %w", err)
	}
	return true, nil
}

// Append writes an entry behind the newest one. q is the run's own transaction; when it is a database or a
// connection instead, a transaction is begun on it, so it must not have one open.
func (l *Log) Append(ctx context.Context, q engine.Querier, e Entry) error {
	beginner, ok := q.(interface {
		BeginTx(context.Context, *sql.TxOptions) (*sql.Tx, error)
	})
	if !ok {
		return l.append(ctx, q, e)
	}
	tx, err := beginner.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("append to audit log: %w", err)
	}
	if err := l.append(ctx, tx, e); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("append to audit log: %w", err)
	}
	return nil
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

func (l *Log) append(ctx context.Context, q engine.Querier, e Entry) error {
	var last Last
	if err := engine.Run(ctx, q, l.Last(&last)...); err != nil {
		return err
	}
	steps, err := l.Behind(last, &e)
	if err != nil {
		return err
	}
	return engine.Run(ctx, q, steps...)
}

// Last is the newest entry: that of the lock's holder until its transaction ends, or, free, one that was the newest a while ago.
type Last struct {
	number int64
	hash   string
	free   bool
}

// ErrTaken says that others have written behind an entry that was the newest once; the transaction is to be rolled back.
var ErrTaken = errors.New("others have written to the audit log meanwhile")

// After is what Behind has written, once that is committed. Nobody is kept from writing behind it: a place in the log is taken once, so that
// Behind fails with ErrTaken when somebody did, and need not look first.
func (l Last) After(e *Entry) *Last { return &Last{l.number + 1, e.Hash, true} }

// Last gives the statements that keep other writers out and then find the newest entry: the first half of Append, for
// callers that send it along with other statements.
func (l *Log) Last(into *Last) []engine.Step {
	return []engine.Step{
		{What: "lock audit log", SQL: l.lock},
		{What: "read audit log", SQL: "SELECT number, hash FROM " + l.table + " ORDER BY number DESC LIMIT 1" + l.newest, Into: []any{&into.number, &into.hash}},
	}
}

// Behind gives the statements that write an entry behind the newest one, in the same transaction: the second half of Append.
func (l *Log) Behind(last Last, e *Entry) ([]engine.Step, error) {
	text, hash, err := seal(e, last.hash)
	if err != nil {
		return nil, fmt.Errorf("append to audit log: %w", err)
	}
	insert := fmt.Sprintf("INSERT INTO %s (number, id, run, at, username, action, outcome, entry, prev, hash) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
		l.table, l.db.Arg(1), l.db.Arg(2), l.db.Arg(3), l.db.Arg(4), l.db.Arg(5), l.db.Arg(6), l.db.Arg(7), l.db.Arg(8), l.db.Arg(9), l.db.Arg(10))
	write := engine.Step{What: "append to audit log", SQL: insert,
		Args: []any{last.number + 1, e.ID, e.Run, stamp(e.At), e.User, e.Action, e.Outcome, text, last.hash, hash}}
	if last.free {
		write.Failed = func(err error) error {
			if x, ok := engine.AsError(err); ok && x.Taken {
				err = fmt.Errorf("%w: %w", ErrTaken, err)
			}
			return fmt.Errorf("append to audit log: %w", err)
		}
	}
	steps := []engine.Step{write}
	if last.free && l.unlock != "" { // who holds the lock has read what is the newest, and counts on it
		steps = []engine.Step{{What: "lock audit log", SQL: l.lock}, write}
	}
	if l.unlock != "" {
		steps = append(steps, engine.Step{What: "unlock audit log", SQL: l.unlock})
	}
	return steps, nil
}

// Unlock lets others write where a lock outlives the transaction of a Behind that failed.
func (l *Log) Unlock(ctx context.Context, q engine.Querier) error {
	if l.unlock == "" {
		return nil
	}
	if _, err := q.ExecContext(ctx, l.unlock); err != nil {
		return fmt.Errorf("unlock audit log: %w", err)
	}
	return nil
}

// seal fills what Append promises to fill and gives the entry's canonical text with its hash.
func seal(e *Entry, prev string) (text, hash string, err error) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	e.At = e.At.UTC().Truncate(time.Microsecond)
	if e.ID == "" {
		e.ID = newID(e.At)
	}
	if e.Versions == nil {
		e.Versions = []int64{}
	}
	if e.Tables == nil {
		e.Tables = []Change{}
	}
	if e.NotUndone == nil {
		e.NotUndone = []string{}
	}
	// Names come from outside: what no text column takes must not fail the run.
	for _, s := range []*string{&e.ID, &e.Run, &e.User, &e.Action, &e.Outcome} {
		*s = strings.ReplaceAll(strings.ToValidUTF8(*s, "\uFFFD"), "\x00", "\uFFFD")
	}
	e.Prev, e.Hash = "", ""
	b, err := json.Marshal(e)
	if err != nil {
		return "", "", err
	}
	text = string(b)
	e.Prev, e.Hash = prev, chain(prev, text)
	return text, e.Hash, nil
}

// chain is the hash of an entry: over the hash before it and its own text.
func chain(prev, text string) string {
	sum := sha256.Sum256([]byte(prev + "\n" + text))
	return hex.EncodeToString(sum[:])
}

// newID is unique and sorts by time.
func newID(at time.Time) string {
	var b [16]byte
	ms := uint64(at.UnixMilli())
	for i := range 6 {
		b[i] = byte(ms >> (8 * (5 - i)))
	}
	_, _ = rand.Read(b[6:]) // never fails
	return hex.EncodeToString(b[:])
}

// stamp is how a moment stands in the table: text that sorts, the same on every engine.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
