package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// FlagFile is a JSON or YAML file in which feature flags stand. Only the bytes of their values are ever changed.
type FlagFile struct {
	tree *Tree
	name string // as stored
}

// OpenFlags names a file of flags. Nothing is read yet.
func OpenFlags(base, file string) (*FlagFile, error) {
	t, err := NewTree(base, []string{file}, "")
	if err != nil {
		return nil, err
	}
	switch path.Ext(t.Paths[0]) {
	case ".json", ".yml", ".yaml":
		return &FlagFile{t, t.Paths[0]}, nil
	}
	return nil, refuse("name a .json, .yml or .yaml file, or switch the flags by a command", "the file of the feature flags, %s, is neither JSON nor YAML", file)
}

// Abs is the file's whole path.
func (f *FlagFile) Abs() string { return f.tree.Abs(f.name) }

// place is where a value stands in the text.
type place struct{ from, to int }

// Read gives the flags as they stand. One that is neither on nor off is refused; one that is missing, or a missing file, is refused when
// strict: else it is no flag that could be on.
func (f *FlagFile) Read(names []string, strict bool) ([]Flag, error) {
	out := []Flag{}
	text, _, err := f.text()
	if errors.Is(err, fs.ErrNotExist) && !strict {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		p, err := f.find(text, n)
		if errors.Is(err, fs.ErrNotExist) && !strict {
			continue
		}
		if err != nil {
			return nil, err
		}
		value := string(text[p.from:p.to])
		if _, err := off(value); err != nil {
			return nil, f.wrong(text, p.from, fmt.Sprintf("flag %s: %v", n, err))
		}
		out = append(out, Flag{n, value})
	}
	return out, nil
}

// Off gives what the flags will be: each switched off, spelled as its file spells such things.
func Off(flags []Flag) []Flag {
	out := make([]Flag, len(flags))
	for i, f := range flags {
		value, err := off(f.Value)
		if err != nil {
			value = f.Value // Read has refused it
		}
		out[i] = Flag{f.Name, value}
	}
	return out
}

// opposites are the words for on, and what switches them off.
var opposites = [][2]string{{"true", "false"}, {"on", "off"}, {"yes", "no"}, {"enabled", "disabled"}, {"1", "0"}}

// off spells a value's opposite in the same letters: true, "on", ENABLED, Yes.
func off(value string) (string, error) {
	word := strings.Trim(value, `"'`)
	for _, o := range opposites {
		switch strings.ToLower(word) {
		case o[1]:
			return value, nil
		case o[0]:
			other := o[1]
			switch {
			case word == strings.ToUpper(word):
				other = strings.ToUpper(other)
			case word[:1] == strings.ToUpper(word[:1]):
				other = strings.ToUpper(other[:1]) + other[1:]
			}
			return strings.Replace(value, word, other, 1), nil
		}
	}
	return "", fmt.Errorf("%s is neither on nor off", value)
}

// Write gives the flags these values, and leaves everything else in the file as it is, byte by byte.
func (f *FlagFile) Write(flags []Flag) error {
	text, e, err := f.text()
	if err != nil {
		return err
	}
	for _, flag := range flags {
		p, err := f.find(text, flag.Name)
		if err != nil {
			return err
		}
		text = append(append(append([]byte{}, text[:p.from]...), flag.Value...), text[p.to:]...)
	}
	root, name, err := f.tree.open(f.name)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return plainly(grow(root, name, bytes.NewReader(text), *e, HashOf(text)))
}

func (f *FlagFile) text() ([]byte, *Entry, error) {
	root, name, err := f.tree.open(f.name)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = root.Close() }()
	info, err := look(root, name)
	if err != nil {
		return nil, nil, err
	}
	if info == nil || info.IsDir() {
		return nil, nil, absent("correct feature_flags.file", "there is no file %s", f.Abs())
	}
	at := found{f.name, name, info}
	var b bytes.Buffer
	if _, err := read(root, at, &b); err != nil {
		return nil, nil, err
	}
	e := entryOf(at)
	if !utf8.Valid(b.Bytes()) {
		return nil, nil, refuse("save it as UTF-8", "%s is no UTF-8 text", f.Abs())
	}
	return b.Bytes(), &e, nil
}

