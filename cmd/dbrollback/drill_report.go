package main

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/dbrollback/dbrollback/internal/migrate"
)

// drillReport prints what was seen and decides on the exit code.
func (s *session) drillReport(r *migrate.DrillReport, o drillOptions) error {
	var err error
	switch format := o.Format; {
	case format == "json" || format == "" && s.JSON:
		s.out.json = true
		err = s.out.result(r, nil)
	case format == "junit":
		s.out.printed = true
		var text []byte
		if text, err = drillJUnit(r); err == nil {
			_, err = s.Out.Write(text)
		}
	default:
		s.out.json = false
		err = s.out.result(nil, func(w *page) { writeDrill(w, r) })
	}
	if err != nil || r.OK {
		return err
	}
	f := r.Failed()
	p := &refusedError{message: "the drill failed: " + f.Name, hint: "docs/drill.md; dbrollback verify shows what the Down of each migration lacks"}
	for _, x := range r.Phases {
		for _, d := range strings.Split(x.Error, "\n") {
			if d != "" {
				p.details = append(p.details, x.Name+": "+oneLine(d))
			}
		}
	}
	return p
}

func writeDrill(w *page, r *migrate.DrillReport) {
	place := "on a copy of"
	if r.Place == migrate.InPlace {
		place = "on"
	}
	outcome := "ok"
	if !r.OK {
		outcome = "FAILED"
	}
	w.line("drill %s %s: %s, in %s", place, describe(r.Target), w.bold(outcome), seconds(r.Seconds))
	rows := make([][]string, len(r.Phases))
	for i, p := range r.Phases {
		what := p.Detail
		if p.Error != "" {
			what = "FAILED: " + firstWords(strings.ReplaceAll(p.Error, "\n", "; "), 120)
		}
		rows[i] = []string{p.Name, seconds(p.Seconds), what}
	}
	w.table([]string{"phase", ">time", ""}, rows)
	writeHeld(w, r)
	if len(r.Migrations) > 0 {
		w.line("")
		rows = nil
		for _, m := range r.Migrations {
			up := ""
			if m.UpSeconds > 0 {
				up = seconds(m.UpSeconds)
			}
			locks := make([]string, len(m.Locks))
			for i, l := range m.Locks {
				locks[i] = l.Table + ": " + l.Mode
			}
			rows = append(rows, []string{m.File, up, seconds(m.RollbackSeconds), orElse(strings.Join(locks, ", "), "the database's one write lock, or none")})
		}
		w.table([]string{"migration", ">up", ">rollback", "locks of the rollback, at most for its time"}, rows)
	}
	if len(r.Tables) > 0 {
		w.line("")
		rows = nil
		for _, t := range r.Tables {
			equal := "equal"
			if !t.Equal {
				equal = "NOT EQUAL"
				if len(t.Columns) > 0 {
					equal += ": " + strings.Join(t.Columns, ", ")
				}
			}
			rows = append(rows, []string{t.Table, absent(t.Before), absent(t.Applied), absent(t.After), equal})
		}
		w.table([]string{"table", ">rows before", ">applied", ">after", "checksum"}, rows)
	}
	for _, l := range differences(r.Differences) {
		w.line("differs: %s", l)
	}
	if c := r.Recovery; c != nil {
		w.line("")
		w.line("recovery time to expect: %s (%s)", w.bold(seconds(c.Expected)), c.Basis)
		for _, t := range c.Tables {
			w.line("  %s: %s there, %s here", t.Table, number(t.Production, "row", "rows"), count(t.Rows))
		}
	}
}

// writeHeld lists the locks that were seen to be held.
func writeHeld(w *page, r *migrate.DrillReport) {
	var rows [][]string
	unknown := ""
	for _, p := range r.Phases {
		unknown = orElse(unknown, p.LocksUnknown)
		for _, l := range p.Locks {
			rows = append(rows, []string{p.Name, l.Table, l.Mode, seconds(l.Seconds)})
		}
	}
	switch {
	case len(rows) > 0:
		w.line("")
		w.table([]string{"held in", "table", "lock", ">seen for"}, rows)
	case unknown != "":
		w.line("locks that were held: not known, %s", unknown)
	}
}

// absent shows a table that was not there.
func absent(rows int64) string {
	if rows < 0 {
		return "-"
	}
	return count(rows)
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// drillJUnit makes a test case of each phase.
func drillJUnit(r *migrate.DrillReport) ([]byte, error) {
	s := junitSuite{Name: "dbrollback drill", Tests: len(r.Phases), Time: fmt.Sprintf("%.3f", r.Seconds)}
	for _, p := range r.Phases {
		c := junitCase{Name: p.Name, Class: "dbrollback.drill", Time: fmt.Sprintf("%.3f", p.Seconds), Out: p.Detail}
		for _, l := range p.Locks {
			c.Out += fmt.Sprintf("\nheld: %s: %s, seen for %s", l.Table, l.Mode, seconds(l.Seconds))
		}
		if p.Error != "" {
			s.Failures++
			c.Failure = &junitFailure{Message: firstWords(strings.ReplaceAll(p.Error, "\n", "; "), 200), Text: p.Error}
		}
		s.Cases = append(s.Cases, c)
	}
	text, err := xml.MarshalIndent(s, "", "  ")
	return append([]byte(xml.Header), append(text, '\n')...), err
}
