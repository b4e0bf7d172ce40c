package verify

import (
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// class is a family of types whose values are written alike.
type class string

const (
	integers  class = "integer"
	numerics  class = "numeric"
	floats    class = "float"
	booleans  class = "boolean"
	strs      class = "text"
	bytess    class = "bytes"
	dates     class = "date"
	times     class = "time"
	moments   class = "timestamp"
	stamps    class = "stamp" // MySQL's TIMESTAMP, which ends in 2038
	years     class = "year"
	shapes    class = "geometry"
	intervals class = "interval"
	uuids     class = "uuid"
	jsons     class = "json"
	xmls      class = "xml"
	addresses class = "inet"
	networks  class = "cidr"
	macs      class = "macaddr"
	bits      class = "bit"
	enums     class = "enum"
	arrays    class = "array"
	ranges    class = "range"
	others    class = "other"
)

// readsLike is the class of a type by its name, "" when texts need not look like anything to be read as it.
func readsLike(name string) class {
	for _, k := range []struct {
		prefix string
		class  class
	}{
		{"int", integers}, {"bigint", integers}, {"smallint", integers}, {"numeric", numerics}, {"decimal", numerics}, {"real", floats},
		{"double", floats}, {"float", floats}, {"bool", booleans}, {"uuid", uuids}, {"json", jsons}, {"timestamp", moments}, {"datetime", moments},
		{"date", dates}, {"inet", addresses}, {"cidr", networks}, {"interval", intervals},
	} {
		if strings.HasPrefix(strings.TrimPrefix(strings.ToLower(name), "pg_catalog."), k.prefix) {
			return k.class
		}
	}
	return ""
}

// firstKey is where generated keys begin: high enough not to meet those that migrations write themselves.
const firstKey = 1_000_001

// make gives the value of the column in row i. The edges of what the type holds are among the first rows, unless
// tame; a unique column has as many values as there are rows. Other variations are other draws.
func (c *fillColumn) make(i, variation int, tame bool) any {
	if len(c.bounds) > 0 {
		return c.bounds[(i+variation)%len(c.bounds)]
	}
	if c.integerKey {
		return int64(firstKey + i)
	}
	if c.unique {
		if v := c.distinct(i + variation*1000); v != nil {
			return v
		}
	}
	values := c.candidates(tame)
	if len(values) == 0 {
		return nil
	}
	if variation == 0 {
		return values[i%len(values)]
	}
	return values[seed(c.Name, i, variation)%uint64(len(values))]
}

// distinct is a value that no other number gives; nil when the type has too few.
func (c *fillColumn) distinct(i int) any {
	switch c.class {
	case integers:
		switch c.size {
		case 1:
			return int64(1 + i%120)
		case 2:
			return int64(20_001 + i%12_000)
		default:
			return int64(firstKey + i)
		}
	case numerics:
		whole := int64(firstKey + i)
		if digits := c.size - c.scale; c.size > 0 && digits < 7 {
			whole = int64(i) % int64(math.Pow10(max(digits, 0)))
		}
		return strconv.FormatInt(whole, 10)
	case floats:
		return float64(firstKey + i)
	case strs, others:
		if c.as != "" {
			as := *c
			as.class, as.as, as.size = c.as, "", 0
			return as.distinct(i)
		}
		for _, h := range c.hints { // a pattern that the value must match
			if s, ok := sample(h, i); ok {
				return s
			}
		}
		if len(c.hints) > 1 {
			return nil // a list of what is allowed
		}
		text := strconv.FormatInt(int64(i), 36)
		if c.size == 0 || c.size >= 14 {
			return fmt.Sprintf("row-%d", firstKey+i)
		}
		return text[max(0, len(text)-c.size):]
	case uuids:
		return fmt.Sprintf("00000000-0000-4000-8000-%012x", firstKey+i)
	case dates:
		return time.Date(2020, 1, 1+i, 0, 0, 0, 0, time.UTC).Format("2006-01-02")
	case moments, stamps:
		return time.Date(2020, 1, 1, 0, 0, i, 0, time.UTC).Format("2006-01-02 15:04:05")
	case years:
		return strconv.Itoa(1901 + i%250)
	case bytess:
		b := fmt.Appendf(nil, "row-%012d", i)
		if c.size > 0 && c.size < len(b) {
			b = b[len(b)-c.size:]
		}
		return b
	case addresses:
		return fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255)
	case networks:
		return fmt.Sprintf("10.%d.%d.%d/32", i>>16&255, i>>8&255, i&255)
	case macs:
		return fmt.Sprintf("08:00:%02x:%02x:%02x:%02x", i>>24&255, i>>16&255, i>>8&255, i&255)
	case jsons:
		return fmt.Sprintf(`{"row":%d}`, i)
	case ranges:
		return fmt.Sprintf("[%d,%d)", 10*i, 10*i+5)
	case arrays:
		if v := c.element.distinct(i); v != nil {
			return array(v)
		}
	}
	return nil
}