// wrong is a refusal at a place of the file.
func (f *FlagFile) wrong(text []byte, at int, message string) error {
	line := bytes.Count(text[:at], []byte("\n")) + 1
	column := utf8.RuneCount(text[bytes.LastIndexByte(text[:at], '\n')+1:at]) + 1
	return refuse("true, false, on, off, yes, no, enabled or disabled; or an object with enabled or state", "%s:%d:%d: %s", f.name, line, column, message)
}

func (f *FlagFile) missing(name string) error {
	return absent("correct feature_flags.flags; a flag within others is written others.flag", "%s has no flag %s", f.name, name)
}

// find looks for a flag: a key of the top, else a path of keys separated by dots. An object has its value in enabled or state.
func (f *FlagFile) find(text []byte, name string) (place, error) {
	look := f.yaml
	if path.Ext(f.name) == ".json" {
		look = f.json
	}
	for _, keys := range [][]string{{name}, strings.Split(name, ".")} {
		p, ok, err := look(text, keys)
		if err != nil || ok {
			return p, err
		}
	}
	return place{}, f.missing(name)
}

func (f *FlagFile) yaml(text []byte, keys []string) (place, bool, error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return place{}, false, refuse("correct it", "%s is no YAML that can be read", f.name)
	}
	if len(file.Docs) != 1 {
		return place{}, false, refuse("put everything into one", "%s has %d documents", f.name, len(file.Docs))
	}
	node := file.Docs[0].Body
	for _, k := range keys {
		if node = child(node, k); node == nil {
			return place{}, false, nil
		}
	}
	for _, k := range []string{"enabled", "state"} {
		if inner := child(node, k); inner != nil {
			node = inner
			break
		}
	}
	switch node.(type) {
	case *ast.BoolNode, *ast.StringNode, *ast.IntegerNode:
	default:
		return place{}, false, refuse("name a flag that is on or off", "%s:%d:%d: %s is no flag", f.name, node.GetToken().Position.Line, node.GetToken().Position.Column, strings.Join(keys, "."))
	}
	at := node.GetToken().Position
	from := offset(text, at.Line, at.Column)
	word := strings.TrimSpace(node.GetToken().Origin)
	if from < 0 || word == "" || !bytes.HasPrefix(text[from:], []byte(word)) {
		return place{}, false, refuse("write the flag as NAME: true", "%s:%d:%d: the value of %s cannot be found", f.name, at.Line, at.Column, strings.Join(keys, "."))
	}
	return place{from, from + len(word)}, true, nil
}

// child is the value of a key of a mapping, nil when there is none.
func child(node ast.Node, key string) ast.Node {
	var pairs []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	}
	for _, p := range pairs {
		if p.Key.GetToken().Value == key {
			return p.Value
		}
	}
	return nil
}

// offset gives the place of a line and a column, counted in characters from 1; -1 when the text has no such place.
func offset(text []byte, line, column int) int {
	at := 0
	for ; line > 1; line-- {
		i := bytes.IndexByte(text[at:], '\n')
		if i < 0 {
			return -1
		}
		at += i + 1
	}
	for ; column > 1; column-- {
		if at >= len(text) {
			return -1
		}
		_, n := utf8.DecodeRune(text[at:])
		at += n
	}
	return at
}

func (f *FlagFile) json(text []byte, keys []string) (place, bool, error) {
	if !json.Valid(text) {
		return place{}, false, refuse("correct it", "%s is no JSON", f.name)
	}
	p, ok := member(text, place{0, len(text)}, keys)
	if !ok {
		return p, false, nil
	}
	for _, k := range []string{"enabled", "state"} {
		if inner, ok := member(text, p, []string{k}); ok {
			p = inner
			break
		}
	}
	if c := text[p.from]; c == '{' || c == '[' {
		return p, false, f.wrong(text, p.from, strings.Join(keys, ".")+" is no flag")
	}
	return p, true, nil
}

// member finds the value below a path of keys within a value.
func member(text []byte, in place, keys []string) (place, bool) {
	ok := true
	for _, k := range keys {
		if in, ok = valueOf(text, in, k); !ok {
			break
		}
	}
	return in, ok
}

// valueOf finds the value of one key; the last one counts, as with every reader of JSON.
func valueOf(text []byte, in place, key string) (at place, ok bool) {
	d := json.NewDecoder(bytes.NewReader(text[in.from:in.to]))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return in, false
	}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return in, false
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return in, false
		}
		if k == key {
			end := in.from + int(d.InputOffset())
			at, ok = place{end - len(value), end}, true
		}
	}
	return at, ok
}
