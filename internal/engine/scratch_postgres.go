package engine

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
)

// postgresScratch makes databases on a PostgreSQL server. One session holds an advisory lock whose number is part
// of each database's name: pg_locks shows such locks to sessions of every database, so that anybody sees whether the owner
// of a scratch database still lives.
type postgresScratch struct {
	url   *url.URL
	db    *DB
	mu    sync.Mutex // one session, one statement at a time
	s     *Session
	shape string // what CREATE DATABASE says of encoding and locale
	copy  string // how it copies
}

//go:embed scratch_postgres.sql
var postgresScratchFacts string

func newPostgresScratch(ctx context.Context, dsn string, id [8]byte) (_ *postgresScratch, err error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, &Error{Class: Usage, Message: "the postgres:// URL of the scratch server cannot be read", Hint: schemes}
	}
	db, err := Open(ctx, dsn, Options{ApplicationName: "dbrollback verify"})
	if err != nil {
		return nil, err
	}
	p := &postgresScratch{url: u, db: db}
	defer func() {
		if err != nil {
			_ = p.close()
		}
	}()
	if p.s, err = db.Session(ctx); err != nil {
		return nil, err
	}
	if _, err := p.s.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(binary.BigEndian.Uint64(id[:]))); err != nil { // the bits are what counts
		return nil, fmt.Errorf("mark the scratch databases as in use: %w", err)
	}
	if err := p.facts(ctx); err != nil {
		return nil, err
	}
	return p, p.sweep(ctx)
}

// facts reads what a scratch database takes over from the one that was named, and whether it may be made.
func (p *postgresScratch) facts(ctx context.Context) error {
	var encoding, collate, ctype, provider, locale, role string
	var may bool
	err := p.s.QueryRowContext(ctx, postgresScratchFacts).Scan(&encoding, &collate, &ctype, &provider, &locale, &role, &may)
	if err != nil {
		return fmt.Errorf("read the settings of the scratch server: %w", err)
	}
	if !may {
		return &Error{Class: Privilege, Message: fmt.Sprintf("role %s may not create databases on the scratch server", role),
			Hint: fmt.Sprintf("ALTER ROLE %s CREATEDB; or name another server with --scratch-dsn", p.db.Ident(role))}
	}
	p.shape = postgresShape(encoding, collate, ctype, provider, locale)
	if p.db.Version >= 150000 {
		p.copy = " STRATEGY file_copy" // twice as fast for databases this small
	}
	return nil
}

// postgresShape is what CREATE DATABASE says of encoding and locale.
func postgresShape(encoding, collate, ctype, provider, locale string) string {
	shape := " ENCODING " + literal(encoding) + " LC_COLLATE " + literal(collate) + " LC_CTYPE " + literal(ctype)
	switch {
	case locale == "":
	case provider == "i":
		shape += " LOCALE_PROVIDER icu ICU_LOCALE " + literal(locale)
	case provider == "b":
		shape += " LOCALE_PROVIDER builtin BUILTIN_LOCALE " + literal(locale)
	}
	return shape
}

// literal quotes a text for SQL that takes no parameters.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// sweep drops the databases of runs whose session is gone.
func (p *postgresScratch) sweep(ctx context.Context) error {
	// The databases are listed first: the lock of each was there before it.
	names, err := Texts(ctx, p.s, "SELECT datname FROM pg_catalog.pg_database WHERE starts_with(datname, $1)", ScratchPrefix)
	if err != nil {
		return fmt.Errorf("look for scratch databases of runs that were killed: %w", err)
	}
	for _, name := range names {
		b, err := hex.DecodeString(scratchOwner(name))
		if err != nil || len(b) != 8 {
			continue // not made by us
		}
		var alive bool
		err = p.s.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND objsubid = 1
			AND classid::bigint = $1 AND objid::bigint = $2)`, int64(binary.BigEndian.Uint32(b)), int64(binary.BigEndian.Uint32(b[4:]))).Scan(&alive)
		if err != nil {
			return fmt.Errorf("look for the owner of %s: %w", name, err)
		}
		if alive {
			continue
		}
		// Somebody else may be dropping it just now, or it belongs to an account that is not ours: either way it is not
		// in the way of this run.
		_ = p.drop(ctx, name)
	}
	return nil
}

func (p *postgresScratch) create(ctx context.Context, name, from string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	statement := "CREATE DATABASE " + p.db.Ident(name) + " TEMPLATE "
	if from == "" {
		statement += "template0" + p.shape
	} else {
		statement += p.db.Ident(from)
	}
	_, err := p.s.ExecContext(ctx, statement+p.copy)
	return err
}

// copyBy copies by the session of the database itself, which the server does not mind: only others may not be connected.
func (p *postgresScratch) copyBy(ctx context.Context, q Querier, name, from string) error {
	_, err := q.ExecContext(ctx, "CREATE DATABASE "+p.db.Ident(name)+" TEMPLATE "+p.db.Ident(from)+p.copy)
	return err
}

func (p *postgresScratch) drop(ctx context.Context, name string) error {
	if scratchOwner(name) == "" {
		return fmt.Errorf("%s is no scratch database", name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	statement := "DROP DATABASE IF EXISTS " + p.db.Ident(name) + " WITH (FORCE)"
	_, err := p.s.ExecContext(ctx, statement)
	if err == nil {
		return nil
	}
	// A template's flag is a migration's to set, and keeps the database.
	if _, terr := p.s.ExecContext(ctx, "ALTER DATABASE "+p.db.Ident(name)+" IS_TEMPLATE false"); terr != nil {
		return err
	}
	_, err = p.s.ExecContext(ctx, statement)
	return err
}

// dsn is the URL with another database. Commits need not reach the disk, because the database does not outlive the
// run; and compiling the statements over the catalog would take longer than running them.
func (p *postgresScratch) dsn(name string) string {
	u := *p.url
	u.Path = "/" + name
	u.RawPath = ""
	q := u.Query()
	q.Del("dbname")
	q.Del("database")
	q.Set("synchronous_commit", "off")
	q.Set("jit", "off")
	u.RawQuery = q.Encode()
	return u.String()
}

func (p *postgresScratch) close() error {
	var errs []error
	if p.s != nil {
		errs = append(errs, p.s.Close())
	}
	if err := p.db.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
