package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"
)

// ScratchPrefix begins the name of every scratch database, folder and container. What lacks it is never dropped.
const ScratchPrefix = "dbrollback_scratch_"

// scratchName is the form of a scratch database's name, with the number of the run's lock in it. A database that is called anything else is
// somebody's, however it begins.
var scratchName = regexp.MustCompile("^" + ScratchPrefix + "([0-9a-f]{16})_[1-9][0-9]*$")

// scratchOwner is the run that made a database, as 16 hexadecimal digits; "" when none did.
func scratchOwner(name string) string {
	if m := scratchName.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	return ""
}

// ScratchOptions say where scratch databases are made.
type ScratchOptions struct {
	// DSN is any database of a server on which the account may create databases; that database itself is only
	// connected to. Without it a server of our own is started. For SQLite a folder is made in any case, and of the
	// DSN only what follows its "?" counts.
	DSN    string
	Kind   Kind              // the engine, when there is no DSN
	Notify func(text string) // told what takes a while; may be nil
}

// Scratch makes databases that are thrown away. Whatever way the process ends, they go: with Close, or, after a
// kill, when the next Scratch is made on the same server or machine. A scratch database is known by the prefix of
// its name and by the lock that its owner holds, so that one in use is never taken from under another run.
type Scratch struct {
	kind  Kind
	place scratchPlace
	owned bool
	id    string

	mu    sync.Mutex
	next  int
	names []string
}

// scratchPlace is where an engine keeps scratch databases.
type scratchPlace interface {
	// create makes a database, empty or a copy of one that nobody is connected to.
	create(ctx context.Context, name, from string) error
	drop(ctx context.Context, name string) error
	dsn(name string) string
	// close lets go of what holds the place; all databases are dropped by then.
	close() error
}

// NewScratch finds or makes a place for scratch databases, and drops what killed runs left there.
func NewScratch(ctx context.Context, o ScratchOptions) (*Scratch, error) {
	if o.Notify == nil {
		o.Notify = func(string) {}
	}
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	s := &Scratch{kind: o.Kind, owned: o.DSN == "", id: hex.EncodeToString(id[:])}
	if o.DSN != "" {
		t, err := Parse(o.DSN)
		if err != nil {
			return nil, err
		}
		s.kind = t.Kind
	}
	var err error
	switch {
	case s.kind == SQLite:
		s.owned = true
		s.place, err = newSQLiteScratch(o.DSN)
	case o.DSN != "":
		s.place, err = scratchServer(ctx, o.DSN, id)
	default:
		s.place, err = ownServer(ctx, s.kind, id, o.Notify)
	}
	if err != nil {
		return nil, err
	}
	if m, ok := s.place.(*mysqlScratch); ok {
		s.kind = m.db.Kind // what it is, whatever the URL calls it
	}
	return s, nil
}

// scratchServer is the place on a server that dsn reaches.
func scratchServer(ctx context.Context, dsn string, id [8]byte) (scratchPlace, error) {
	t, err := Parse(dsn)
	if err != nil {
		return nil, err
	}
	switch t.Kind {
	case Postgres:
		return newPostgresScratch(ctx, dsn, id)
	case MySQL, MariaDB:
		return newMySQLScratch(ctx, dsn, id)
	}
	return nil, &Error{Class: Usage, Message: fmt.Sprintf("a %s database is no server", t.Kind), Hint: schemes}
}

// Kind is the engine of the databases.
func (s *Scratch) Kind() Kind { return s.kind }

// Owned tells whether the server (or folder) is ours alone, so that what a migration leaves outside of its
// database, such as a role, goes with it.
func (s *Scratch) Owned() bool { return s.owned }

// Copies tells whether Create can copy a database. MySQL and MariaDB have no way to.
func (s *Scratch) Copies() bool { return s.kind == Postgres || s.kind == SQLite }

// Create makes a database, empty or, when from is not "" and the server Copies, a copy of a scratch database to which nobody is
// connected, and returns its name.
func (s *Scratch) Create(ctx context.Context, from string) (string, error) {
	name := s.reserve()
	if err := s.place.create(ctx, name, from); err != nil {
		return "", fmt.Errorf("create a scratch database: %w", err)
	}
	return name, nil
}

// selfCopier is a place where the only session of a database may copy that.
type selfCopier interface {
	copyBy(ctx context.Context, q Querier, name, from string) error
}

// errNotBySession: nobody may be connected to what is copied.
var errNotBySession = errors.New("a session cannot copy its own database")

// CopyBy makes a copy of a scratch database through q, the only session on it, and returns its name. Where that does not go, Create may without a session.
func (s *Scratch) CopyBy(ctx context.Context, q Querier, from string) (string, error) {
	c, ok := s.inner().(selfCopier)
	if !ok {
		return "", errNotBySession
	}
	name := s.reserve()
	if err := c.copyBy(ctx, q, name, from); err != nil {
		return "", fmt.Errorf("copy a scratch database: %w", err)
	}
	return name, nil
}

// inner is the place without the server of our own around it.
func (s *Scratch) inner() scratchPlace {
	if own, ok := s.place.(*server); ok {
		return own.scratchPlace
	}
	return s.place
}

// reserve makes up a name; from now on Close drops the database of that name.
func (s *Scratch) reserve() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	name := fmt.Sprintf("%s%s_%d", ScratchPrefix, s.id, s.next)
	s.names = append(s.names, name)
	return name
}

// DSN is the URL of a scratch database.
func (s *Scratch) DSN(name string) string { return s.place.dsn(name) }

// Open opens a scratch database.
func (s *Scratch) Open(ctx context.Context, name string) (*DB, error) {
	db, err := Open(ctx, s.place.dsn(name), Options{ApplicationName: "dbrollback verify"})
	if err != nil {
		return nil, fmt.Errorf("open the scratch database: %w", err)
	}
	return db, nil
}

// Drop drops a scratch database, connections to it included.
func (s *Scratch) Drop(ctx context.Context, name string) error {
	if scratchOwner(name) != s.id {
		return fmt.Errorf("%s is no scratch database of this run", name)
	}
	if err := s.place.drop(ctx, name); err != nil {
		return fmt.Errorf("drop scratch database %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, n := range s.names {
		if n == name {
			s.names = append(s.names[:i], s.names[i+1:]...)
			break
		}
	}
	return nil
}

// Left are the databases that are still there: after Close, those that could not be dropped. The next Scratch on the server tries again.
func (s *Scratch) Left() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.names)
}

// Close drops every database that is left and lets go of the place. It works on after ctx of the run has ended.
func (s *Scratch) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var errs []error
	for _, name := range s.Left() {
		errs = append(errs, s.Drop(ctx, name))
	}
	return errors.Join(append(errs, s.place.close())...)
}
