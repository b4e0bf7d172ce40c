package folder

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// FuzzOpen: whatever a folder holds, it is read or refused with a place; each line of what is made of it leads back
// to a file that is there, and what is written for good can be read again.
func FuzzOpen(f *testing.F) {
	for _, seed := range [][3]string{
		{"1_a.up.sql", "BEGIN;\nCREATE TABLE a (b int);\nCOMMIT;", "1_a.down.sql"},
		{"1_a.sql", "-- x\n-- migrate:up transaction:false\nSELECT 1;\n-- migrate:down\nSELECT 2", "2_b.sql"},
		{"V1_2__a.sql", "DELIMITER //\nCREATE PROCEDURE p() BEGIN SELECT 1; END//\nDELIMITER ;\n", "U1.2__a.sql"},
		{"sqitch.plan", "%project=x\na 2024\n@v1\nb\na [a@v1] # note", "deploy/a.sql"},
		{"0_a.up.sql", "/* a */ -- b\n\\echo x\n$$ ; $$", "0_a.down.sql"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[1])
	}
	f.Fuzz(func(t *testing.T, name, text, name2, text2 string) {
		for _, n := range []string{name, name2} {
			if n == "" || strings.HasPrefix(n, "/") || strings.HasSuffix(n, "/") || strings.Contains(n, "//") || strings.Contains("/"+n+"/", "/../") || strings.Contains("/"+n+"/", "/./") || strings.ContainsAny(n, "\\\x00") {
				return
			}
		}
		if strings.HasPrefix(name, name2+"/") || strings.HasPrefix(name2, name+"/") {
			return
		}
		files := fstest.MapFS{name: {Data: []byte(text)}, name2: {Data: []byte(text2)}}
		for _, d := range []effects.Dialect{effects.Postgres, effects.MySQL, effects.SQLite} {
			for _, format := range Formats {
				x, err := Open(files, "db", Format(format), d)
				if err != nil {
					var at *FileError
					if errors.As(err, &at) && (at.Line < 1 || at.Column < 1 || at.File == "") {
						t.Fatalf("no place: %v", err)
					}
					continue
				}
				for _, m := range x.Migrations {
					made, err := x.ReadFile(m.Name)
					if err != nil {
						t.Fatal(err)
					}
					for i := range strings.Split(string(made), "\n") {
						file, line, _ := x.Place(m.Name, i+1, 1)
						if files[file] == nil && file != m.Up || line < 1 {
							t.Fatalf("%s: line %d of %q is at %s:%d", format, i+1, made, file, line)
						}
					}
				}
				if _, err := x.Written(); err != nil {
					t.Fatalf("%s is read and cannot be written: %v", format, err)
				}
			}
		}
	})
}
