package migrate

import (
	"context"
	"fmt"
	"time"
)

// mostLag is how long a run waits for a replica that does not come near: one may be late on purpose.
var mostLag = time.Minute

// breathe leaves the tables to others for as long as a batch took, longer when it had to wait for a lock, and until the replicas that the
// server knows have come near. One that stays far behind is told once, and not waited for again.
func (r *runner) breathe(ctx context.Context, d time.Duration) error {
	if err := pause(ctx, min(d, time.Second)); err != nil || r.late {
		return err
	}
	for begun, told := time.Now(), false; ; {
		b, known, err := r.m.db.Replicas(ctx, r.s)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || known && b.Far() && time.Since(begun) >= mostLag {
			r.late = true
			why := fmt.Sprintf("a replica stays %s: it is not waited for any longer", b)
			if err != nil {
				why = "replicas are not waited for: " + err.Error()
			}
			r.warn(why)
			return nil
		}
		if !known || !b.Far() {
			return nil
		}
		if !told {
			told = true
			r.m.o.Events(Event{Kind: WaitingForReplica, Text: b.String()})
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}
