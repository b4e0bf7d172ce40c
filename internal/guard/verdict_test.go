package guard

import (
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)

// A word a round: h healthy, f failed, u unknown; two letters are two probes, a and b.
func findings(word string) []Finding {
	states := map[byte]State{'h': Healthy, 'f': Failed, 'u': Unknown}
	var out []Finding
	for i := range len(word) {
		out = append(out, Finding{Probe: string(rune('a' + i)), State: states[word[i]], Reason: "because"})
	}
	return out
}

func TestJudge(t *testing.T) {
	p := Policy{Threshold: 3, Interval: 10 * time.Second, For: time.Minute, Timeout: time.Second} // rounds at 0, 10, … 60 seconds
	graceful := p
	graceful.Grace = 25 * time.Second // the rounds at 0, 10 and 20 do not count
	for _, c := range []struct {
		name   string
		policy Policy
		rounds string
		want   Verdict
		after  int // rounds until the verdict
	}{
		{"well to the end", p, "h h h h h h h", Well, 7},
		{"three in a row", p, "h f f f", RollBack, 4},
		{"at once", p, "f f f", RollBack, 3},
		{"flapping", p, "f f h f f h h", Well, 7},
		{"flapping to the end of the watch, then well", p, "f f h f f h f h", Well, 8},
		{"a failure under way when the time is over", p, "h h h h h f f f", RollBack, 8},
		{"unknown counts neither way", p, "f u f u u f", RollBack, 6},
		{"unknown does not count as failure", p, "h u u u u u u", Well, 7},
		{"healthy after unknown ends the row", p, "f f u h f f h", Well, 7},
		{"never anything", p, "u u u u u u u", Blind, 7},
		{"a failure that stays unknown for ever", p, "h h h h h f u u u u u u", Blind, 12},
		{"a failure that is unknown for a while", p, "h h h h h f u u u u u f f", RollBack, 13},
		{"the grace", graceful, "f f f h h h h", Well, 7},
		{"after the grace", graceful, "f f f f f f", RollBack, 6},
		{"one of two probes fails", p, "hh hf hf hf", RollBack, 4},
		{"different probes fail in turn", p, "fh hf fh", RollBack, 3},
		{"the failing probe cannot be asked, the other is well", p, "hf hu hf hu hf", RollBack, 5},
		{"another probe cannot be asked", p, "hf hf hh uh hf hh hh", Well, 7},
		{"one probe is never answered", p, "hu hu hu hu hu hu hu", Well, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := Progress{Since: start}
			verdict, n := Continue, 0
			for i, word := range strings.Fields(c.rounds) {
				if verdict != Continue {
					t.Fatalf("%s after %d rounds", verdict, n)
				}
				seen, verdict = c.policy.Judge(seen, start.Add(time.Duration(i)*c.policy.Interval), findings(word))
				n++
			}
			if verdict != c.want || n != c.after {
				t.Errorf("%s after %d rounds, want %s after %d: %+v", verdict, n, c.want, c.after, seen)
			}
			if verdict == RollBack && !strings.Contains(c.policy.Why(seen), "3 consecutive failed checks: ") {
				t.Errorf("why: %s", c.policy.Why(seen))
			}
			if seen.Rounds != n || seen.Healthy+seen.Failed+seen.Unknown != n {
				t.Errorf("counts: %+v", seen)
			}
		})
	}
}

func TestPolicyValidate(t *testing.T) {
	good := Policy{Threshold: 1, Interval: time.Second, For: time.Minute, Timeout: time.Second}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Policy){
		"threshold": func(p *Policy) { p.Threshold = 0 }, "interval": func(p *Policy) { p.Interval = 0 }, "timeout": func(p *Policy) { p.Timeout = 0 },
		"for": func(p *Policy) { p.For = 0 }, "grace": func(p *Policy) { p.Grace = p.For }, "negative grace": func(p *Policy) { p.Grace = -1 },
	} {
		p := good
		change(&p)
		if p.Validate() == nil {
			t.Errorf("%s: %+v is accepted", name, p)
		}
	}
}
