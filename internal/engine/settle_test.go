package engine_test

import (
	"bytes"
	"database/sql"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// cut is a network between us and the server that breaks once, around a COMMIT.
type cut struct {
	dsn    string
	before atomic.Bool // the server never gets the COMMIT
	after  atomic.Bool // the server's answer never arrives
}

func newCut(t *testing.T, dsn string) *cut {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	server := u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	u.Host = l.Addr().String()
	c := &cut{dsn: u.String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go c.carry(client, server)
		}
	}()
	return c
}

func (c *cut) carry(client net.Conn, server string) {
	up, err := net.Dial("tcp", server)
	if err != nil {
		_ = client.Close()
		return
	}
	var once sync.Once
	end := func() { once.Do(func() { _ = client.Close(); _ = up.Close() }) }
	defer end()
	var deaf atomic.Bool
	go func() {
		defer end()
		buf := make([]byte, 1<<16)
		for {
			n, err := up.Read(buf)
			if err != nil || deaf.Load() { // the answer has arrived here, and goes no further
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 1<<16)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if bytes.Contains(buf[:n], []byte("commit\x00")) {
			if c.before.CompareAndSwap(true, false) {
				return
			}
			if c.after.CompareAndSwap(true, false) {
				deaf.Store(true)
			}
		}
		if _, err := up.Write(buf[:n]); err != nil && !errors.Is(err, io.EOF) {
			return
		}
	}
}

func TestCommitWithoutAnswerIsSettled(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	testdb.Exec(t, dsn, "CREATE TABLE t (id integer)")
	network := newCut(t, dsn)
	db := open(t, network.dsn, engine.Options{})
	put := func(id string) error {
		s := session(t, db)
		return s.Tx(t.Context(), func(tx *sql.Tx) error { exec(t, tx, "INSERT INTO t VALUES ("+id+")"); return nil })
	}
	network.after.Store(true)
	if err := put("1"); err != nil {
		t.Errorf("committed, and the answer lost: %v", err)
	}
	network.before.Store(true)
	class(t, put("2"), engine.ConnectionLost)
	if network.after.Load() || network.before.Load() {
		t.Fatal("the network did not break")
	}
	if got := testdb.Query(t, dsn, "SELECT id FROM t ORDER BY id"); len(got) != 1 || got[0] != "1" {
		t.Errorf("rows %q, want 1", got)
	}
	// A transaction that wrote nothing has nothing to find out.
	network.before.Store(true)
	s := session(t, db)
	err := s.Tx(t.Context(), func(tx *sql.Tx) error { text(t, tx, "SELECT 'x'"); return nil })
	class(t, err, engine.ConnectionLost)
}

// What a server says no to is no lost answer.
func TestRefusedCommit(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn, engine.Options{})
		s := session(t, db)
		if db.Kind == engine.SQLite {
			exec(t, s, "PRAGMA foreign_keys = on")
		}
		exec(t, s, "CREATE TABLE p (id integer PRIMARY KEY)", "CREATE TABLE c (p integer REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED)")
		err := s.Tx(t.Context(), func(tx *sql.Tx) error { exec(t, tx, "INSERT INTO c VALUES (1)"); return nil })
		class(t, err, engine.Constraint)
		// The session is not left inside of that transaction.
		if err := s.Tx(t.Context(), func(tx *sql.Tx) error { exec(t, tx, "INSERT INTO p VALUES (1)"); return nil }); err != nil {
			t.Error(err)
		}
		if n := text(t, db, "SELECT count(*) FROM c"); n != "0" {
			t.Errorf("%s rows", n)
		}
	})
}

func TestCommitAcrossARestart(t *testing.T) {
	t.Parallel()
	server := testdb.PrivatePostgres(t)
	db := open(t, server.DSN, engine.Options{})
	exec(t, db, "CREATE TABLE t (id integer)")
	s := session(t, db)
	err := s.Tx(t.Context(), func(tx *sql.Tx) error {
		exec(t, tx, "INSERT INTO t VALUES (1)")
		server.Kill()
		server.Restart()
		return nil
	})
	class(t, err, engine.ConnectionLost)
	if n := text(t, db, "SELECT count(*) FROM t"); n != "0" {
		t.Errorf("%s rows", n)
	}
}
