package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// A trigger cannot be replaced: it is dropped and made, and each of the two commits. A program that dies in between must not leave the
// application without its trigger, not even until it is run again. So a spare is made first, in the same place of the order: it
// does what the trigger does for as long as the server knows no trigger of that name, and holds all that making it again takes.

// mysqlSpares finds spares in information_schema.triggers.
const mysqlSpares = `trigger_name LIKE 'dbrollback\_spare\_%'`

// mysqlSpared finds, in the body of a spare, how its CREATE statement spelled the name of the trigger.
var mysqlSpared = regexp.MustCompile(`^IF @dbrollback_quiet IS NULL AND NOT EXISTS \(SELECT 1 FROM information_schema\.triggers WHERE [^()]*\([^()]*\)[^()]*\([^()]*\)\) THEN /\* dbrollback: in place of ([0-9A-F]+) \*/ `)

// spare gives the name of the spare of a trigger, and the statement that makes it; "" when the trigger's own cannot be read.
func (d mysqlDialect) spare(schema string, g mysqlTrigger) (name, text string) {
	inner, _ := unquiet(g.text)
	from, to := mysqlTriggerName(inner)
	row, body := mysqlRow(inner)
	if from < 0 || body < 0 {
		return "", ""
	}
	sum := sha256.Sum256([]byte(g.name))
	name = "dbrollback_spare_" + hex.EncodeToString(sum[:12])
	literal := func(s string) string { return fmt.Sprintf("CONVERT(0x%X USING utf8mb4)", s) }
	return name, inner[:from] + d.of(schema, name) + inner[to:row] + " PRECEDES " + d.s.q(g.name) +
		" IF @dbrollback_quiet IS NULL AND NOT EXISTS (SELECT 1 FROM information_schema.triggers WHERE trigger_schema = " + literal(schema) + " AND trigger_name = " + literal(g.name) +
		fmt.Sprintf(") THEN /* dbrollback: in place of %X */ ", inner[from:to]) + inner[body:] + quietClose
}

// remake exchanges a trigger for one with another text, under the settings that it was made under.
func (d mysqlDialect) remake(ctx context.Context, c engine.Querier, schema string, g mysqlTrigger, text string) error {
	spare, standIn := d.spare(schema, g)
	if spare == "" {
		return fmt.Errorf("trigger %s: its definition is not understood, so it is left alone", g.name)
	}
	if err := d.under(ctx, c, g, standIn, standIn); err != nil {
		return err
	}
	if err := d.under(ctx, c, g, "", "DROP TRIGGER "+d.of(schema, g.name)); err != nil {
		return errors.Join(err, d.under(ctx, c, g, "", "DROP TRIGGER "+d.of(schema, spare)))
	}
	return d.instead(ctx, c, schema, g, spare, text)
}

// instead makes a trigger in the place of its spare, which then goes.
func (d mysqlDialect) instead(ctx context.Context, c engine.Querier, schema string, g mysqlTrigger, spare, text string) error {
	row, body := mysqlRow(text)
	if err := d.under(ctx, c, g, text, text[:row]+" FOLLOWS "+d.s.q(spare)+" "+text[body:]); err != nil {
		return err // the spare goes on, and Mend tries again
	}
	return d.under(ctx, c, g, "", "DROP TRIGGER "+d.of(schema, spare))
}

// unspare ends what a run that was cut off had begun: the trigger is there, or is made from its spare.
func (d mysqlDialect) unspare(ctx context.Context, c engine.Querier, schema string, spare mysqlTrigger, all []mysqlTrigger) error {
	from, to := mysqlTriggerName(spare.text)
	row, body := mysqlRow(spare.text)
	if from < 0 || body < 0 {
		return fmt.Errorf("trigger %s is not as this program made it", spare.name)
	}
	m := mysqlSpared.FindStringSubmatch(spare.text[body:])
	if m == nil || !strings.HasSuffix(spare.text, quietClose) {
		return fmt.Errorf("trigger %s is not as this program made it", spare.name)
	}
	spelled, err := hex.DecodeString(m[1])
	if err != nil {
		return fmt.Errorf("trigger %s: %w", spare.name, err)
	}
	text := spare.text[:from] + string(spelled) + spare.text[to:row] + " " + strings.TrimSuffix(spare.text[body+len(m[0]):], quietClose)
	if slices.ContainsFunc(all, func(g mysqlTrigger) bool { name, _ := d.spare(schema, g); return name == spare.name }) {
		return d.under(ctx, c, spare, "", "DROP TRIGGER "+d.of(schema, spare.name))
	}
	return d.instead(ctx, c, schema, spare, spare.name, text)
}

