package verify

import (
	"context"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Checksum stands for a set of rows: equal sets have equal checksums, whatever their order.
type Checksum struct {
	Rows int64  `json:"rows"`
	Sum  string `json:"sum"` // hex of 128 bits: the sum of the rows' hashes, so that duplicates do not cancel
}

// RowHash is an SQL expression: 16 bytes of hash over the values of exprs, exact: each value counts with
// its type and its length, so that 1.0 and 1.00, 0 and -0, NULL and the empty text, json that differs in blanks
// all differ.
//
// On PostgreSQL it is the SHA-256, cut to 16 bytes, of the values in the form in which the server sends them. That form names
// each value's type: compare hashes only of expressions of equal types, and give a value of a type that
// DROP TYPE could remove, or that has no binary form, as its text (see HashExprs). On SQLite it is
// dbrollback_hash, which every connection of package engine has.
func RowHash(db *engine.DB, exprs []string) string {
	v, err := verifier(db)
	if err != nil {
		return "NULL"
	}
	return v.rowHash(exprs)
}

// HashExprs gives the expressions by which RowHash and Sum see the columns: each as it is or, where its
// type demands it, as its exact text. The qualifier goes before the column when it is not empty: an alias or a
// quoted table.
func HashExprs(db *engine.DB, columns []engine.Column, qualifier string) []string {
	exprs := make([]string, len(columns))
	for i, c := range columns {
		exprs[i] = db.Ident(c.Name)
		if v, err := verifier(db); err == nil {
			exprs[i] = v.hashExpr(db, c, qualifier)
		}
	}
	return exprs
}

// Sum makes the checksum of the rows of from, an SQL FROM item ("public"."t", or "(SELECT …) AS x"), over
// exprs. No exprs: the rows are only counted.
func Sum(ctx context.Context, db *engine.DB, q engine.Querier, from string, exprs []string) (Checksum, error) {
	v, err := verifier(db)
	if err != nil {
		return Checksum{}, err
	}
	c, err := v.sum(ctx, q, from, exprs)
	if err != nil {
		return Checksum{}, fmt.Errorf("checksum: %w", err)
	}
	return c, nil
}
