package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// A folder of more text than is held reads like one of less, in each format, and holds no more of it than that.
func TestLargeFolderIsReadAnew(t *testing.T) {
	t.Parallel()
	long := "SELECT '" + strings.Repeat("x", kept/10) + "';\n"
	for format, file := range map[Format]func(i int) (string, string){
		Goose:         func(i int) (string, string) { return fmt.Sprintf("%05d_m.sql", i), "-- +goose Up\n" },
		Dbmate:        func(i int) (string, string) { return fmt.Sprintf("%05d_m.sql", i), "-- migrate:up\n" },
		GolangMigrate: func(i int) (string, string) { return fmt.Sprintf("%05d_m.up.sql", i), "" },
		Flyway:        func(i int) (string, string) { return fmt.Sprintf("V%d__m.sql", i), "" },
	} {
		files := fstest.MapFS{}
		const n = 25
		for i := 1; i <= n; i++ {
			name, head := file(i)
			files[name] = &fstest.MapFile{Data: []byte(fmt.Sprintf("%sCREATE TABLE t%d (id int);\n%s", head, i, long))}
		}
		f, err := Open(files, "m", Auto, effects.Postgres)
		if err != nil || f.Format != format {
			t.Fatalf("%s: taken for %q, %v", format, f.Format, err)
		}
		names, err := fs.Glob(f, "*.sql")
		if err != nil || len(names) != n {
			t.Fatalf("%s: %d files, %v", format, len(names), err)
		}
		held := f.files.(*shelf).held
		if held > kept || held < kept/2 {
			t.Errorf("%s: %d bytes are held of %d", format, held, n*len(long))
		}
		for i, name := range names {
			read, err := fs.ReadFile(f, name)
			if want := fmt.Sprintf("CREATE TABLE t%d (id int);\n%s", i+1, long); err != nil || !strings.Contains(string(read), want) {
				t.Errorf("%s: %s was read back as %.80q, %v", format, name, read, err)
			}
			opened, err := f.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := opened.Stat(); err != nil || info.Size() != int64(len(read)) {
				t.Errorf("%s: %s: %v, %v", format, name, info, err)
			}
		}

		for i := 1; i <= n; i++ { // nobody may run what nobody has looked at
			name, _ := file(i)
			files[name] = &fstest.MapFile{Data: append([]byte("-- more\n"), files[name].Data...)}
		}
		refused := 0
		for _, name := range names {
			read, err := fs.ReadFile(f, name)
			var wrong *FileError
			switch {
			case errors.As(err, &wrong) && strings.Contains(wrong.Message, "changed"):
				refused++
			case err != nil || strings.Contains(string(read), "more"):
				t.Errorf("%s: %s, changed since: %.40q, %v", format, name, read, err)
			}
		}
		if refused < n/2 {
			t.Errorf("%s: %d of %d changed files were refused", format, refused, n)
		}
	}
}
