//go:build unix

package bench

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing/fstest"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// gooseUp measures goose.
func gooseUp(b *bench, files fstest.MapFS) float64 {
	dialect := map[testdb.Engine]database.Dialect{pg: database.DialectPostgres, lite: database.DialectSQLite3, my: database.DialectMySQL, ma: database.DialectMySQL}[b.engine]
	dsn := b.engine.New(b)
	p, err := goose.NewProvider(dialect, b.open(dsn).DB, files)
	if err != nil {
		b.Fatal(err)
	}
	took := timed(func() {
		if _, err := p.Up(context.Background()); err != nil {
			b.Fatal(err)
		}
	})
	b.applied(dsn, len(files))
	return took
}

func withGoose(b *bench) float64      { return gooseUp(b, smallFiles(b.files)) }
func mixedWithGoose(b *bench) float64 { return gooseUp(b, mixedFiles(b.files/2)) }

// run runs a program of the peer's; what it prints goes to the file out, what it reads comes from the file in.
func (b *bench) run(in, out, program string, args ...string) {
	cmd := exec.Command(program, args...)
	if in != "" {
		f, err := os.Open(in)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		cmd.Stdin = f
	}
	if out != "" {
		f, err := os.Create(out)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		cmd.Stdout = f
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		b.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, said.String())
	}
}

// dumper is the server's own dump program: the one of the tests, or the one on the path.
func dumper(name string) string {
	if own := os.Getenv(testdb.PgDumpEnv); own != "" {
		return filepath.Join(filepath.Dir(own), name)
	}
	return name
}

func (b *bench) dumped(dsn string) (file string, took float64) {
	file = filepath.Join(b.TempDir(), "dump")
	return file, timed(func() { b.run("", "", dumper("pg_dump"), "-Fc", "-t", "big", "-f", file, dsn) })
}

func pgDump(b *bench) float64 {
	_, took := b.dumped(b.large())
	return took
}

func pgRestore(b *bench) float64 {
	dsn := b.large()
	was := b.state(dsn)
	file, _ := b.dumped(dsn)
	took := timed(func() { b.run("", "", dumper("pg_restore"), "--clean", "-d", dsn, file) })
	b.same(dsn, was)
	return took
}

// client gives the options of MariaDB's programs that reach a database.
func (b *bench) client(dsn string) []string {
	u, err := url.Parse(dsn)
	if err != nil {
		b.Fatal(err)
	}
	args := []string{"--no-defaults", "-h", u.Hostname(), "-P", u.Port(), "-u", u.User.Username()}
	if pw, ok := u.User.Password(); ok {
		args = append(args, "--password="+pw)
	}
	return append(args, strings.TrimPrefix(u.Path, "/"))
}

func (b *bench) dumpedMaria(dsn string) (file string, took float64) {
	file = filepath.Join(b.TempDir(), "dump")
	return file, timed(func() { b.run("", file, "mariadb-dump", b.client(dsn)...) })
}

func mariadbDump(b *bench) float64 {
	_, took := b.dumpedMaria(b.large())
	return took
}

func mariadbLoad(b *bench) float64 {
	dsn := b.large()
	was := b.state(dsn)
	file, _ := b.dumpedMaria(dsn)
	took := timed(func() { b.run(file, "", "mariadb", b.client(dsn)...) })
	b.same(dsn, was)
	return took
}

// dumpedParallel has mydumper write the table to a folder.
func (b *bench) dumpedParallel(dsn string) (dir string, took float64) {
	dir = filepath.Join(b.TempDir(), "dump")
	return dir, timed(func() {
		b.run("", "", "mydumper", append(b.parallel(dsn), "--tables-list", "big", "--outputdir", dir)...)
	})
}

// parallel gives the options that both programs of mydumper have.
func (b *bench) parallel(dsn string) []string {
	u, err := url.Parse(dsn)
	if err != nil {
		b.Fatal(err)
	}
	args := []string{"-h", u.Hostname(), "-P", u.Port(), "-u", u.User.Username(), "-B", strings.TrimPrefix(u.Path, "/"), "-t", "2"}
	if pw, ok := u.User.Password(); ok && pw != "" {
		args = append(args, "-p", pw)
	}
	return args
}

func mydumper(b *bench) float64 {
	_, took := b.dumpedParallel(b.large())
	return took
}

func myloader(b *bench) float64 {
	dsn := b.large()
	was := b.state(dsn)
	dir, _ := b.dumpedParallel(dsn)
	took := timed(func() {
		b.run("", "", "myloader", append(b.parallel(dsn), "--overwrite-tables", "--directory", dir)...)
	})
	b.same(dsn, was)
	return took
}

func sqliteBackup(b *bench) float64 {
	path := strings.TrimPrefix(b.large(), "sqlite:")
	return timed(func() { b.run("", "", "sqlite3", path, ".backup "+filepath.Join(b.TempDir(), "copy.db")) })
}
