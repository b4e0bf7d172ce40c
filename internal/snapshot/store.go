package snapshot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// MaxConflicts is how many conflicts of one capture are listed; all are counted.
const MaxConflicts = 100

// Store is the catalog of one database and what it holds.
type Store struct {
	// Journal is a further source of rows as they were; nil when there is none.
	Journal Journal
	// Copy: tables that are dropped are copied, also where they could be kept.
	Copy bool
	// KeepColumns: columns that are dropped are renamed instead of copied, where the engine can, in tables of at least KeepColumnsFrom bytes.
	KeepColumns     bool
	KeepColumnsFrom int64

	db      *engine.DB
	named   *atomic.Pointer[naming]
	catalog engine.Name
	d       dialect
	f       flavour
	// joined are the captures that the queries of the run at hand join with tables of the user's.
	joined func() []*capture
	// Alongside names tables of the caller's that a statement's run uses besides those of the statement: under LOCK
	// TABLES nothing else can be used. Where DDL is transactional it means nothing.
	Alongside []engine.Name
}

// dialect is what an engine does differently; flavour is what it merely spells differently.
type dialect interface {
	// lock keeps writers out of the tables until the transaction ends; exclusive when DDL that follows
	// keeps readers out as well, so that no lock has to be upgraded.
	lock(ctx context.Context, q engine.Querier, tables []*engine.Table, exclusive bool) error
	// observe makes the engine record every row that is written to the tables until stop is called.
	observe(ctx context.Context, q engine.Querier, watched []*capture) (stop func(context.Context) error, err error)
	// shield lets rows be written without the user's triggers and rules, with foreign keys checked by lift, which is told how many rows
	// of each table may point nowhere more than before.
	shield(ctx context.Context, q engine.Querier, tables []*engine.Table) (lift func(ctx context.Context, stray map[engine.Name]int64) error, err error)
	// shapes reads the names and identities of all tables and columns of the user.
	shapes(ctx context.Context, q engine.Querier) (shapes, error)
	// probe watches all tables of the user, without keeping any row, until the answer is asked for.
	probe(ctx context.Context, q engine.Querier) (answer func(context.Context) (touched, error), err error)
	// pin fixes the session settings that values as text and row visibility depend on.
	pin(ctx context.Context, q engine.Querier) (unpin func(context.Context) error, err error)
}

