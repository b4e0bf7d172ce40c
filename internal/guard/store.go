package guard

import (
	"context"
	"crypto/rand"
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

// The stages of a watch. It only ever goes forward, and each step is made by one guard alone.
const (
	Applying    = "applying"
	Watching    = "watching"
	RollingBack = "rolling back"
	RolledBack  = "rolled back" // over
	Over        = "over"        // over: nothing was wrong
	Unseen      = "unseen"      // over: nothing was learnt
	GivenUp     = "given up"    // over: up failed, a rollback was not approved, or somebody else moved the version
)

// Record is a watch as the catalog remembers it.
type Record struct {
	ID      string    `json:"id"`
	Started time.Time `json:"started_at"`
	State   string    `json:"state"`
	From    int64     `json:"from"` // the version to go back to
	To      int64     `json:"to"`   // the version that is watched
	Work    string    `json:"-"`    // hash of the migrations that were pending
	Policy  Policy    `json:"policy"`
	Seen    Progress  `json:"seen"`
	Reason  string    `json:"reason"`
}

// Open tells whether the watch still goes on.
func (r *Record) Open() bool {
	return r != nil && (r.State == Applying || r.State == Watching || r.State == RollingBack)
}

// Store keeps watches in the catalog of the migrated database.
type Store struct{ db *engine.DB }

// NewStore gives the store of a database; nothing is read or written yet.
func NewStore(db *engine.DB) *Store { return &Store{db} }

//go:embed store.sql
var storeSQL string

const stamp = "2006-01-02T15:04:05.000000Z"

func (s *Store) name() engine.Name { return s.db.Own("dbrollback_watches") }

func (s *Store) exists(ctx context.Context) (bool, error) {
	_, err := s.db.Resolve(ctx, s.db, s.name())
	if errors.Is(err, engine.ErrNoTable) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for watches: %w", err)
	}
	return true, nil
}

// query fills in the table's name, and the placeholders for each ?.
func (s *Store) query(text string) string {
	text = strings.NewReplacer("{watches}", s.db.Quote(s.name()), "{text}", s.db.Caps.LongText).Replace(text)
	var b strings.Builder
	n := 0
	for _, r := range text {
		if r == '?' {
			n++
			b.WriteString(s.db.Arg(n))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Latest is the newest watch, nil when there is none. It only reads.
func (s *Store) Latest(ctx context.Context) (*Record, error) {
	if ok, err := s.exists(ctx); err != nil || !ok {
		return nil, err
	}
	r := &Record{}
	var started, policy, seen string
	err := s.db.QueryRowContext(ctx, s.query(`SELECT id, started_at, state, from_version, to_version, work, policy, seen, reason FROM {watches} ORDER BY started_at DESC, id DESC LIMIT 1`)).
		Scan(&r.ID, &started, &r.State, &r.From, &r.To, &r.Work, &policy, &seen, &r.Reason)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		r.Started, err = time.Parse(stamp, started)
	}
	if err == nil {
		err = errors.Join(json.Unmarshal([]byte(policy), &r.Policy), json.Unmarshal([]byte(seen), &r.Seen))
	}
	if err != nil {
		return nil, fmt.Errorf("read the watch: %w", err)
	}
	return r, nil
}

// Begin records a new watch, before anything is applied.
func (s *Store) Begin(ctx context.Context, r *Record) error {
	var b [6]byte
	if _, err := rand.Read(b[:]); err != nil {
		return err
	}
	r.Started = r.Started.UTC().Truncate(time.Microsecond)
	r.ID, r.State = r.Started.Format("20060102T150405.000000")+"-"+hex.EncodeToString(b[:]), Applying
	policy, err := json.Marshal(r.Policy)
	if err != nil {
		return err
	}
	seen, err := json.Marshal(r.Seen)
	if err != nil {
		return err
	}
	session, err := s.db.Session(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = session.Close() }()
	return session.Tx(ctx, func(tx *sql.Tx) error {
		if err := s.db.EnsureHome(ctx, tx); err != nil {
			return err
		}
		_, err := s.db.Resolve(ctx, tx, s.name())
		if errors.Is(err, engine.ErrNoTable) {
			_, err = tx.ExecContext(ctx, s.query(storeSQL))
		}
		if err == nil {
			_, err = tx.ExecContext(ctx, s.query(`INSERT INTO {watches} (id, started_at, state, from_version, to_version, work, policy, seen, reason, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
				r.ID, r.Started.Format(stamp), r.State, r.From, r.To, r.Work, string(policy), string(seen), r.Reason, r.Started.Format(stamp))
		}
		if err != nil {
			return fmt.Errorf("record the watch: %w", err)
		}
		return nil
	})
}

// Advance takes the watch from the state that it was read in to another, with what r says now. It is false when another guard
// was faster: whoever gets true does the work, nobody else.
func (s *Store) Advance(ctx context.Context, r *Record, to string) (bool, error) {
	seen, err := json.Marshal(r.Seen)
	if err != nil {
		return false, err
	}
	res, err := s.db.ExecContext(ctx, s.query(`UPDATE {watches} SET state = ?, to_version = ?, seen = ?, reason = ?, updated_at = ? WHERE id = ? AND state = ?`),
		to, r.To, string(seen), r.Reason, time.Now().UTC().Format(stamp), r.ID, r.State)
	if err != nil {
		return false, fmt.Errorf("record the watch: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("record the watch: %w", err)
	}
	if n == 1 {
		r.State = to
	}
	return n == 1, nil
}

// ErrTaken says that the watch is over, or in another guard's hands.
var ErrTaken = errors.New("another guard has taken the watch over, or ended it")

// Save keeps what was seen so far.
func (s *Store) Save(ctx context.Context, r *Record) error {
	ok, err := s.Advance(ctx, r, r.State)
	if err == nil && !ok {
		err = ErrTaken
	}
	return err
}
