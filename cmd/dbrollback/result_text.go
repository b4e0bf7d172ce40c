package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// runDocument is the JSON of up, rollback and recover. A run that failed part-way has it, too, with the error.
type runDocument struct {
	*migrate.Result
	Checkpoint *checkpointResult `json:"checkpoint,omitempty"` // of the rest of a release that came back with the database
	Error      *problem          `json:"error"`
}

// finish prints what a run did, as far as it came, and passes its error on.
func (s *session) finish(ctx context.Context, command string, r *migrate.Result, err error) error {
	return s.finishWith(ctx, command, r, nil, err)
}

// finishWith does the same, with what came back of the rest of a deployment.
func (s *session) finishWith(ctx context.Context, command string, r *migrate.Result, rest *restoring, err error) error {
	s.progress.end()
	if r == nil {
		return err
	}
	r.Version = 1
	r.Migrations, r.Tables, r.Conflicts, r.NotUndone = list(r.Migrations), list(r.Tables), list(r.Conflicts), list(r.NotUndone)
	if r.Plan != nil {
		r.Plan = planDocument(r.Plan)
	}
	document := runDocument{Result: r}
	if err != nil {
		document.Error = explain(ctx, err)
		document.Error.redact(s.DSN)
	}
	if rest != nil {
		document.Checkpoint = rest.result
	}
	held := s.held(ctx, r)
	werr := s.out.result(document, func(w *page) {
		switch {
		case r.Plan != nil:
			writePlan(w, r.Plan)
			writeTables(w, r.Tables, "data that would come back")
			for _, l := range conflictLines(r.Conflicts, conflictsAhead) {
				w.line("  conflict: %s", l)
			}
		case err != nil && len(r.Migrations) == 0:
			// Nothing was done: the error says it all.
		case command == "recover" && len(r.Migrations) == 0 && err == nil:
			w.line("nothing to recover on %s: no run was cut off", describe(r.Target))
		case r.Aborted:
			writeAborted(w, r, held, err == nil)
		case command == "rollback" || r.Direction == migrate.Down:
			writeRollback(w, r, held, err == nil || rest != nil)
			if rest != nil {
				w.line("")
				writeCheckpointRestore(w, rest.result, rest.man, err)
			}
		default:
			writeUp(w, r, held, err == nil)
		}
	})
	if err == nil {
		err = werr
	}
	return err
}

// held says, a line a capture, which tables hold the values that conflicts did not put back: the person who has to
// decide about them wants to look. It is a courtesy: when it cannot be read, the run is what it was.
func (s *session) held(ctx context.Context, r *migrate.Result) []string {
	kept := slices.DeleteFunc(slices.Clone(r.Conflicts), func(c snapshot.Conflict) bool { return c.Resolved != snapshot.Keep })
	if len(kept) == 0 || s.JSON {
		return nil
	}
	store, err := s.store(ctx)
	if err != nil {
		return nil
	}
	all, err := store.List(ctx, s.db)
	if err != nil {
		return nil
	}
	var out []string
	for _, m := range r.Migrations {
		i := slices.IndexFunc(all, func(sn snapshot.Snapshot) bool {
			return sn.Migration == m.Version && sn.Direction != string(r.Direction)
		})
		if i < 0 {
			continue
		}
		for _, c := range all[i].Captures {
			if c.Location != "" && slices.ContainsFunc(kept, func(k snapshot.Conflict) bool { return concerns(c, k) }) {
				out = append(out, fmt.Sprintf("%s of %s, as before migration %d", c.Location, c.Table, m.Version))
			}
		}
	}
	return out
}

// concerns says whether a capture holds what a conflict is about.
func concerns(c snapshot.Info, k snapshot.Conflict) bool {
	return c.Table == k.Table && (len(k.Columns) == 0 || slices.ContainsFunc(k.Columns, func(column string) bool {
		return slices.Contains(c.Columns, column)
	}))
}

func writeUp(w *page, r *migrate.Result, held []string, done bool) {
	if len(r.Migrations) == 0 {
		w.line("nothing to apply on %s; the version is %d", describe(r.Target), r.To)
	} else {
		w.line("%s %s on %s: version %d -> %d, %s", w.bold("applied"), number(int64(len(r.Migrations)), "migration", "migrations"),
			describe(r.Target), r.From, r.To, ending(r, done))
		writeMigrations(w, r.Migrations, "data")
	}
	writeTables(w, r.Tables, "captured data of an earlier rollback put back")
	writeConflicts(w, r, held)
	if r.Release != "" {
		w.line("release %s is version %d", r.Release, r.To)
	}
	writeNotUndone(w, r.NotUndone, "a rollback will not undo:")
	if done && len(r.Migrations) > 0 {
		w.line("to undo: dbrollback rollback --to %d", r.From)
	}
}

