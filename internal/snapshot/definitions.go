package snapshot

import (
	"context"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// Definitions stores definitions of objects that a statement destroys, and how far generators of numbers had come that it dropped or set back.
// It makes a capture without rows.
func (c *Capturer) Definitions(ctx context.Context, tx engine.Querier, n int, objects []verify.Object) error {
	fallen, err := c.fallen(ctx, tx)
	if err != nil || len(objects)+len(fallen) == 0 {
		return err
	}
	if err := c.s.Ensure(ctx, tx); err != nil {
		return err
	}
	x := &capture{
		Info: Info{
			ID: newID(), Snapshot: c.id, Kind: Definition, Migration: c.meta.Migration, Direction: c.meta.Direction, Statement: n,
			CapturedAt: time.Now().UTC().Truncate(time.Microsecond), Status: statusCapturing, CreatedBy: c.meta.CreatedBy, ExpiresAt: c.meta.Expires,
		},
		detail: detail{Objects: objects, Sequences: fallen},
	}
	if len(objects) > 0 {
		x.Home = objects[0].Table
	} else if x.Home = fallen[0].Table; x.Home.Name == "" {
		x.Home = fallen[0].Name
	}
	x.Info.Table = x.Home.String()
	for _, o := range objects {
		x.Columns = append(x.Columns, o.Key())
	}
	return c.record(ctx, tx, x)
}
