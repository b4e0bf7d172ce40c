package report_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/report"
)

var (
	tags   = regexp.MustCompile(`<[^>]*>`)
	blanks = regexp.MustCompile(`\s+`)
)

// text is what a person reads between two ids of the page.
func text(t *testing.T, page, section string) string {
	t.Helper()
	_, after, ok := strings.Cut(page, `<section id="`+section+`"`)
	if !ok {
		t.Fatalf("there is no section %s", section)
	}
	body, _, _ := strings.Cut(after, "</section>")
	return blanks.ReplaceAllString(tags.ReplaceAllString("<"+body, " "), " ")
}

// The page says first what can be undone and until when: each way back is as good as the worst step of it.
func TestWaysBack(t *testing.T) {
	page := render(t, sample())
	undo := text(t, page, "undo")
	steps := strings.Split(undo, "To undo: ")
	if len(steps) != 5 {
		t.Fatalf("%d steps: %s", len(steps)-1, undo)
	}
	for i, want := range []string{
		"Until 2026-11-27 08:00:00Z , 20 hours left ; brings back 20090 captured rows, 803600 B.",
		"dbrollback rollback --to 3", "Until 2026-11-27 08:00:00Z , 20 hours left ; brings back 512 captured rows, 20480 B.",
		"dbrollback rollback --to 2", "Not with all data : its captured data was dropped when its time was over.",
		"dbrollback rollback --to 1", "Not with all data : applied without captures",
		"dbrollback rollback --to 0",
	} {
		if !strings.Contains(steps[(i+1)/2], want) {
			t.Errorf("step %d: %q lacks %q", (i+1)/2, steps[(i+1)/2], want)
		}
	}
	verdict := text(t, page, "verdict")
	for _, want := range []string{"The newest 2 of 4 migrations can be undone with their data; the older ones not completely.",
		"Captured data comes to the end of its time: 2026-11-27 08:00:00Z.", "Last: restore of public.orders , done , 2026-11-26 11:50:00Z, ada@ops, in 0.4s"} {
		if !strings.Contains(verdict, want) {
			t.Errorf("%q lacks %q", verdict, want)
		}
	}
	lost := text(t, page, "lost")
	if !strings.Contains(lost, "mails that the trigger notify_user sent rollback, version 4 → 3, 2026-11-24 12:00:00Z") {
		t.Error(lost)
	}
}

// What is wrong comes before everything else.
func TestAlarms(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*report.Data)
		want   string
	}{
		"good": {func(d *report.Data) { d.Migrations, d.Snapshots = d.Migrations[2:3], d.Snapshots[2:3] }, `class="verdict good"> Every applied migration can be undone with its data.`},
		"nothing": {func(d *report.Data) { *d = report.Data{Made: made, Target: "x"} },
			`class="verdict good"> No migration is applied: there is nothing to undo.`},
		"unfinished": {func(d *report.Data) { d.Unfinished = []string{"up of migration 5, cut off at statement 2 of 3"} },
			`A run was cut off: up of migration 5, cut off at statement 2 of 3. Next: dbrollback recover`},
		"tampered": {func(d *report.Data) { d.Broken = "the audit log is broken at entry 3" }, `The audit log was tampered with: the audit log is broken at entry 3`},
		"drift":    {func(d *report.Data) { d.Drift = []string{"column public.users.x is new"} }, `The schema is not the one that migrations left (1 differ)`},
		"failed":   {func(d *report.Data) { d.Entries[0].Outcome = audit.Failed }, `The last run did not succeed: restore of public.orders, failed`},
	} {
		t.Run(name, func(t *testing.T) {
			d := sample()
			c.change(d)
			page := render(t, d)
			got := blanks.ReplaceAllString(regexp.MustCompile(`<(/?h2|/?p)[^>]*>`).ReplaceAllString(page, " "), " ")
			if !strings.Contains(got, c.want) {
				t.Errorf("lacks %q", c.want)
			}
			if (name == "unfinished" || name == "tampered") != strings.Contains(page, `class="verdict bad"`) {
				t.Error("the colour is wrong")
			}
		})
	}
}

// The entries of a run, one a migration, are one event, with what it captured.
func TestEvents(t *testing.T) {
	d := sample()
	d.Entries = []audit.Entry{
		{Run: "r", At: ago(time.Minute), Action: "up", From: 2, To: 3, Versions: []int64{3}, Outcome: audit.Done, DurationSeconds: 3},
		{Run: "r", At: ago(2 * time.Minute), Action: "up", From: 1, To: 2, Versions: []int64{2}, Outcome: audit.Done, DurationSeconds: 2},
	}
	d.Snapshots = d.Snapshots[2:4]
	d.Snapshots[0].Run, d.Snapshots[1].Run = "r", "r"
	d.Releases = nil
	got := text(t, render(t, d), "timeline")
	if n := strings.Count(got, "up, version"); n != 1 || !strings.Contains(got, "up, version 1 → 3") || !strings.Contains(got, "519 rows captured") || !strings.Contains(got, "took 3.0s") {
		t.Error(got)
	}
	d.Left = true
	if got := text(t, render(t, d), "timeline"); !strings.Contains(got, "older runs are left out") {
		t.Error(got)
	}
}

// No name of the database becomes part of the page's own text.
func TestHostileNames(t *testing.T) {
	page := render(t, sample())
	if strings.Contains(page, "<img") || strings.Count(page, "<script>") != 1 || strings.Contains(page, "alert(2)</script>") {
		t.Error("a name got out of its place")
	}
	if !strings.Contains(page, "&lt;img src=x onerror=&#34;alert(1)&#34;&gt;") {
		t.Error("a name is not shown as it is")
	}
	if found := regexp.MustCompile(`(?i)(src|href)="?(https?:|//)|url\(|@import| style="`).FindString(page); found != "" {
		t.Errorf("the page asks for something: %s", found)
	}
}