// under runs a statement under the settings that a trigger with that text was made under.
func (d mysqlDialect) under(ctx context.Context, c engine.Querier, g mysqlTrigger, text, query string) error {
	charset := "utf8mb4"
	if !strings.ContainsFunc(text, func(r rune) bool { return r > 0x7f }) {
		charset = g.charset // what has nothing but ASCII is the same in each
	}
	for _, query := range []string{fmt.Sprintf("SET SESSION sql_mode = '%s', SESSION character_set_client = %s, SESSION collation_connection = %s", g.mode, charset, g.collation), query} {
		if _, err := c.ExecContext(ctx, query); err != nil {
			return fmt.Errorf("trigger %s: %w", g.name, err)
		}
	}
	return nil
}

// mysqlBody is where the body of a trigger begins in its CREATE statement; -1 when that cannot be told.
func mysqlBody(text string) int {
	_, body := mysqlRow(text)
	return body
}

// mysqlTriggerName is where the name stands in the CREATE statement of a trigger, with that of its database; -1 when that cannot be told.
func mysqlTriggerName(text string) (from, to int) {
	words := mysqlWords(text)
	for i := range words {
		if !words[i].is("TRIGGER") {
			continue
		}
		i++
		if i+3 < len(words) && words[i].is("IF") && words[i+1].is("NOT") && words[i+2].is("EXISTS") {
			i += 3
		}
		if i+2 < len(words) && words[i+1].is(".") {
			return words[i].start, words[i+2].end
		}
		if i < len(words) {
			return words[i].start, words[i].end
		}
	}
	return -1, -1
}

// mysqlRow is where FOR EACH ROW ends in the CREATE statement of a trigger, and where its body begins, after FOLLOWS or PRECEDES; -1 when
// that cannot be told.
func mysqlRow(text string) (row, body int) {
	words := mysqlWords(text)
	for i := 0; i+3 < len(words); i++ {
		if !words[i].is("FOR") || !words[i+1].is("EACH") || !words[i+2].is("ROW") {
			continue
		}
		row = words[i+2].end
		i += 3
		if (words[i].is("FOLLOWS") || words[i].is("PRECEDES")) && i+2 < len(words) {
			i += 2
		}
		return row, words[i].start
	}
	return -1, -1
}

// mysqlWord is a word, a quoted name or a single sign of a statement; comments are left out.
type mysqlWord struct {
	text       string
	start, end int
	quoted     bool
}

func (w mysqlWord) is(keyword string) bool { return !w.quoted && strings.EqualFold(w.text, keyword) }

func mysqlWords(text string) []mysqlWord {
	var out []mysqlWord
	letter := func(c byte) bool {
		return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
	}
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '\'' || c == '"' || c == '`':
			end := i + 1
			for end < len(text) {
				if text[end] == '\\' && c != '`' {
					end += 2
					continue
				}
				if text[end] == c {
					if end+1 < len(text) && text[end+1] == c {
						end += 2
						continue
					}
					break
				}
				end++
			}
			end = min(end+1, len(text))
			if c != '\'' { // a text or, under ANSI_QUOTES, a name
				out = append(out, mysqlWord{strings.ReplaceAll(strings.Trim(text[i:end], string(c)), string([]byte{c, c}), string(c)), i, end, true})
			} else {
				out = append(out, mysqlWord{"'", i, end, true})
			}
			i = end
		case c == '#' || strings.HasPrefix(text[i:], "-- ") || strings.HasPrefix(text[i:], "--\n"):
			end := strings.IndexByte(text[i:], '\n')
			if end < 0 {
				return out
			}
			i += end
		case strings.HasPrefix(text[i:], "/*") && !strings.HasPrefix(text[i:], "/*!") && !strings.HasPrefix(text[i:], "/*M!"):
			end := strings.Index(text[i+2:], "*/")
			if end < 0 {
				return out
			}
			i += end + 4
		case letter(c):
			end := i
			for end < len(text) && letter(text[end]) {
				end++
			}
			out = append(out, mysqlWord{text[i:end], i, end, false})
			i = end
		default:
			out = append(out, mysqlWord{text[i : i+1], i, i + 1, false})
			i++
		}
	}
	return out
}
