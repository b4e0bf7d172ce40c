package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

const postgresXID = "SELECT pg_current_xact_id_if_assigned()::text"

// pipeline sends the statements with one wait for the answers. The transaction's id, which commit wants, comes along.
func (postgres) pipeline(ctx context.Context, s *Session, steps []Step) error {
	var xid *string
	if s.xid == "" {
		steps = append(steps[:len(steps):len(steps)], Step{What: "commit", SQL: postgresXID, Into: []any{&xid}})
	}
	err := s.Raw(func(driver any) error {
		d, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("unexpected driver connection %T", driver)
		}
		c := d.Conn()
		var b pgx.Batch
		for _, st := range steps {
			// Named by its own text, it is found again by the batch. What the session has prepared it keeps: to ask the driver again
			// costs a hash of the text.
			if !st.Once && !s.prepared[st.SQL] {
				if _, err := c.Prepare(ctx, st.SQL, st.SQL); err != nil {
					return st.failed(err)
				}
				if s.prepared == nil {
					s.prepared = map[string]bool{}
				}
				s.prepared[st.SQL] = true
			}
			b.Queue(st.SQL, st.Args...)
		}
		answers := c.SendBatch(ctx, &b)
		for _, st := range steps {
			var err error
			if st.Into == nil {
				_, err = answers.Exec()
			} else if err = answers.QueryRow().Scan(st.Into...); errors.Is(err, pgx.ErrNoRows) {
				err = nil
			}
			if err != nil {
				_ = answers.Close() // says the same once more
				return st.failed(err)
			}
		}
		return answers.Close()
	})
	if err == nil && xid != nil {
		s.xid = *xid
	}
	return err
}
