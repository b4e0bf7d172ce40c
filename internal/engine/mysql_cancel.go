package engine

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/go-sql-driver/mysql"
)

// mysqlConnector makes connections on which a cancelled context ends the statement on the server. The
// driver alone would close the connection and leave the statement running: an ALTER would go on, and take effect
// after everybody believed that it did not.
type mysqlConnector struct{ driver.Connector }

// killTimeout bounds what it takes to tell the server; after that the connection is closed.
const killTimeout = 10 * time.Second

// Connect makes it a driver.Connector.
func (c mysqlConnector) Connect(ctx context.Context) (driver.Conn, error) {
	raw, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner := raw.(mysqlDriverConn)
	rows, err := inner.QueryContext(ctx, "SELECT CONNECTION_ID()", nil)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	value := make([]driver.Value, 1)
	err = rows.Next(value)
	id := fmt.Sprint(value[0])
	if text, ok := value[0].([]byte); ok {
		id = string(text)
	}
	if err := errors.Join(err, rows.Close()); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return &mysqlConn{mysqlDriverConn: inner, connector: c.Connector, id: id}, nil
}

// mysqlDriverConn is what the driver's connections can do.
type mysqlDriverConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
	driver.NamedValueChecker
}

type mysqlConn struct {
	mysqlDriverConn
	connector driver.Connector
	id        string
}

// ExecContext runs a statement to its end, or until the server has given it up.
func (c *mysqlConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	w, inner := c.watch(ctx)
	res, err := c.mysqlDriverConn.ExecContext(inner, query, args)
	return res, w.end(query, err)
}

// QueryContext is ExecContext for a query; the rows are watched until they are closed.
func (c *mysqlConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	w, inner := c.watch(ctx)
	rows, err := c.mysqlDriverConn.QueryContext(inner, query, args)
	if err != nil {
		return nil, w.end(query, err)
	}
	return &mysqlRows{mysqlDriverRows: rows.(mysqlDriverRows), w: w, query: query}, nil
}

// kill tells the server to end the statement; false when it could not be told.
func (c *mysqlConn) kill() bool {
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	other, err := c.connector.Connect(ctx)
	if err != nil {
		return false
	}
	defer other.Close()
	_, err = other.(driver.ExecerContext).ExecContext(ctx, "KILL QUERY "+c.id, nil)
	return err == nil
}

// mysqlWatch waits for a context to be cancelled while a statement runs.
type mysqlWatch struct {
	c      *mysqlConn
	ctx    context.Context
	cancel context.CancelFunc // of the context that the driver sees
	done   chan struct{}
	ended  chan struct{}
	killed bool // after ended is closed
}

func (c *mysqlConn) watch(ctx context.Context) (*mysqlWatch, context.Context) {
	w := &mysqlWatch{c: c, ctx: ctx}
	if ctx.Done() == nil || ctx.Err() != nil { // nothing to watch, or nothing to be run
		return w, ctx
	}
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.cancel, w.done, w.ended = cancel, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(w.ended)
		select {
		case <-w.done:
		case <-ctx.Done():
			if w.killed = c.kill(); !w.killed {
				cancel()
			}
		}
	}()
	return w, inner
}

// end stops watching and says what became of the statement.
func (w *mysqlWatch) end(query string, err error) error {
	if w.done != nil {
		close(w.done)
		<-w.ended
		w.done = nil
		if w.killed {
			// It may have ended by itself, and then the order to die waits for the next statement.
			_, _ = w.c.mysqlDriverConn.ExecContext(context.WithoutCancel(w.ctx), "DO 0", nil)
		}
		w.cancel()
	}
	var answer *mysql.MySQLError
	switch {
	case err == nil || errors.Is(err, driver.ErrSkip):
		return err
	case w.ctx.Err() != nil && !errors.Is(err, w.ctx.Err()):
		return fmt.Errorf("%w: %w", w.ctx.Err(), err)
	case errors.As(err, &answer) && answer.Number == 1064:
		e := mysqlError(answer, err)
		e.Position = mysqlPosition(query, answer.Message)
		return e
	}
	return err
}

// mysqlDriverRows is what the driver's rows can do.
type mysqlDriverRows interface {
	driver.Rows
	driver.RowsNextResultSet
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeNullable
	driver.RowsColumnTypePrecisionScale
	ColumnTypeScanType(i int) reflect.Type
}

type mysqlRows struct {
	mysqlDriverRows
	w     *mysqlWatch
	query string
}

// Close reads what the server still sends, which is little once the statement was killed.
func (r *mysqlRows) Close() error {
	err := r.mysqlDriverRows.Close()
	if r.w.ctx.Err() != nil {
		err = nil // whoever reads the rows is told by the context
	}
	return r.w.end(r.query, err)
}