// candidates are the values of a column from which rows are drawn.
func (c *fillColumn) candidates(tame bool) []any {
	if len(c.labels) > 0 {
		return list(c.labels)
	}
	var out []any
	if c.class == strs || c.class == others {
		for _, h := range c.hints {
			if s, ok := sample(h, 0); ok {
				out = append(out, s)
			}
			out = append(out, h)
		}
	}
	if len(out) > 0 && len(c.hints) > 1 {
		return fitting(out, c.size) // a list of what is allowed
	}
	switch c.class {
	case integers, numerics, floats:
		out = c.numeric(tame)
	case booleans:
		out = []any{true, false}
	case strs:
		out = append(out, c.texts(tame)...)
	case bytess:
		for _, b := range [][]byte{[]byte("bytes"), []byte("{}"), {0, 1, 0xff}, {}} {
			if c.size > 0 && len(b) > c.size {
				b = b[:c.size]
			}
			out = append(out, b)
		}
	case dates:
		out = list([]string{"2024-02-29", "2001-01-01", "1969-12-31", "9999-12-31"})
	case times:
		out = list([]string{"12:34:56", "00:00:00", "23:59:59"})
	case moments:
		out = list([]string{"2024-02-29 12:34:56", "2001-01-01 00:00:00", "1969-12-31 23:59:59.5", "2037-12-31 23:59:59"})
	case stamps:
		out = list([]string{"2024-02-29 12:34:56", "2001-01-01 00:00:00", "1970-01-02 00:00:01", "2037-12-31 23:59:59"})
	case years:
		out = list([]string{"2024", "1999", "1901", "2155"})
	case shapes:
		if len(c.hints) > 0 {
			return list(c.hints)
		}
		out = list([]string{"POINT(1 2)", "LINESTRING(0 0,1 1)", "POLYGON((0 0,1 0,1 1,0 0))"})
	case intervals:
		out = list([]string{"1 day", "00:00:01", "1 mon", "-2 days"})
	case uuids:
		out = list([]string{"00000000-0000-4000-8000-00000000000a", "ffffffff-ffff-4fff-bfff-ffffffffffff"})
	case jsons:
		// Programs keep objects in their JSON: a lone number or text would only show what nobody does.
		out = list([]string{`{"a": 1, "b": [true, null, "x"]}`, `{}`, `{"b": {"c": "Grüße"}}`})
	case xmls:
		out = list([]string{"<a>1</a>", "<a/>"})
	case addresses:
		out = list([]string{"10.0.0.1", "::1", "192.168.0.0/24"})
	case networks:
		out = list([]string{"10.0.0.0/8", "192.168.1.0/24"})
	case macs:
		out = list([]string{"08:00:2b:01:02:03"})
	case bits:
		out = list([]string{strings.Repeat("10", max(1, c.size))[:max(1, c.size)], strings.Repeat("0", max(1, c.size))})
	case arrays:
		for _, v := range c.element.candidates(tame)[:min(2, len(c.element.candidates(tame)))] {
			out = append(out, array(v))
		}
		out = append(out, "{}")
	case ranges:
		out = list([]string{"[1,5)", "empty", "[2020-01-01,2021-01-01)"})
	default:
		out = append(out, list([]string{"a", "1", "{}", "(0,0)", "0", ""})...)
	}
	return out
}

// numeric are numbers that fit, those that checks mention and their neighbours first.
func (c *fillColumn) numeric(tame bool) []any {
	var whole []int64
	for _, n := range c.numbers {
		whole = append(whole, n, n+1, n-1)
	}
	whole = append(whole, 7, 1, 42, 3)
	if !tame {
		whole = append(whole, 0, -1)
		if c.class == integers && len(c.numbers) == 0 {
			switch c.size {
			case 1:
				whole = append(whole, math.MaxInt8, math.MinInt8)
			case 2:
				whole = append(whole, math.MaxInt16, math.MinInt16)
			case 4:
				whole = append(whole, math.MaxInt32, math.MinInt32)
			case 8:
				whole = append(whole, math.MaxInt64, math.MinInt64)
			}
		}
	}
	var out []any
	for _, n := range whole {
		switch {
		case c.unsigned && n < 0:
		case c.class == integers:
			out = append(out, n)
		case c.class == floats:
			out = append(out, float64(n))
		case c.size == 0 || math.Abs(float64(n)) < math.Pow10(c.size-c.scale):
			out = append(out, strconv.FormatInt(n, 10))
		}
	}
	switch {
	case c.class == floats && !tame:
		out = append(out, 0.1, 123456.789)
		if !c.unsigned {
			out = append(out, -2.5e-7)
		}
	case c.class == numerics && c.size == 0 && !tame:
		out = append(out, "0.10", "-12345678901234567890.5")
	case c.class == numerics && c.scale > 0:
		out = append(out, "0."+strings.Repeat("0", c.scale-1)+"5")
	}
	return out
}