// writeAborted says what recover --abort took back, and what to type once the migration is mended.
func writeAborted(w *page, r *migrate.Result, held []string, done bool) {
	files := make([]string, len(r.Migrations))
	for i, m := range r.Migrations {
		files[i] = m.File
	}
	w.line("%s what had run of %s of %s on %s: the version is %d, %s", w.bold("took back"), r.Direction, strings.Join(files, ", "), describe(r.Target), r.To, ending(r, done))
	writeTables(w, r.Tables, "data that came back")
	writeProof(w, r, done)
	writeConflicts(w, r, held)
	writeNotUndone(w, r.NotUndone, "could not be taken back:")
	if done {
		w.line("next: mend the file, then: dbrollback %s", map[migrate.Direction]string{migrate.Up: "up", migrate.Down: "rollback"}[r.Direction])
	}
}

// ending says how long a run took, and that it did not come to its end.
func ending(r *migrate.Result, done bool) string {
	if done {
		return "in " + seconds(r.Seconds)
	}
	return "then it failed, after " + seconds(r.Seconds)
}

func writeMigrations(w *page, ms []migrate.MigrationResult, head string) {
	rows := make([][]string, len(ms))
	for i, m := range ms {
		captured := "nothing to capture"
		if m.Captures > 0 {
			captured = "captured definitions, no rows"
			if m.Rows > 0 {
				captured = fmt.Sprintf("captured %s", number(m.Rows, "row", "rows"))
			}
			if m.Snapshot != "" {
				captured += " as snapshot " + m.Snapshot
			}
		}
		rows[i] = []string{m.File, seconds(m.Seconds), captured}
	}
	w.table([]string{"migration", ">time", head}, rows)
}

// writeRollback is read in an incident: what was undone, what came back, the proof, what needs a decision,
// what cannot be undone, and what to type next, in this order.
func writeRollback(w *page, r *migrate.Result, held []string, done bool) {
	if len(r.Migrations) == 0 {
		w.line("nothing to roll back on %s; the version is %d", describe(r.Target), r.To)
		return
	}
	w.line("%s %s on %s: version %d -> %d, %s", w.bold("undid"), number(int64(len(r.Migrations)), "migration", "migrations"),
		describe(r.Target), r.From, r.To, ending(r, done))
	writeMigrations(w, r.Migrations, "what Down itself removed")
	w.line("")
	if !slices.ContainsFunc(r.Tables, changedAnything) {
		w.line("data: no rows had to be put back")
	}
	writeTables(w, r.Tables, "data that came back")
	writeProof(w, r, done)
	writeConflicts(w, r, held)
	writeNotUndone(w, r.NotUndone, "could not be undone:")
	if !done {
		return
	}
	w.line("")
	to := r.From
	for _, m := range r.Migrations { // a rollback --online that was cut off has left its version already
		to = max(to, m.Version)
	}
	w.line("next: dbrollback status; when the cause is mended: dbrollback up --to %d", to)
}

// changedAnything says whether there is something to tell of a table: one that was only compared had nothing put back.
func changedAnything(t snapshot.TableReport) bool {
	return t.Inserted+t.Updated+t.Deleted+t.Conflicts+t.Kept > 0
}

func writeTables(w *page, ts []snapshot.TableReport, title string) {
	var rows [][]string
	for _, t := range ts {
		if changedAnything(t) {
			rows = append(rows, []string{t.Table, count(t.Inserted), count(t.Updated), count(t.Deleted), count(t.Conflicts)})
		}
	}
	if len(rows) == 0 {
		return
	}
	w.line("%s:", title)
	w.table([]string{"table", ">rows back", ">values put back", ">removed", ">conflicts"}, rows)
}

func writeProof(w *page, r *migrate.Result, done bool) {
	var written, conflicts, kept int64
	for _, t := range r.Tables {
		kept += t.Kept
		written += t.Inserted + t.Updated + t.Deleted
		conflicts += t.Conflicts
	}
	equal := "proof: equal"
	switch {
	case r.Verified:
	case !done && !slices.ContainsFunc(r.Migrations, func(m migrate.MigrationResult) bool { return !m.Verified }):
		equal = "proof: equal, as far as it came"
	default:
		w.line("%s", w.bold("proof: NOT equal to what was before"))
		for _, l := range r.Warnings {
			w.line("  %s", l)
		}
		return
	}
	text := fmt.Sprintf("%s written", number(written, "row", "rows"))
	if conflicts > 0 {
		text += fmt.Sprintf(", %s listed", number(conflicts, "conflict", "conflicts"))
	}
	compared := "every captured row was compared in its place by checksum"
	if kept > 0 {
		compared = "what was kept aside took its place again unread; every other captured row was compared in its place by checksum"
	}
	w.line("%s: %s; %s, and the schema with the one recorded before", w.bold(equal), text, compared)
}

