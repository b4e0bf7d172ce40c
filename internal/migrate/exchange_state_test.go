package migrate

import (
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// TestExchangeState: what the numbers tell of a statement that was cut off, also where one of the tables was made anew since; where both were it is not told.
func TestExchangeState(t *testing.T) {
	t.Parallel()
	s := &swap{Tables: [2]engine.Name{{Name: "parts"}, {Name: "one"}}, Numbers: [2][]string{{"11", "12"}, {"20"}}}
	for _, c := range []struct {
		name       string
		parts, one []string
		want       string
	}{
		{"as they were", []string{"11", "12"}, []string{"20"}, noEffect},
		{"exchanged", []string{"12", "20"}, []string{"11"}, tookEffect},
		{"exchanged, the one made anew", []string{"12", "20"}, []string{"31"}, tookEffect},
		{"exchanged, the parts made anew", []string{"32", "33"}, []string{"11"}, tookEffect},
		{"as they were, the one made anew", []string{"11", "12"}, []string{"31"}, noEffect},
		{"as they were, the parts made anew", []string{"32", "33"}, []string{"20"}, noEffect},
		{"all made anew", []string{"32", "33"}, []string{"31"}, unclear},
		{"not to be seen", nil, nil, unclear},
		{"only the one to be seen", nil, []string{"20"}, noEffect},
	} {
		if got := s.state([2][]string{c.parts, c.one}); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
