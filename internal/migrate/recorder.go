package migrate

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/pressly/goose/v3/database"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// recorder is a database/sql driver that stores each statement and runs none.
type recorder struct {
	statements []string
	began      bool
}

func (r *recorder) reset() { r.statements, r.began = nil, false }

// Connect and Driver make it a driver.Connector.
func (r *recorder) Connect(context.Context) (driver.Conn, error) { return recording{r}, nil }
func (r *recorder) Driver() driver.Driver                        { return r }
func (r *recorder) Open(string) (driver.Conn, error)             { return recording{r}, nil }

type recording struct{ r *recorder }

var errRecorder = errors.New("the recorder only executes")

func (c recording) Prepare(string) (driver.Stmt, error) { return nil, errRecorder }
func (c recording) Close() error                        { return nil }
func (c recording) Begin() (driver.Tx, error)           { c.r.began = true; return c, nil }
func (c recording) Commit() error                       { return nil }
func (c recording) Rollback() error                     { return nil }

func (c recording) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) { return c.Begin() }

func (c recording) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	c.r.statements = append(c.r.statements, query)
	return driver.ResultNoRows, nil
}

// collector takes the statements that goose's version store executes, so that they can be sent along with ours.
type collector struct {
	database.DBTxConn
	what  string
	steps []engine.Step
}

// ExecContext implements database.DBTxConn.
func (c *collector) ExecContext(_ context.Context, query string, args ...any) (sql.Result, error) {
	c.steps = append(c.steps, engine.Step{What: c.what, SQL: query, Args: args})
	return driver.RowsAffected(1), nil
}
