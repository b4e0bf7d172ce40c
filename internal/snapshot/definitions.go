package snapshot

import (
	"context"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// Definitions stores definitions of objects that a statement destroys. It makes a capture without rows.
func (c *Capturer) Definitions(ctx context.Context, tx engine.Querier, n int, objects []verify.Object) error {
	if len(objects) == 0 {
		return nil
	}
	if err := c.s.Ensure(ctx, tx); err != nil {
		return err
	}
	x := &capture{
		Info: Info{
			ID: newID(), Snapshot: c.id, Kind: Definition, Migration: c.meta.Migration, Direction: c.meta.Direction, Statement: n,
			CapturedAt: time.Now().UTC().Truncate(time.Microsecond), Status: statusCapturing, CreatedBy: c.meta.CreatedBy, ExpiresAt: c.meta.Expires,
		},
		detail: detail{Home: objects[0].Table, Objects: objects},
	}
	x.Info.Table = x.Home.String()
	for _, o := range objects {
		x.Columns = append(x.Columns, o.Key())
	}
	return c.record(ctx, tx, x)
}