// texts are words of which some please most checks: e-mail addresses, names, codes, dates, colours …
func (c *fillColumn) texts(tame bool) []any {
	if c.as != "" {
		as := *c
		as.class, as.as, as.size = c.as, "", 0
		var out []any
		for _, v := range as.candidates(true) {
			out = append(out, asText(v))
		}
		return out
	}
	var out []string
	for _, n := range c.numbers { // of a length
		for _, l := range []int64{n, n - 1, n + 1} {
			if l > 0 && l <= 4096 {
				out = append(out, strings.Repeat("a", int(l)))
			}
		}
	}
	out = append(out, "word", "Two words", "a@example.org", "https://example.org/x", "EUR", "de", "1", "2024-02-29", "#a0b1c2", "00000000-0000-4000-8000-00000000000a",
		"+4912345678", "10.0.0.1", "{}", "slug-1", "ABC", "0")
	if !tame {
		out = append(out, "", "O'Brien \"x\" \\ %", "Grüße, 世界 🙂", " blank ", "line\nline\ttab", strings.Repeat("long ", 60))
	}
	if c.ascii {
		out = slices.DeleteFunc(out, func(s string) bool { return strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) })
	}
	return fitting(list(out), c.size)
}

// fitting cuts texts to a size, and leaves out what is then there twice.
func fitting(values []any, size int) []any {
	var out []any
	for _, v := range values {
		if s, ok := v.(string); ok && size > 0 && utf8.RuneCountInString(s) > size {
			v = string([]rune(s)[:size])
		}
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

func list(values []string) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}

// array writes an array of one element and of a NULL.
func array(v any) any {
	return `{"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(asText(v)) + `"}`
}

// asText writes a value as servers read it.
func asText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return fmt.Sprintf("\\x%x", v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	default:
		return fmt.Sprint(v)
	}
}

var (
	quoted  = regexp.MustCompile(`'((?:[^']|'')*)'`)
	number  = regexp.MustCompile(`(?:^|[^\w.'])\(?(-?\d{1,15})\b`)
	pattern = regexp.MustCompile(`[\^$\[\]*+?\\|{}()]`)
)

// read takes the literals out of a check's text.
func (c *fillColumn) read(check string) {
	for _, m := range quoted.FindAllStringSubmatch(check, -1) {
		text := strings.ReplaceAll(m[1], "''", "'")
		c.hints = append(c.hints, text)
		if n, err := strconv.ParseInt(text, 10, 64); err == nil { // '-1'::integer
			c.numbers = append(c.numbers, n)
		}
	}
	for _, m := range number.FindAllStringSubmatch(quoted.ReplaceAllString(check, "''"), -1) {
		if n, err := strconv.ParseInt(m[1], 10, 64); err == nil {
			c.numbers = append(c.numbers, n)
		}
	}
}

// sample makes a text that a pattern matches, the i-th of as many as the pattern easily has.
func sample(expr string, i int) (string, bool) {
	if !pattern.MatchString(expr) || len(expr) > 200 {
		return "", false
	}
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return "", false
	}
	g := &sampler{n: i}
	var b strings.Builder
	g.write(&b, re.Simplify())
	out := b.String()
	if matcher, err := regexp.Compile(expr); err != nil || !matcher.MatchString(out) {
		return "", false
	}
	return out, true
}

// sampler walks a pattern; n is used up by the choices that it finds.
type sampler struct{ n int }

func (g *sampler) choose(of int) int {
	if of <= 1 {
		return 0
	}
	k := g.n % of
	g.n /= of
	return k
}

func (g *sampler) write(b *strings.Builder, re *syntax.Regexp) {
	switch re.Op {
	case syntax.OpLiteral:
		b.WriteString(string(re.Rune))
	case syntax.OpCharClass:
		b.WriteRune(g.class(re.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte("abcdefghijklmnopqrstuvwxyz"[g.choose(26)])
	case syntax.OpCapture, syntax.OpConcat:
		for _, s := range re.Sub {
			g.write(b, s)
		}
	case syntax.OpPlus, syntax.OpStar:
		times := 1
		if g.n > 0 {
			times = 4
		}
		for range times {
			g.write(b, re.Sub[0])
		}
	case syntax.OpQuest:
	case syntax.OpRepeat:
		for range max(re.Min, min(1, re.Max)) {
			g.write(b, re.Sub[0])
		}
	case syntax.OpAlternate:
		g.write(b, re.Sub[g.choose(len(re.Sub))])
	}
}

// class picks a character of a class, letters and digits before others.
func (g *sampler) class(ranges []rune) rune {
	var some []rune
	for i := 0; i+1 < len(ranges); i += 2 {
		for r := max(ranges[i], ' '); r <= ranges[i+1] && r < 127; r++ {
			some = append(some, r)
		}
	}
	var plain []rune
	for _, r := range some {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' {
			plain = append(plain, r)
		}
	}
	switch {
	case len(plain) > 0:
		return plain[g.choose(len(plain))]
	case len(some) > 0:
		return some[g.choose(len(some))]
	case len(ranges) > 0:
		return ranges[0]
	}
	return 'a'
}
