package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// parseMoment reads a moment of the past: RFC 3339 with its zone, or "10m ago". Without a zone a time has two readings, an hour or
// more apart: none of them is guessed.
func parseMoment(flag, text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	if span, ok := strings.CutSuffix(text, "ago"); ok {
		d, err := parseDuration(strings.ReplaceAll(strings.TrimSpace(span), " ", ""))
		if err != nil {
			return time.Time{}, &usageError{message: fmt.Sprintf("--%s: %v", flag, err), hint: fmt.Sprintf("--%s \"10m ago\", --%s \"2h30m ago\"", flag, flag)}
		}
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			if t.After(now) {
				return t, &usageError{message: fmt.Sprintf("--%s %s is in the future", flag, text), hint: "it is " + now.UTC().Format(time.RFC3339) + " now"}
			}
			return t, nil
		}
	}
	for _, layout := range []string{"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		utc, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		here, _ := time.ParseInLocation(layout, text, now.Location())
		return time.Time{}, &usageError{message: fmt.Sprintf("--%s %s has no time zone: it may be %s (UTC) or %s (the zone of this machine)", flag, text, utc.Format(time.RFC3339), here.Format("2006-01-02T15:04:05-07:00")),
			hint: fmt.Sprintf("--%s %s if you mean UTC", flag, utc.Format(time.RFC3339))}
	}
	return time.Time{}, &usageError{message: fmt.Sprintf("--%s %q is no time", flag, text), hint: fmt.Sprintf("write it like %s, or \"10m ago\"", now.UTC().Add(-time.Hour).Format(time.RFC3339))}
}

// parseNames reads names of tables, separated by commas; a name that has a comma or a dot in it is written in double quotes.
func parseNames(flag string, texts []string) ([]engine.Name, error) {
	var out []engine.Name
	for _, text := range texts {
		parts, err := splitQuoted(text)
		if err != nil {
			return nil, &usageError{message: fmt.Sprintf("--%s %s: %v", flag, text, err), hint: fmt.Sprintf(`--%s users, --%s public.users, --%s 'public."a.b"'`, flag, flag, flag)}
		}
		for _, p := range parts {
			switch len(p) {
			case 1:
				out = append(out, engine.Name{Name: p[0]})
			case 2:
				out = append(out, engine.Name{Schema: p[0], Name: p[1]})
			default:
				return nil, &usageError{message: fmt.Sprintf("--%s %s is no name of a table", flag, text), hint: fmt.Sprintf(`--%s users, --%s public.users, --%s 'public."a.b"'`, flag, flag, flag)}
			}
		}
	}
	return out, nil
}

// splitQuoted splits at commas and, within, at dots; not inside double quotes, in which two stand for one.
func splitQuoted(text string) ([][]string, error) {
	var out [][]string
	part, parts := strings.Builder{}, []string{}
	quoted, any := false, false
	end := func() error {
		p := part.String()
		if !any {
			p = strings.TrimSpace(p)
		}
		if p == "" {
			return fmt.Errorf("a name is empty")
		}
		parts = append(parts, p)
		part.Reset()
		any = false
		return nil
	}
	runes := []rune(text)
	for i := 0; i < len(runes); i++ {
		c := runes[i]
		switch {
		case quoted && c == '"' && i+1 < len(runes) && runes[i+1] == '"':
			part.WriteRune(c)
			i++
		case c == '"' && !quoted && (any || strings.TrimSpace(part.String()) != ""):
			return nil, fmt.Errorf("a name that holds a double quote stands in double quotes, and has two for it")
		case c == '"':
			quoted, any = !quoted, true
		case quoted || c != ',' && c != '.':
			part.WriteRune(c)
		default:
			if err := end(); err != nil {
				return nil, err
			}
			if c == ',' {
				out, parts = append(out, parts), []string{}
			}
		}
	}
	if quoted {
		return nil, fmt.Errorf("a double quote is not closed")
	}
	if err := end(); err != nil {
		return nil, err
	}
	return append(out, parts), nil
}
