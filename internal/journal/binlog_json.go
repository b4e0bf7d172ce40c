package journal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// expression is SQL that gives a value, with its arguments.
type expression struct {
	sql  string
	args []any
}

var errDocument = errors.New("a JSON document of the log cannot be read")

// The types of values in MySQL's binary form of JSON.
const (
	jsonSmallObject = iota
	jsonLargeObject
	jsonSmallArray
	jsonLargeArray
	jsonLiteral
	jsonInt16
	jsonUint16
	jsonInt32
	jsonUint32
	jsonInt64
	jsonUint64
	jsonDouble
	jsonString
	jsonOpaque = 15
)

// documented turns a JSON document from the form in which MySQL stores it into its text. Numbers that are DECIMAL, and dates and times, are
// values of their own in it which no text gives: a document that has some becomes an expression.
func documented(b []byte) (out any, err error) {
	defer func() {
		if recover() != nil { // it ended too early
			out, err = nil, errDocument
		}
	}()
	if len(b) == 0 {
		return "null", nil
	}
	n, err := jsonValue(b[0], b[1:])
	if err != nil {
		return nil, err
	}
	if !n.opaque {
		return n.text, nil
	}
	x := n.made()
	if n.items == nil && n.keys == nil {
		x.sql = "CAST(" + x.sql + " AS JSON)"
	}
	return x, nil
}

// jsonNode is a value within a document.
type jsonNode struct {
	text   string // unless it is opaque
	opaque bool   // it, or something in it, is a value that JSON's text does not give
	value  expression
	keys   []string
	items  []jsonNode
}

// made gives a value as SQL.
func (n jsonNode) made() expression {
	switch {
	case !n.opaque:
		return expression{"CAST(? AS JSON)", []any{n.text}}
	case n.items == nil:
		return n.value
	}
	var parts []string
	var args []any
	for i, item := range n.items {
		x := item.made()
		if n.keys != nil {
			parts, args = append(parts, "?"), append(args, n.keys[i])
		}
		parts, args = append(parts, x.sql), append(args, x.args...)
	}
	if n.keys != nil {
		return expression{"JSON_OBJECT(" + strings.Join(parts, ", ") + ")", args}
	}
	return expression{"JSON_ARRAY(" + strings.Join(parts, ", ") + ")", args}
}

func jsonValue(kind byte, b []byte) (jsonNode, error) {
	plain := func(s string) (jsonNode, error) { return jsonNode{text: s}, nil }
	le := binary.LittleEndian
	switch kind {
	case jsonSmallObject, jsonLargeObject, jsonSmallArray, jsonLargeArray:
		return jsonContainer(b, kind == jsonLargeObject || kind == jsonLargeArray, kind == jsonSmallObject || kind == jsonLargeObject)
	case jsonLiteral:
		if b[0] > 2 {
			return jsonNode{}, errDocument
		}
		return plain([]string{"null", "true", "false"}[b[0]])
	case jsonInt16:
		return plain(strconv.FormatInt(int64(int16(le.Uint16(b))), 10))
	case jsonUint16:
		return plain(strconv.FormatUint(uint64(le.Uint16(b)), 10))
	case jsonInt32:
		return plain(strconv.FormatInt(int64(int32(le.Uint32(b))), 10))
	case jsonUint32:
		return plain(strconv.FormatUint(uint64(le.Uint32(b)), 10))
	case jsonInt64:
		return plain(strconv.FormatInt(int64(le.Uint64(b)), 10))
	case jsonUint64:
		return plain(strconv.FormatUint(le.Uint64(b), 10))
	case jsonDouble:
		s := strconv.FormatFloat(math.Float64frombits(le.Uint64(b)), 'g', -1, 64)
		if !strings.ContainsAny(s, ".e") {
			s += ".0" // else it would be a whole number
		}
		return plain(s)
	case jsonString:
		size, rest := jsonLength(b)
		return plain(jsonQuote(string(rest[:size])))
	case jsonOpaque:
		size, rest := jsonLength(b[1:])
		return jsonOther(b[0], rest[:size])
	}
	return jsonNode{}, errDocument
}

// jsonQuote writes a string; nothing in it is made safe for HTML.
func jsonQuote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s)
	return strings.TrimSuffix(b.String(), "\n")
}

func jsonLength(b []byte) (int, []byte) {
	n := 0
	for i := 0; ; i++ {
		n |= int(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return n, b[i+1:]
		}
	}
}

