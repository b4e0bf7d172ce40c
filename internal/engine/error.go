package engine

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
)

// Class says what kind of failure an error is, whichever engine it came from.
type Class string

// The classes.
const (
	Syntax           Class = "syntax"            // the SQL text, or a name in it, is wrong
	LockTimeout      Class = "lock_timeout"      // a lock was not obtained in time, or a deadlock
	StatementTimeout Class = "statement_timeout" // the server stopped the statement
	Privilege        Class = "privilege"         // a right is missing
	ReadOnly         Class = "read_only"         // the server, session or file takes no writes
	Unreachable      Class = "unreachable"       // no server, or no such database
	ConnectionLost   Class = "connection_lost"   // the connection broke
	Auth             Class = "auth"              // user or password rejected
	DiskFull         Class = "disk_full"         // no space left, or a quota reached
	Constraint       Class = "constraint"        // a row breaks a constraint
	Cancelled        Class = "cancelled"         // the caller gave up
	Pooled           Class = "pooled"            // a pooler in between breaks sessions apart
	Usage            Class = "usage"             // the URL or an option is wrong
	Unsupported      Class = "unsupported"       // not with this engine or build
	Unknown          Class = "unknown"           // anything else; after a commit: the outcome is not known
)

// Error is a failure with its class. It never contains a password.
type Error struct {
	Class    Class
	Message  string
	Hint     string // what to do, "" when there is nothing to say
	Taken    bool   // of Constraint: a unique value is there already
	Missing  bool   // of Syntax: a table, column, view or routine that it names is not there
	Position int    // characters from the start of the SQL text, counted from 1; 0 when unknown
	Err      error  // the driver's
}

// Error gives the message.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the driver's error.
func (e *Error) Unwrap() error { return e.Err }

// Answered tells whether err is what a server that is there said against rows or a statement, rather than a lost connection or a lock.
func Answered(err error) bool {
	e, ok := AsError(err)
	if !ok {
		return false
	}
	var pg *pgconn.PgError
	return e.Class == Constraint || e.Class == Unknown && errors.As(err, &pg)
}

// AsError finds or makes the *Error of err: whatever a driver returned is classified. It is false when
// nothing in err's chain comes from a database.
func AsError(err error) (*Error, bool) {
	if err == nil {
		return nil, false
	}
	var own *Error
	if errors.As(err, &own) {
		return own, true
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &Error{Class: Cancelled, Message: "cancelled", Err: err}, true
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return postgresError(pg, err), true
	}
	var my *mysql.MySQLError
	if errors.As(err, &my) {
		return mysqlError(my, err), true
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return sqliteError(lite, err), true
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return &Error{Class: Unreachable, Message: dialReason(connect), Err: err}, true
	}
	var netErr net.Error
	if errors.As(err, &netErr) {
		if _, bare := netErr.(syscall.Errno); bare {
			return nil, false // of a file: what comes from the network is wrapped
		}
	}
	if errors.As(err, &netErr) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err) ||
		errors.Is(err, mysql.ErrInvalidConn) {
		return &Error{Class: ConnectionLost, Message: "the connection to the database was lost", Err: err}, true
	}
	return nil, false
}

// dialReason is the reason alone when a host does not answer: the driver repeats it, with the address, for
// each way that it tried.
func dialReason(err error) string {
	var lookup *net.DNSError
	var dial *net.OpError
	switch {
	case errors.As(err, &lookup):
		return "the host name is not known"
	case errors.As(err, &dial):
		var call *os.SyscallError
		if errors.As(dial, &call) {
			return call.Err.Error()
		}
		return dial.Err.Error()
	}
	return Redact(err.Error())
}

// connectError classifies what went wrong while connecting and says to what.
func connectError(err error, t Target) error {
	where := t.Database
	if t.Host != "" {
		where = fmt.Sprintf("%s at %s as %s", t.Database, t.Host, t.User)
	}
	e, ok := AsError(err)
	if !ok || e.Class == ConnectionLost || e.Class == Unknown {
		reason := Redact(err.Error())
		hint := "check the URL and that the server runs"
		if t.Kind == SQLite {
			hint = "check the path"
		}
		e = &Error{Class: Unreachable, Message: reason, Hint: hint, Err: err}
	}
	c := *e
	c.Message = fmt.Sprintf("connect to %s: %s", where, c.Message)
	if c.Class == Unreachable && c.Hint == "" {
		c.Hint = "check host, port and that the server runs"
	}
	return &c
}

func itoa(i int) string { return strconv.Itoa(i) }
