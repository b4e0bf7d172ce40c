package report_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/report"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// made is when the sample's pages are made.
var made = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

var words = report.Words{
	Count:   func(n int64) string { return fmt.Sprint(n) },
	Size:    func(n int64) string { return fmt.Sprint(n, " B") },
	Seconds: func(s float64) string { return fmt.Sprintf("%.1fs", s) },
	Moment:  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") },
}

// hostile is a name that a page must show and not obey.
const hostile = `<img src=x onerror="alert(1)"></script><script>alert(2)</script>`

func ago(d time.Duration) time.Time { return made.Add(-d) }

func at(d time.Duration) *time.Time { t := made.Add(d); return &t }

// sample is a history with one of everything in it.
func sample() *report.Data {
	label := "before the clean-up"
	capture := func(table string, kind snapshot.Kind, rows int64, taken time.Time, until *time.Time, status string) snapshot.Info {
		return snapshot.Info{Table: table, Kind: kind, Rows: rows, Bytes: rows * 40, CapturedAt: taken, ExpiresAt: until, Status: status}
	}
	const day = 24 * time.Hour
	return &report.Data{
		Made: made, Program: "dbrollback v1.0.0", Target: "postgres shop@db.example:5432/" + hostile, Current: 4,
		Migrations: []report.Migration{
			{Version: 1, File: "migrations/00001_users.sql", AppliedAt: at(-40 * day)},
			{Version: 2, File: "migrations/00002_orders.sql", AppliedAt: at(-20 * day), Captured: true},
			{Version: 3, File: "migrations/00003_" + hostile + ".sql", AppliedAt: at(-3 * day), Captured: true},
			{Version: 4, File: "migrations/00004_no_score_and_a_name_that_is_longer_than_any_telephone_is_wide.sql", AppliedAt: at(-time.Hour), Captured: true},
			{Version: 5, File: "migrations/00005_next.sql"},
		},
		Releases: []report.Release{{Name: "v1.0", Version: 2, TaggedAt: ago(20 * day)}, {Name: hostile, Version: 4, TaggedAt: ago(time.Hour)}},
		Snapshots: []snapshot.Snapshot{
			{ID: "s5", Run: "r9", TakenAt: ago(10 * time.Minute), Direction: snapshot.Restored, Captures: []snapshot.Info{capture("public.orders", "rows", 12, ago(10*time.Minute), at(7*day), "complete")}},
			{ID: "s4", Run: "r7", TakenAt: ago(time.Hour), Migration: 4, Direction: "up", Captures: []snapshot.Info{
				capture("public.users", "columns", 20000, ago(time.Hour), at(20*time.Hour), "complete"), capture(hostile, "rows", 90, ago(time.Hour), at(20*time.Hour), "complete")}},
			{ID: "s3", Run: "r4", TakenAt: ago(3 * day), Migration: 3, Direction: "up", Captures: []snapshot.Info{capture("public.orders", "table", 512, ago(3*day), at(27*day), "complete")}},
			{ID: "s2", Run: "r2", TakenAt: ago(20 * day), Migration: 2, Direction: "up", Captures: []snapshot.Info{capture("public.orders", "rows", 7, ago(20*day), at(-13*day), "expired")}},
			{ID: "s1", Run: "r1", TakenAt: ago(21 * day), Direction: snapshot.Manual, Label: &label, Captures: []snapshot.Info{capture("public.users", "table", 19000, ago(21*day), nil, "complete")}},
		},
		Entries: []audit.Entry{
			{Run: "r9", At: ago(10 * time.Minute), User: "ada@ops", Action: "restore", From: 4, To: 4, Outcome: audit.Done, DurationSeconds: 0.4, Hash: "99aa",
				Tables: []audit.Change{{Table: "public.orders", Inserted: 12}}, Detail: map[string]string{"safety": "s5", "mode": "merge"}},
			{Run: "r8", At: ago(30 * time.Minute), User: "ci@runner", Action: "guard", From: 3, To: 4, Outcome: audit.Done, DurationSeconds: 600, Detail: map[string]string{"watched": "60 checks, 0 failed"}},
			{Run: "r7", At: ago(time.Hour), User: "ci@runner", Action: "up", From: 3, To: 4, Versions: []int64{4}, Outcome: audit.Done, DurationSeconds: 2.5},
			{Run: "r6", At: ago(2 * day), User: "ada@ops", Action: "rollback", From: 4, To: 3, Versions: []int64{4}, Outcome: audit.Done, DurationSeconds: 3.25,
				Tables:    []audit.Change{{Table: "public.users", Inserted: 9, Updated: 991, Deleted: 2, Conflicts: 1}, {Table: hostile, Updated: 4}},
				NotUndone: []string{"mails that the trigger notify_user sent", "values of sequence " + hostile}},
			{Run: "r5", At: ago(2*day + time.Hour), User: hostile, Action: "up", From: 3, To: 3, Versions: []int64{4}, Outcome: audit.Failed, DurationSeconds: 0.2, Error: "migrations/00004.sql:3:1: no such table: " + hostile},
			{Run: "r4", At: ago(3 * day), User: "ci@runner", Action: "up", From: 2, To: 3, Versions: []int64{3}, Outcome: audit.Done, DurationSeconds: 1.5},
			{Run: "r3", At: ago(4 * day), User: "ci@runner", Action: "drill", From: 2, To: 2, Versions: []int64{2}, Outcome: audit.Done, DurationSeconds: 9, Detail: map[string]string{"place": "a copy"}},
			{Run: "r2", At: ago(20 * day), User: "ci@runner", Action: "up", From: 1, To: 2, Versions: []int64{2}, Outcome: audit.Done, DurationSeconds: 1},
			{Run: "r1", At: ago(21 * day), User: "ada@ops", Action: "snapshot", From: 1, To: 1, Outcome: audit.Done, DurationSeconds: 0.6},
		},
	}
}

func render(t *testing.T, d *report.Data) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.Write(&b, d, words); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