// flavour is how an engine spells things.
type flavour struct {
	number     string // column that numbers the rows of a capture
	overriding string // of an INSERT that writes identity columns
	timestamp  string // type of a moment
	hash       string // type of a hash
	detached   bool   // shield switches foreign keys off: they carry no changed key on
	sets       bool   // a subquery that asks for each row reads all of a table each time, where no index helps; one that gives a set does once
	// unchecked tells whether nobody checks foreign keys, so that rows may always have pointed to rows that are not there; nil: never.
	unchecked  func(ctx context.Context, q engine.Querier) (bool, error)
	locks      func(strong bool) string // the lock of dialect.lock by its name; "" where nothing is said about it
	consistent string                   // makes the transaction look at one moment; "" where it does, or cannot
	// store gives the type a value of the column is kept as, and whether it is kept as text.
	store func(engine.Column) (decl string, text bool)
	// value reads a live column in the form a capture keeps it.
	value func(ref string, f field) string
	// back turns a kept value into what the live column takes.
	back func(ref string, f field, now engine.Column) string
	// as makes a value, as back gives it, exactly one of the live column's type: cut or rounded where that cuts or rounds; nil: as it is.
	as func(ref string, now engine.Column) string
	// asked gives a kept value as its column had it, for a condition that a person wrote; collation is that of the column of now, "" for none.
	asked func(ctx context.Context, q engine.Querier, ref string, f field, collation string) (string, error)
	// condition declares a column of the table that such a condition is asked of, where values of a query compare otherwise than those of a column; nil: they do not.
	condition func(f field) string
	// column gives the column of a copy that takes a captured value: of the type it had, or of the form it is kept in when that type is gone.
	column func(ctx context.Context, q engine.Querier, f field) (engine.Column, error)
	// alike compares a live column with a kept value as a foreign key does, by the column's collation; nil: as match does.
	alike func(live, kept string, f field, now engine.Column) string
	// match compares a live key column with a kept one, by bytes.
	match func(live, kept string, f field, now engine.Column) string
	// text shows a kept value to a person.
	text func(ref string, f field) string
	// meant is what a text that a person wrote means as a value of a key column.
	meant func(t *engine.Table, c engine.Column, text string) meaning
	// address locates a live row, under the alias t, until it is written.
	address func(t *engine.Table) string
	// from is a live table, without those that inherit from it.
	from func(db *engine.DB, t *engine.Table) string
	// size estimates the bytes of one of our tables.
	size func(ctx context.Context, q engine.Querier, table string) (int64, error)
	// ours lists the tables in the place of our own.
	ours func(ctx context.Context, q engine.Querier) ([]string, error)
	// routines reads the texts of the user's functions and procedures, by their names in lower case; nil: what they do has to be declared.
	routines func(ctx context.Context, q engine.Querier) (map[string][]string, error)
	// observable tells whether the session may watch writes to a table.
	observable func(ctx context.Context, q engine.Querier, t *engine.Table) (bool, error)
	// raise makes generators of numbers continue after everything that was handed out.
	raise func(ctx context.Context, q engine.Querier, s *Store, t *engine.Table, old []Sequence) error
	// sequences reads where the generators of a table's numbers stand.
	sequences func(ctx context.Context, q engine.Querier, s *Store, t *engine.Table) ([]Sequence, error)
	// parts lists partitions that are tables themselves; nil: none are.
	parts func(ctx context.Context, q engine.Querier, t *engine.Table) ([]*engine.Table, error)
	// climb is raise at a time when what commits by itself may be done.
	climb func(ctx context.Context, q engine.Querier, s *Store, t *engine.Table, old []Sequence) error
	// standing reads where sequences stand, those of these names or all.
	standing func(ctx context.Context, q engine.Querier, s *Store, all bool, names []engine.Name) ([]Sequence, error)
	// hold locks a sequence against those who take numbers, until the transaction ends; nil: nothing does that.
	hold func(ctx context.Context, q engine.Querier, s *Store, n engine.Name) error
	// onward lets a sequence continue after a number, if it is there and stands before it.
	onward func(ctx context.Context, q engine.Querier, s *Store, x Sequence) error
	// options follow the columns in a CREATE TABLE of ours; keyed: such a table needs a primary key.
	options string
	keyed   bool
	// weigh tells the planner how many rows a table of ours has, where it guesses that there are more than in a table of the user's; nil: it looks by itself.
	weigh func(ctx context.Context, q engine.Querier, table string) error
	scans bool // without an index every look-up of a row reads a whole table
	// locking ends a query whose rows are to stay as they are until the transaction ends.
	locking string
	// skip ends an INSERT that leaves out the rows whose unique values are taken; "" where nothing says only that.
	skip string
	// grip ends a query whose rows of t, the live table, are to stay as they are until the transaction ends, but for others that read them; "" where nobody else can write.
	grip string
	// seek has the transaction find rows by index, also where reading a whole table would be a little less work: it is the table of others. "": it does.
	seek string
	// bytes spells a hash.
	bytes string
	// nothing is a FROM clause without a row.
	nothing string
	// lasting: session settings outlive the transaction that made them.
	lasting bool
	// apart is the condition that two rows are not the same by bytes; nil: nothing is cheaper than to compare their hashes.
	apart func(a, b []string) string
	// image is what of a kept value goes into a hash; nil: the value.
	image func(ref string, f field) string
	// concat joins texts; nil: ||.
	concat func(parts []string) string
	// typed names the type of a live column with all that its values depend on; nil: Column.Type.
	typed func(c engine.Column) string
	// choose turns actions that the engine cannot observe into others; nil: see Capturer.possible.
	choose func(ctx context.Context, c *Capturer, tx engine.Querier, p *plan) error
	// reduce keeps of a copy of all rows what the statement changed; nil: see Capturer.reduce.
	reduce func(ctx context.Context, c *Capturer, tx engine.Querier, x *capture) error
	// exchange puts a table without a key back where rows have no address; nil: see Restorer.exchange.
	exchange func(ctx context.Context, r *Restorer, tx engine.Querier, g *target, e exchanging) error
	// slacken keeps a foreign key from measuring rows that come back, and leaves it there for statements that name it; nil where none is measured by it anyway.
	slacken func(ctx context.Context, s *Store, q engine.Querier, fk engine.ForeignKey) error
	// implied runs what inserts rows without a column that has to be given a value: the row gets what ADD COLUMN gives the rows that are there. nil where that
	// gives them none either.
	implied func(ctx context.Context, tx engine.Querier, insert func() error) error
	// ready prepares tables for rows that come back, by what cannot be part of the transaction, before that has used them; done
	// ends it after the last write. nil: nothing to prepare.
	ready func(ctx context.Context, s *Store, q engine.Querier, tables []*engine.Table, old []Sequence) (done func(ctx context.Context, failed error) error, err error)
	// reached lists the tables that the triggers of a table may write; nil: a rehearsal shows it.
	reached func(ctx context.Context, p *planner, t *engine.Table, ev events) (tables []engine.Name, rewrites bool, err error)
	// rowTypes counts what is of the row type of a table or view; "": nothing can be.
	rowTypes string
	// attributes reads which attributes the values of columns have by their row types; "": values have none.
	attributes string
	// hidden refuses what a temporary table of the same name stands in the way of; nil: tables are known by more than their names.
	hidden func(ctx context.Context, q engine.Querier, e effects.Effect) error
	// unseen refuses a statement that writes where neither its text nor a rehearsal shows it; nil: there is no such place.
	unseen func(ctx context.Context, q engine.Querier, c *Capturer, st effects.Statement) error
	// yes is true.
	yes string
	// system tells the system catalogs, by which other tables can be changed and dropped; nil: nobody may write to them.
	system func(n engine.Name) bool
	// recent is the condition that a live column holds a moment at most a day away; "" where it holds none. whole: it is captured with the whole row.
	recent func(ref string, c engine.Column, whole bool) string
	// shown is a query for the names of all that shows rows of other tables: views, and tables of which others inherit.
	shown string
	// joined: UPDATE and DELETE name the other table beside the one they write, instead of in a clause of its own.
	joined bool
}

