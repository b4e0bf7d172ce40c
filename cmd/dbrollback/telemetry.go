package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/telemetry"
)

// telling is what a run tells machines, for who asked for it: a file of metrics, spans, or both. A nil one tells nothing.
type telling struct {
	s         *session
	command   string
	began     time.Time
	trace     *telemetry.Trace
	run       *telemetry.Span
	migration *telemetry.Span // that is under way
}

// tellingTime is how long the telling may take when the run is over, besides the sending.
const tellingTime = 10 * time.Second

// tell begins to tell of a command. That it cannot be told is a warning: no run fails for it.
func (p *program) tell(c *cli.Context, s *session) *telling {
	trace, err := telemetry.NewTrace(p.Getenv, "dbrollback", build().Release)
	if err != nil {
		s.out.warn("no spans are sent: %v", err)
	}
	if trace == nil && s.MetricsFile == "" {
		return nil
	}
	t := &telling{s: s, began: time.Now(), trace: trace, command: commandName(c)}
	t.run = trace.Start("dbrollback "+t.command, nil, t.began)
	t.run.Set("dbrollback.command", t.command)
	return t
}

// commandName is the command without the program: "snapshot create".
func commandName(c *cli.Context) string {
	name := c.Command.Name
	for _, parent := range c.Lineage()[1:] {
		if parent.Command == nil || parent.Command.Name == "" || parent.App != nil && parent.Command.Name == parent.App.Name {
			break
		}
		name = parent.Command.Name + " " + name
	}
	return name
}

// event is migrate's callback.
func (t *telling) event(e migrate.Event) {
	if t == nil || t.trace == nil {
		return
	}
	now := time.Now()
	switch e.Kind {
	case migrate.MigrationStart:
		t.migration = t.trace.Start("migration "+string(e.Direction), nil, now)
		t.migration.Set("dbrollback.migration.version", e.Version)
		t.migration.Set("dbrollback.migration.file", e.File)
		t.migration.Set("dbrollback.direction", string(e.Direction))
	case migrate.MigrationDone:
		t.migration.End(now, true)
		t.migration = nil
	case migrate.CaptureDone, migrate.RestoreDone:
		span := t.trace.Start(map[migrate.EventKind]string{migrate.CaptureDone: "capture", migrate.RestoreDone: "restore"}[e.Kind], t.migration, now.Add(-e.Elapsed))
		span.Set("db.collection.name", e.Table)
		span.Set("dbrollback.rows", e.Rows)
		span.End(now, true)
	}
}

// end tells of the run. It does so after Ctrl-C, too.
func (t *telling) end(ctx context.Context, err error) {
	if t == nil {
		return
	}
	exit := 0
	if err != nil {
		exit = explain(ctx, err).Exit
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellingTime)
	defer cancel()
	seconds := time.Since(t.began).Seconds()
	result := resultOf(t.s.out.last)
	if t.s.MetricsFile != "" {
		if err := writeWhole(t.s.MetricsFile, telemetry.Format(t.metrics(ctx, result, exit, seconds)), 0o644); err != nil {
			t.s.out.warn("no metrics: %v", err)
		}
	}
	if t.trace == nil {
		return
	}
	t.run.Set("dbrollback.exit_code", exit)
	if t.s.db != nil {
		target := t.s.db.Target
		t.run.Set("db.system.name", string(target.Kind))
		t.run.Set("db.namespace", target.Database)
		if target.Host != "" {
			t.run.Set("server.address", target.Host)
		}
	}
	if result != nil {
		t.run.Set("dbrollback.run", result.Run)
		t.run.Set("dbrollback.version.from", result.From)
		t.run.Set("dbrollback.version.to", result.To)
	}
	t.run.End(time.Now(), exit == 0)
	if err := t.trace.Send(context.WithoutCancel(ctx)); err != nil {
		t.s.out.warn("the spans could not be sent: %v", err)
	}
}

