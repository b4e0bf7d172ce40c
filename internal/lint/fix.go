package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Fixed is a migration's file with what its Down lacked.
type Fixed struct {
	File string
	Text string
	Left []Diagnostic // what is still found about undoing it

	Drafted string // what Down lacked
	Top     bool   // it belongs at the top of the Down that is there, not at its end
}

// Fix writes missing Down sections and missing statements of Down, for the findings that neither configuration nor
// annotations take away. parse reads the text of a file anew: a fix is kept only when the fixed migration is judged
// better than before. Nothing is written anywhere.
func Fix(migrations []*Migration, o Options, parse func(m *Migration, text string) (*Migration, error)) ([]Fixed, error) {
	var out []Fixed
	model := NewModel(o.Engine)
	all := newSequence(migrations)
	for _, m := range migrations {
		p := newPass(m, model, o)
		p.all = all
		p.play()
		if !m.Skip {
			p.judge()
			f, err := p.fix(parse)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.File, err)
			}
			if f != nil {
				out = append(out, *f)
			}
		}
		model.commit(p.After)
	}
	return out, nil
}

// undoing are the rules that a drafted Down is judged by.
func undoing(d Diagnostic) bool {
	return d.Code == "RV001" || d.Code == "RV002" && d.Severity == Error || d.Code == "RV003" || d.Code == "RV006" || d.Code == "RV008"
}

func (p *Pass) fix(parse func(*Migration, string) (*Migration, error)) (*Fixed, error) {
	found := slices.DeleteFunc(p.found(), func(d Diagnostic) bool { return !undoing(d) })
	if !slices.ContainsFunc(found, func(d Diagnostic) bool { return d.Code == "RV001" || d.Code == "RV002" || d.Code == "RV006" }) {
		return nil, nil
	}
	missing := slices.DeleteFunc(slices.Clone(p.changes), func(c change) bool { return c.verdict > changed || p.addedValue(c) && len(c.undo) == 0 })
	if len(p.Migration.Down) == 0 {
		missing = append(missing, p.more...)
	}
	drafted := draft(missing, p.Before, p.After)
	if len(p.changes) == 0 && len(p.Migration.Down) == 0 && onlyCaptured(p.Migration.Up) {
		drafted = "-- Nothing to write: the rows that Up changes are captured and come back by themselves.\nSELECT 1;\n"
	}
	if !drafts(drafted) {
		return nil, nil
	}
	var best *Fixed
	for i, text := range place(p.Migration.Text, drafted) {
		m, err := parse(p.Migration, text)
		if err != nil {
			return nil, err
		}
		again := newPass(m, p.Before, p.options)
		again.all = p.all
		again.play()
		again.judge()
		left := slices.DeleteFunc(again.found(), func(d Diagnostic) bool { return !undoing(d) })
		if len(left) < len(found) && (best == nil || len(left) < len(best.Left)) {
			best = &Fixed{File: p.Migration.File, Text: text, Left: left, Drafted: drafted, Top: i == 0}
		}
	}
	return best, nil
}

// drafts says whether a draft holds a statement, not comments alone.
func drafts(text string) bool {
	return slices.ContainsFunc(strings.Split(text, "\n"), func(l string) bool { return l != "" && !strings.HasPrefix(l, "--") })
}

var downMark = regexp.MustCompile(`(?mi)^--\s*\+goose\s+Down\b[^\n]*$`)

// place puts a draft into a file: a section of its own, or at the beginning or the end of the one there is.
func place(text, drafted string) []string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	at := downMark.FindStringIndex(text)
	if at == nil {
		return []string{text + "\n-- +goose Down\n" + drafted}
	}
	head, body := text[:at[1]]+"\n", strings.TrimPrefix(text[at[1]:], "\n")
	return []string{head + drafted + body, head + body + drafted}
}