func jsonContainer(b []byte, large, object bool) (jsonNode, error) {
	width := 2
	if large {
		width = 4
	}
	number := func(at int) int {
		if large {
			return int(binary.LittleEndian.Uint32(b[at:]))
		}
		return int(binary.LittleEndian.Uint16(b[at:]))
	}
	count := number(0)
	n := jsonNode{items: make([]jsonNode, 0, count)}
	at := 2 * width
	if object {
		n.keys = make([]string, 0, count)
		for i := range count {
			entry := at + i*(width+2)
			from, size := number(entry), int(binary.LittleEndian.Uint16(b[entry+width:]))
			n.keys = append(n.keys, string(b[from:from+size]))
		}
		at += count * (width + 2)
	}
	var parts []string
	for i := range count {
		entry := at + i*(1+width)
		kind := b[entry]
		inline := kind == jsonLiteral || kind == jsonInt16 || kind == jsonUint16 || large && (kind == jsonInt32 || kind == jsonUint32)
		where := entry + 1
		if !inline {
			where = number(entry + 1)
		}
		item, err := jsonValue(kind, b[where:])
		if err != nil {
			return n, err
		}
		n.items, n.opaque = append(n.items, item), n.opaque || item.opaque
		if object {
			parts = append(parts, jsonQuote(n.keys[i])+": "+item.text)
		} else {
			parts = append(parts, item.text)
		}
	}
	if object {
		n.text = "{" + strings.Join(parts, ", ") + "}"
	} else {
		n.text = "[" + strings.Join(parts, ", ") + "]"
	}
	return n, nil
}

// jsonOther reads a value of one of the server's own types.
func jsonOther(kind byte, b []byte) (jsonNode, error) {
	as := func(text, format string, args ...any) (jsonNode, error) {
		return jsonNode{opaque: true, value: expression{"CAST(? AS " + fmt.Sprintf(format, args...) + ")", []any{text}}}, nil
	}
	switch kind {
	case 246: // DECIMAL
		return as(decimalText(b[2:], int(b[0]), int(b[1])), "DECIMAL(%d, %d)", b[0], b[1])
	case 10, 11, 12: // DATE, TIME, DATETIME
		packed := int64(binary.LittleEndian.Uint64(b))
		sign := ""
		if packed < 0 {
			sign, packed = "-", -packed
		}
		micro, whole := packed%(1<<24), packed>>24
		hms := whole % (1 << 17)
		clock := fmt.Sprintf("%02d:%02d:%02d.%06d", hms>>12, hms>>6%64, hms%64, micro)
		ymd := whole >> 17
		date := fmt.Sprintf("%04d-%02d-%02d", ymd>>5/13, ymd>>5%13, ymd%32)
		switch kind {
		case 10:
			return as(date, "DATE")
		case 11:
			return as(fmt.Sprintf("%s%02d:%02d:%02d.%06d", sign, whole>>12%(1<<10), whole>>6%64, whole%64, micro), "TIME(6)")
		}
		return as(date+" "+clock, "DATETIME(6)")
	}
	return jsonNode{}, fmt.Errorf("a JSON document holds a value of the server's type %d, which no text gives", kind)
}

// decimalText reads a DECIMAL as the server stores it: nine digits in four bytes, fewer in fewer, all bits turned when it is negative.
func decimalText(b []byte, precision, scale int) string {
	size := []int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}
	b = append([]byte{}, b...)
	sign, mask := "", byte(0)
	if b[0]&0x80 == 0 {
		sign, mask = "-", 0xff
	}
	b[0] ^= 0x80
	take := func(digits int) string {
		n := uint32(0)
		for _, x := range b[:size[digits]] {
			n = n<<8 | uint32(x^mask)
		}
		b = b[size[digits]:]
		return fmt.Sprintf("%0*d", digits, n)
	}
	var out strings.Builder
	whole := precision - scale
	if whole%9 > 0 {
		out.WriteString(take(whole % 9))
	}
	for range whole / 9 {
		out.WriteString(take(9))
	}
	text := strings.TrimLeft(out.String(), "0")
	if text == "" {
		text = "0"
	}
	if scale == 0 {
		return sign + text
	}
	out.Reset()
	for range scale / 9 {
		out.WriteString(take(9))
	}
	if scale%9 > 0 {
		out.WriteString(take(scale % 9))
	}
	return sign + text + "." + out.String()
}
