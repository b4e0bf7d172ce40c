package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// TestPrintable: a name or a value commands no terminal, neither in a result nor in a message; what marks the text is left.
func TestPrintable(t *testing.T) {
	const name = "a\x1b]0;x\a\u009b2J\u202e"
	var out, note bytes.Buffer
	o := &output{out: &out, err: &note, colourOn: true, colour: true}
	if err := o.result(nil, func(w *page) {
		w.line("%s: %s", w.bold(name), name)
		w.table([]string{"name"}, [][]string{{name}})
	}); err != nil {
		t.Fatal(err)
	}
	const shown = "a␛]0;x␇\ufffd2J\ufffd"
	if want := "\x1b[1m" + shown + "\x1b[0m: " + shown + "\n  name\n  " + shown + "\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	o.warn("%s", name)
	o.fail(t.Context(), &refusedError{message: name, hint: name})
	if want := "warning: " + shown + "\n\x1b[31merror:\x1b[0m " + shown + "\nhint: " + shown + "\n"; note.String() != want {
		t.Errorf("got %q, want %q", note.String(), want)
	}
	note.Reset()
	p := &progress{out: o, w: &note}
	p.say("%s", name)
	if strings.ContainsAny(note.String(), "\x1b\a\u009b") {
		t.Errorf("%q", note.String())
	}
}

// TestManyConflictsAlike: of conflicts that are alike the first ten are named, and the rest is a line.
func TestManyConflictsAlike(t *testing.T) {
	t.Parallel()
	var cs []snapshot.Conflict
	for i := range 14 {
		cs = append(cs, snapshot.Conflict{Table: "visits", Key: fmt.Sprintf("id=%d", i), Columns: []string{"v", "note"}, Reason: "changed since", Resolved: snapshot.Keep},
			snapshot.Conflict{Table: "users", Key: fmt.Sprintf("id=%d", i), Columns: []string{"seen"}, Reason: "changed since", Resolved: snapshot.Keep, Stamp: true})
	}
	cs = append(cs, snapshot.Conflict{Table: "visits", Key: "id=99", Reason: "deleted since", Resolved: snapshot.Keep})
	got := conflictLines(cs, conflictsDone)
	kept := conflictsDone.by[snapshot.Keep]
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprintf("visits id=%d (v, note): changed since; %s", i, kept))
	}
	want = append(want, "visits id=99: deleted since; "+kept, "users (seen), when rows were written last, of 14 rows: changed since; "+kept, "visits (v, note), 4 more rows: changed since; "+kept)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