// resultOf finds what a run did in the document that it printed; nil when it is of another kind.
func resultOf(document any) *migrate.Result {
	switch d := document.(type) {
	case runDocument:
		return d.Result
	case restoreDocument:
		return d.Result
	case guardDocument:
		if d.Rollback != nil {
			return d.Rollback
		}
		return d.Up
	}
	return nil
}

// metrics are those of the run, of what the run did, and of the captures that there are now.
func (t *telling) metrics(ctx context.Context, r *migrate.Result, exit int, seconds float64) []telemetry.Metric {
	command := [2]string{"command", t.command}
	var out []telemetry.Metric
	add := func(name, help string, value float64, labels ...[2]string) {
		out = append(out, telemetry.Metric{Name: "dbrollback_" + name, Help: help, Labels: labels, Value: value})
	}
	info := [][2]string{command, {"release", build().Release}}
	if t.s.db != nil {
		info = append(info, [2]string{"engine", string(t.s.db.Target.Kind)}, [2]string{"database", t.s.db.Target.Database})
	}
	add("run_info", "The last run.", 1, info...)
	add("run_timestamp_seconds", "When the run ended.", float64(time.Now().Unix()), command)
	add("run_duration_seconds", "How long the run took.", seconds, command)
	add("run_exit_code", "The exit code of the run.", float64(exit), command)
	add("run_success", "Whether the run exited with 0.", yes(exit == 0), command)
	if r != nil {
		var captured, inserted, updated, deleted int64
		for _, m := range r.Migrations {
			captured += max(m.Rows, 0)
		}
		for _, x := range r.Tables {
			inserted, updated, deleted = inserted+x.Inserted, updated+x.Updated, deleted+x.Deleted
		}
		rows := "Rows that the run captured, brought back, changed back and removed."
		for _, x := range []struct {
			change string
			n      int64
		}{{"captured", captured}, {"inserted", inserted}, {"updated", updated}, {"deleted", deleted}} {
			add("run_rows", rows, float64(x.n), command, [2]string{"change", x.change})
		}
		add("run_migrations", "Migrations that the run applied or undid.", float64(len(r.Migrations)), command)
		add("run_conflicts", "Values that the application had changed since.", float64(len(r.Conflicts)), command)
		add("run_not_undone", "What the run could not undo.", float64(len(r.NotUndone)), command)
		add("schema_version", "The version that the database is at.", float64(r.To))
	}
	if st, ok := t.s.out.last.(*migrate.Status); ok {
		pending := 0
		for _, m := range st.Migrations {
			if m.AppliedAt == nil {
				pending++
			}
		}
		add("schema_version", "The version that the database is at.", float64(st.Current))
		add("pending_migrations", "Migrations that are not applied.", float64(pending))
		add("unfinished_runs", "Runs that were cut off.", float64(len(st.Unfinished)))
		add("drift_objects", "Objects that are not as migrations left them.", float64(len(st.Drift)))
	}
	if t.s.db != nil {
		t.captures(ctx, add)
	}
	return out
}

func (t *telling) captures(ctx context.Context, add func(name, help string, value float64, labels ...[2]string)) {
	all, err := t.s.snapshots(ctx)
	if e, ok := engine.AsError(err); err != nil && (!ok || e.Class != engine.ConnectionLost) {
		t.s.out.warn("no metrics of captures: %v", err)
	}
	if err != nil {
		return
	}
	var n, rows, bytes int64
	var ends *time.Time
	for _, s := range all {
		for _, c := range s.Captures {
			if c.Status == "expired" || c.Status == "void" {
				continue
			}
			n, rows, bytes = n+1, rows+max(c.Rows, 0), bytes+max(c.Bytes, 0)
			if c.ExpiresAt != nil && (ends == nil || c.ExpiresAt.Before(*ends)) {
				ends = c.ExpiresAt
			}
		}
	}
	add("captures", "Captures that are kept.", float64(n))
	add("captured_rows", "Rows in them.", float64(rows))
	add("captured_bytes", "Bytes in them.", float64(bytes))
	if ends != nil {
		add("capture_first_expiry_timestamp_seconds", "When the first of them comes to its end.", float64(ends.Unix()))
	}
}

func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
