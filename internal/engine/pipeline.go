package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Step is one statement of a pipeline.
type Step struct {
	What string // what it is for, for errors
	SQL  string
	Args []any
	// Once: it is not one of a few texts that come again and again, so it is not prepared.
	Once bool
	// Failed gives its error; nil: What stands in front of it.
	Failed func(error) error
	// Into takes the columns of the first row; nothing changes when there is none. nil: the statement returns nothing.
	Into []any
}

// failed gives the error of a step.
func (st Step) failed(err error) error {
	if st.Failed != nil {
		return st.Failed(err)
	}
	return fmt.Errorf("%s: %w", st.What, err)
}

// pipeliner is an engine whose driver sends several statements in one go.
type pipeliner interface {
	pipeline(ctx context.Context, s *Session, steps []Step) error
}

// Pipeline runs statements of ours, of which none needs what another one returns, on the session's connection and so in
// its open transaction: in one round trip where the driver can, else one after the other on q, which is that
// transaction. The texts must be few and about tables that never change shape, because they are prepared, but for those that come once.
func (s *Session) Pipeline(ctx context.Context, q Querier, steps ...Step) error {
	if p, ok := s.db.dialect.(pipeliner); ok {
		return p.pipeline(ctx, s, steps)
	}
	return Run(ctx, q, steps...)
}

// Run runs statements one after the other.
func Run(ctx context.Context, q Querier, steps ...Step) error {
	for _, st := range steps {
		var err error
		if st.Into == nil {
			_, err = q.ExecContext(ctx, st.SQL, st.Args...)
		} else if err = q.QueryRowContext(ctx, st.SQL, st.Args...).Scan(st.Into...); errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		if err != nil {
			return st.failed(err)
		}
	}
	return nil
}