// New gives the store whose catalog is the table named catalog; "" means state_snapshots.
func New(db *engine.DB, catalog string) *Store {
	if catalog == "" {
		catalog = "state_snapshots"
	}
	s := &Store{db: db, named: &atomic.Pointer[naming]{}, catalog: db.Own(catalog)}
	switch db.Kind {
	case engine.SQLite:
		s.d, s.f = sqliteDialect{s}, sqliteFlavour
	case engine.MySQL, engine.MariaDB:
		s.d, s.f = mysqlDialect{s}, mysqlFlavour(db.Kind)
	default:
		s.d, s.f = postgresDialect{s}, postgresFlavour
	}
	return s
}

// q quotes an identifier.
func (s *Store) q(name string) string { return s.db.Ident(name) }

// own quotes one of our own tables.
func (s *Store) own(table string) string { return s.db.Quote(s.db.Own(table)) }

// hash gives an expression over the expressions that is equal only for equal values.
func (s *Store) hash(exprs []string) string { return verify.RowHash(s.db, exprs) }

// exec runs a statement and says how many rows it wrote.
func exec(ctx context.Context, q engine.Querier, what, query string, args ...any) (int64, error) {
	r, err := q.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	n, err := r.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	return n, nil
}

// number runs a query that gives one number; NULL is 0.
func number(ctx context.Context, q engine.Querier, what, query string, args ...any) (int64, error) {
	var n sql.NullInt64
	if err := q.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	return n.Int64, nil
}

// list joins with commas.
func list(parts []string) string { return strings.Join(parts, ", ") }

// all joins conditions.
func all(conditions ...string) string {
	var set []string
	for _, c := range conditions {
		if c != "" {
			set = append(set, c)
		}
	}
	if len(set) == 0 {
		return "1 = 1"
	}
	return strings.Join(set, " AND ")
}

// pinned runs f with the settings fixed that values as text and row visibility depend on.
func (s *Store) pinned(ctx context.Context, q engine.Querier, f func() error) error {
	unpin, err := s.d.pin(ctx, q)
	if err != nil {
		return err
	}
	if err := f(); err != nil {
		if s.f.lasting {
			return errors.Join(err, unpin(context.WithoutCancel(ctx)))
		}
		return err // the settings go with the transaction
	}
	return unpin(ctx)
}

// taken tells whether a statement failed because a unique value is there already.
func taken(err error) bool {
	e, ok := engine.AsError(err)
	return ok && e.Taken
}