// wording says what becomes of conflicts.
type wording struct {
	by      map[snapshot.Policy]string
	removed string // by Down, as the application left it
}

// Of what is done, and of what is to come or of a restore.
var (
	conflictsDone = wording{map[snapshot.Policy]string{
		snapshot.Keep:    "the application's value was kept",
		snapshot.Restore: "the captured value was put back",
		snapshot.Fail:    "refused",
	}, "as the application left it, it was captured before (dbrollback snapshot list)"}
	conflictsAhead = wording{map[snapshot.Policy]string{
		snapshot.Keep:    "stays as it is",
		snapshot.Restore: "the captured value takes its place",
		snapshot.Fail:    "is refused",
	}, "as the application left it, it is captured before"}
)

// alikeShown is how many conflicts of the same kind, about the same columns of a table, are named one by one.
const alikeShown = 10

// conflictLines has a line a conflict, in the words for what becomes of it. Of many that are alike the first ones are named, and the rest is one line. Those that are about nothing but when
// rows were written last, which may be as many as the application has used since, come at the end, a line for all of a table.
func conflictLines(cs []snapshot.Conflict, words wording) []string {
	var out []string
	type alike struct {
		of, how string
		stamp   bool
	}
	times := map[alike]int64{}
	var folded []alike
	for _, c := range cs {
		columns, how := "", c.Reason
		if len(c.Columns) > 0 {
			columns = " (" + strings.Join(c.Columns, ", ") + ")"
		}
		if c.Resolved != "" {
			how += "; " + orElse(words.by[c.Resolved], string(c.Resolved))
			if c.Resolved == snapshot.Keep && c.Reason == snapshot.RemovedByDown {
				how = c.Reason + "; " + words.removed
			}
		}
		k := alike{c.Table + columns, how, c.Stamp}
		times[k]++
		switch {
		case c.Stamp && times[k] == 1 || !c.Stamp && times[k] == alikeShown+1:
			folded = append(folded, k)
		case !c.Stamp && times[k] <= alikeShown:
			out = append(out, c.Table+" "+c.Key+columns+": "+how)
		}
	}
	for _, k := range folded {
		if !k.stamp {
			out = append(out, fmt.Sprintf("%s, %s: %s", k.of, number(times[k]-alikeShown, "more row", "more rows"), k.how))
			continue
		}
		rows := number(times[k], "row", "rows")
		if times[k] >= snapshot.MaxConflicts { // not all are listed
			rows = "at least " + rows
		}
		out = append(out, fmt.Sprintf("%s, when rows were written last, of %s: %s", k.of, rows, k.how))
	}
	return out
}

func writeConflicts(w *page, r *migrate.Result, held []string) {
	var total int64
	for _, t := range r.Tables {
		total += t.Conflicts
	}
	total = max(total, int64(len(r.Conflicts)))
	if total == 0 {
		return
	}
	w.line("")
	w.line("%s: rows that the migration and the application both wrote", w.bold(number(total, "conflict", "conflicts")))
	kept := false
	for _, l := range conflictLines(r.Conflicts, conflictsDone) {
		w.line("  %s", l)
	}
	for _, c := range r.Conflicts {
		kept = kept || c.Resolved == snapshot.Keep
	}
	if more := total - int64(len(r.Conflicts)); more > 0 {
		w.line("  … and %s more", count(more))
	}
	if !kept {
		w.line("  What the application had written there was captured before: dbrollback snapshot list.")
		return
	}
	w.line("  The captured values are not lost. They are in:")
	if len(held) == 0 {
		held = []string{"the tables that dbrollback snapshot list, then snapshot show ID, name"}
	}
	for _, l := range held {
		w.line("    %s", l)
	}
	if r.Direction != migrate.Down {
		return
	}
	w.line("  This rollback is done: typed again it would undo the migration before. Who wins is said with it: --on-conflict keep, restore or fail.")
}

func writeNotUndone(w *page, lines []string, title string) {
	if len(lines) == 0 {
		return
	}
	w.line("")
	w.line("%s", w.bold(title))
	for _, l := range lines {
		w.line("  %s", l)
	}
}
