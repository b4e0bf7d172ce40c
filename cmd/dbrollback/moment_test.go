package main

import (
	"os/exec"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// TestNamesInHints: a name that a hint shows can be typed back in a shell, whatever is in it.
func TestNamesInHints(t *testing.T) {
	t.Parallel()
	for _, n := range []engine.Name{{Name: "users"}, {Schema: "public", Name: "Öl"}, {Schema: "a.b", Name: `x "y", $HOME`}, {Name: "it's `id`"}, {Schema: "s", Name: " two words "}, {Name: "-x"}, {Name: `"`}} {
		typed, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+n.Arg()).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseNames("table", []string{string(typed)}); err != nil || len(got) != 1 || got[0] != n {
			t.Errorf("%+v is shown as %s, which is %+v, %v", n, n.Arg(), got, err)
		}
	}
	for _, text := range []string{`Öl "x"`, `"a""`, `"a"b"`} {
		if got, err := parseNames("table", []string{text}); err == nil {
			t.Errorf("%s is read as %+v", text, got)
		}
	}
	if got := (engine.Name{Schema: "public", Name: "users"}).Arg(); got != "public.users" {
		t.Errorf("public.users is shown as %s", got)
	}
}
