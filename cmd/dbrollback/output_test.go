package main

import (
	"bytes"
	"strings"
	"testing"
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
