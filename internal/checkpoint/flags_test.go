package checkpoint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Of a file, only the bytes of the values change.
func TestFlags(t *testing.T) {
	for _, c := range []struct{ name, file, flag, text, want string }{
		{"yaml", "f.yml", "new", "# top\nother: true\nnew:   true   # why\nlast: [1, 2]\n", "# top\nother: true\nnew:   false   # why\nlast: [1, 2]\n"},
		{"yaml, nested", "f.yaml", "a.b", "a:\n  c: on\n  b: on\nz: {b: on}\n", "a:\n  c: on\n  b: off\nz: {b: on}\n"},
		{"yaml, quoted", "f.yml", "a", "a: \"Yes\"\n", "a: \"No\"\n"},
		{"yaml, object", "f.yml", "a", "a:\n  rollout: 50\n  enabled: true\n", "a:\n  rollout: 50\n  enabled: false\n"},
		{"yaml, flow", "f.yml", "a", "{ü: 1, a: {enabled: TRUE}, b: true}\n", "{ü: 1, a: {enabled: FALSE}, b: true}\n"},
		{"yaml, a key with a dot", "f.yml", "a.b", "a.b: true\na:\n  b: true\n", "a.b: false\na:\n  b: true\n"},
		{"yaml, after characters of several bytes", "f.yml", "z", "ä: {ö: ü, z: x}\n'é': 1\nz: true", "ä: {ö: ü, z: x}\n'é': 1\nz: false"},
		{"yaml, crlf", "f.yml", "z", "a: 1\r\nz: true\r\nb: 2\r\n", "a: 1\r\nz: false\r\nb: 2\r\n"},
		{"json", "f.json", "new", "{\n\t\"other\": true, \"new\" : true\n,\"x\":[1,{\"new\":true}]}", "{\n\t\"other\": true, \"new\" : false\n,\"x\":[1,{\"new\":true}]}"},
		{"json, nested", "f.json", "a.b", `{"b": true, "a": {"é": "b", "b": "on"}}`, `{"b": true, "a": {"é": "b", "b": "off"}}`},
		{"json, state", "f.json", "flags.x", `{"flags": {"x": {"state": "ENABLED", "variants": {"on": true}}}}`, `{"flags": {"x": {"state": "DISABLED", "variants": {"on": true}}}}`},
		{"json, number", "f.json", "x", `{"x": 1}`, `{"x": 0}`},
		{"off already", "f.json", "x", `{"x": false}`, `{"x": false}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := t.TempDir()
			write(t, base, map[string]string{c.file: c.text})
			must(t, os.Chmod(filepath.Join(base, c.file), 0o600))
			f, err := OpenFlags(base, c.file)
			must(t, err)
			was, err := f.Read([]string{c.flag}, true)
			must(t, err)
			must(t, f.Write(Off(was)))
			got, err := os.ReadFile(filepath.Join(base, c.file))
			must(t, err)
			if string(got) != c.want {
				t.Errorf("got\n%q, want\n%q", got, c.want)
			}
			must(t, f.Write(was))
			if got, _ = os.ReadFile(filepath.Join(base, c.file)); string(got) != c.text {
				t.Errorf("back: got\n%q, want\n%q", got, c.text)
			}
			if info, _ := os.Stat(filepath.Join(base, c.file)); info.Mode().Perm() != 0o600 {
				t.Errorf("mode %s", info.Mode())
			}
		})
	}
}

func TestFlagsRefused(t *testing.T) {
	for _, c := range []struct{ name, file, flag, text, want string }{
		{"missing", "f.yml", "x", "y: true\n", "has no flag x"},
		{"missing in json", "f.json", "x", `{"y": true}`, "has no flag x"},
		{"no flag", "f.yml", "x", "x: 50\n", "f.yml:1:4: flag x: 50 is neither on nor off"},
		{"a list", "f.json", "x", `{"x": []}`, "f.json:1:7: x is no flag"},
		{"a list in yaml", "f.yml", "x", "a: 1\nx: [true]\n", "x is no flag"},
		{"no json", "f.json", "x", `{"x": true`, "no JSON"},
		{"no yaml", "f.yml", "x", "x: [", "no YAML"},
		{"two documents", "f.yml", "x", "x: true\n---\nx: true\n", "2 documents"},
		{"an alias", "f.yml", "x", "a: &a true\nx: *a\n", "x is no flag"},
		{"no text", "f.yml", "x", "x: true\n\xff", "UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := t.TempDir()
			write(t, base, map[string]string{c.file: c.text})
			f, err := OpenFlags(base, c.file)
			must(t, err)
			if _, err := f.Read([]string{c.flag}, true); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := OpenFlags(t.TempDir(), "flags.toml"); err == nil {
		t.Error("a TOML file is taken")
	}
}

func TestCommand(t *testing.T) {
	v := Values{Version: "v1; rm -rf /", Flag: "new checkout"}
	for line, want := range map[string]string{
		`./deploy.sh {{.Version}}`:         "./deploy.sh|v1; rm -rf /",
		`a  'b c'  "d {{ .Flag }}" e\ f`:   "a|b c|d new checkout|e f",
		`sh -c 'echo "$1"' - {{.Version}}`: `sh|-c|echo "$1"|-|v1; rm -rf /`,
		`x "" y`:                           "x||y",
		`x {{ printf "%s" .Flag }}`:        "x|new checkout",
	} {
		c, err := ParseCommand(line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		words, err := c.Words(v)
		if got := strings.Join(words, "|"); err != nil || got != want {
			t.Errorf("%s: got %s, want %s, %v", line, got, want, err)
		}
	}
	for _, line := range []string{"", "  ", `a 'b`, `a "b`, "a {{.Nothing}}", "a {{.Version", "a {{if}}"} {
		if _, err := ParseCommand(line); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
}
