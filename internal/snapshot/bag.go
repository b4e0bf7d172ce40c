package snapshot

import (
	"context"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// sealBag seals the capture of a table without a key: rows cannot be told apart, so what counts is how many of each
// image there are. The image covers the captured columns that are still there.
func (c *Capturer) sealBag(ctx context.Context, tx engine.Querier, x *capture, t *engine.Table) error {
	s := c.s
	x.Seal.Mode = sealBag
	sum, err := s.bagSum(ctx, tx, x, t)
	if err != nil {
		return err
	}
	x.Seal.Rows, x.Seal.Sum = sum.Rows, sum.Sum
	_, err = exec(ctx, tx, "seal", fmt.Sprintf("CREATE TABLE %s (h %s, q bigint NOT NULL)", s.own(x.companion()), s.f.hash))
	if err != nil {
		return err
	}
	_, err = exec(ctx, tx, "seal", fmt.Sprintf("INSERT INTO %s (h, q) SELECT %s, count(*) FROM %s t GROUP BY 1",
		s.own(x.companion()), s.hash(s.images(x.Seal.Columns, t)), s.f.from(s.db, t)))
	return err
}

// images gives expressions for live columns in the form captures keep them.
func (s *Store) images(columns []string, t *engine.Table) []string {
	var exprs []string
	for _, n := range columns {
		i := columnIndex(t, n)
		if i < 0 {
			exprs = append(exprs, "NULL")
			continue
		}
		f := field{At: n, Type: t.Columns[i].Type}
		f.Decl, f.Text = s.f.store(t.Columns[i])
		exprs = append(exprs, s.f.value("t."+s.q(n), f))
	}
	if len(exprs) == 0 {
		return []string{"1"}
	}
	return exprs
}

// bagSum sums the images of all rows of a live table.
func (s *Store) bagSum(ctx context.Context, q engine.Querier, x *capture, t *engine.Table) (verify.Checksum, error) {
	return verify.Sum(ctx, s.db, q, s.f.from(s.db, t)+" t", s.images(x.Seal.Columns, t))
}
