package snapshot

import (
	"context"
	"errors"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// How captured data goes back.
const (
	ByRename  = "rename"            // the kept table takes its place again
	ByRewrite = "rewrite"           // the table is written once, with the columns in it
	ByUpdate  = "update"            // the rows that are there are updated
	ByInsert  = "insert"            // rows are inserted
	ByBatches = "batches"           // some thousand rows at a time, when the migration is through
	BySize    = "update or rewrite" // as the table is by then
)

// Way is how one capture would go back as things are now.
type Way struct {
	Table   string   `json:"table"`
	Kind    Kind     `json:"kind"`
	Columns []string `json:"columns,omitempty"`
	Rows    int64    `json:"rows"`  // captured
	Of      int64    `json:"of"`    // rows of the table, by the server's statistics; -1 not known
	Bytes   int64    `json:"bytes"` // of the table now, or of the capture where it is to be inserted; -1 not known
	Way     string   `json:"way"`
	// Of a plan for --online: it goes back in batches afterwards, or why it does not.
	Online bool   `json:"online,omitempty"`
	AtOnce string `json:"at_once,omitempty"`
	Twin   string `json:"twin,omitempty"` // the table that a rewrite builds beside the table, and that takes its name; "" where the table is written in place
}

// twinner is an engine whose rewrite builds a table of another name.
type twinner interface{ twinName(capture string) string }

// Ways says how the captures of the latest run of a migration in a direction would go back, the newest first. It only reads.
func (s *Store) Ways(ctx context.Context, q engine.Querier, migration int64, direction string, online *Waits) ([]Way, error) {
	r, err := s.Restorer(ctx, q, migration, direction)
	if err != nil || r == nil {
		return nil, err
	}
	if online != nil {
		r.Online(*online)
	}
	var out []Way
	for _, x := range slices.Backward(r.captures) {
		if x.Kind == Definition || x.Rows == 0 && !x.Kind.Stays() {
			continue
		}
		w := Way{Table: x.Home.String(), Kind: x.Kind, Columns: x.Columns, Rows: x.Rows, Of: -1, Bytes: x.Bytes, Way: ByInsert}
		t, err := s.db.Inspect(ctx, q, x.Home)
		switch {
		case errors.Is(err, engine.ErrNoTable):
			t = nil
		case err != nil:
			return nil, err
		default:
			w.Of = t.Rows
		}
		switch {
		case x.Kind.Stays():
			w.Way = ByRename
		case t != nil && (x.Kind == Columns || x.Ops):
			w.Way, w.Bytes = ByUpdate, t.Bytes
			if w.Way, err = r.way(ctx, q, x, t); err != nil {
				return nil, err
			}
			if d, ok := s.d.(twinner); ok && w.Way == ByRewrite {
				w.Twin = d.twinName(x.ID)
			}
		}
		if online != nil && x.Kind == Columns {
			if w.AtOnce = "the table is not there"; t != nil {
				w.AtOnce = r.atOnce(x, t)
			}
			if w.Online = w.AtOnce == ""; w.Online {
				w.Way, w.Twin = ByBatches, ""
			}
		}
		out = append(out, w)
	}
	return out, nil
}

// way chooses as Place will, once Down has made the columns again, or as Finish will where they stood; how many rows then differ nobody knows yet.
func (r *Restorer) way(ctx context.Context, q engine.Querier, x *restoring, t *engine.Table) (string, error) {
	g := &target{x: x, t: t, name: func(i int) string { return r.keyName(x, t, i) }}
	var stood []int
	for i, f := range x.Fields {
		if f.Seal != "" && columnIndex(t, r.column(t, f.Name)) >= 0 {
			stood = append(stood, i)
		}
	}
	if len(stood) > 0 {
		if w, err := r.retypable(ctx, q, g, stood); err != nil || w == nil {
			return ByUpdate, err
		}
		return BySize, nil
	}
	w, ok := r.s.d.(rewriter)
	gone := !slices.ContainsFunc(x.Fields, func(f field) bool { return f.Seal != "" })
	if !ok || !gone || !r.rewritable(g) {
		return ByUpdate, nil
	}
	can, err := w.rewrites(ctx, q, t, nil, x.Rows, false)
	if err != nil || !can {
		return ByUpdate, err
	}
	return ByRewrite, nil
}
