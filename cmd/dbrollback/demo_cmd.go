package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/engine"
)

//go:embed demo
var demoFiles embed.FS

// demoOptions are the options of `demo`.
type demoOptions struct{ Dir string }

// Validate wants a folder that holds nothing yet.
func (o demoOptions) Validate() error {
	if o.Dir == "" {
		return nil
	}
	entries, err := os.ReadDir(o.Dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return &usageError{message: "the folder " + o.Dir + " cannot be used: " + errors.Unwrap(err).Error(), hint: "name another one, or leave out --dir"}
	}
	return &usageError{message: "the folder " + o.Dir + " is not empty", hint: "name another one, or leave out --dir"}
}

func (p *program) demoCommand() *cli.Command {
	return &cli.Command{
		Name:        "demo",
		Usage:       "the whole story on an embedded SQLite file: data, a bad release, later writes, the rollback, the proof",
		Description: "It touches nothing but a new folder: a temporary one, or that of --dir. No other setting is read.",
		Action: func(c *cli.Context) error {
			o := demoOptions{Dir: c.String("dir")}
			if err := errors.Join(noArguments(c)); err != nil {
				return err
			}
			if err := o.Validate(); err != nil {
				return err
			}
			return p.runDemo(c.Context, o)
		},
	}
}

// demo is one telling of the story.
type demo struct {
	program *program
	w       io.Writer // the story: stdout, or stderr when stdout is JSON
	dir     string
	db      string
}

// demoDocument is the JSON of `demo`.
type demoDocument struct {
	Version  int       `json:"version"`
	Dir      string    `json:"dir"`
	Database string    `json:"database"`
	Proof    demoProof `json:"proof"`
}

// demoProof is the demo's own comparison, which trusts nothing that the commands said.
type demoProof struct {
	Rows    int `json:"rows"`     // there before the bad release
	Equal   int `json:"equal"`    // byte for byte the same afterwards
	Written int `json:"written"`  // differ, because the application wrote them since
	Lost    int `json:"lost"`     // differ although nobody wrote them
	NewRows int `json:"new_rows"` // written by the application since, and still there
}

func (p *program) runDemo(ctx context.Context, o demoOptions) error {
	d := &demo{program: p, w: p.Out, dir: o.Dir}
	if p.out.json {
		d.w = p.Err
	}
	if err := d.prepare(); err != nil {
		return err
	}
	// The commands are shown as they are typed there, after the cd that comes first.
	back, err := os.Getwd()
	if err == nil {
		err = os.Chdir(d.dir)
	}
	if err != nil {
		return fmt.Errorf("go to the demo's folder: %w", err)
	}
	defer func() { _ = os.Chdir(back) }() // the process ends with the demo; a caller that lives on gets its folder back
	proof, err := d.tell(ctx)
	if err != nil {
		return err
	}
	if p.out.json {
		return p.out.result(demoDocument{Version: 1, Dir: d.dir, Database: d.db, Proof: proof}, nil)
	}
	return nil
}

func (d *demo) prepare() error {
	var err error
	if d.dir == "" {
		d.dir, err = os.MkdirTemp("", "dbrollback-demo-")
	} else {
		err = os.MkdirAll(d.dir, 0o755)
	}
	if err != nil {
		return fmt.Errorf("make the demo's folder: %w", err)
	}
	if d.dir, err = filepath.Abs(d.dir); err != nil {
		return fmt.Errorf("find the demo's folder: %w", err)
	}
	d.db = filepath.Join(d.dir, "shop.db")
	migrations, err := fs.Sub(demoFiles, "demo/migrations")
	if err == nil {
		err = os.CopyFS(filepath.Join(d.dir, "migrations"), migrations)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(d.dir, configName), []byte("dsn: sqlite:shop.db\ndir: migrations\n"), 0o644)
	}
	if err != nil {
		return fmt.Errorf("fill the demo's folder: %w", err)
	}
	return nil
}

// say writes a paragraph of the story.
func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.w, format+"\n", args...)
}

// command shows a command and runs it: the program itself, in the demo's folder and without the environment's
// settings, so that no other database can be meant.
func (d *demo) command(ctx context.Context, args ...string) error {
	d.say("\n   $ dbrollback %s", strings.Join(args, " "))
	var shown bytes.Buffer
	s := streams{
		In: strings.NewReader(""), Out: &shown, Err: &shown,
		Getenv: func(name string) string {
			if strings.HasPrefix(name, "DBROLLBACK_") {
				return ""
			}
			return d.program.Getenv(name)
		},
	}
	code := run(ctx, append([]string{"dbrollback", "--config", configName, "--no-progress"}, args...), s)
	for _, l := range strings.Split(strings.TrimRight(shown.String(), "\n"), "\n") {
		d.say("%s", strings.TrimRight("   "+l, " "))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if code != 0 {
		return fmt.Errorf("the demo's command ended with exit code %d: dbrollback %s", code, strings.Join(args, " "))
	}
	return nil
}

func (d *demo) tell(ctx context.Context) (demoProof, error) {
	d.say("A bad release, and the way back with its data. All of it happens in a folder of its own:\n\n   $ cd %s", d.dir)

	d.say("\n1. A shop goes live: 2,000 customers, 5,000 orders, 100 coupons.")
	if err := d.command(ctx, "up", "--to", "1", "--release", "v1.0"); err != nil {
		return demoProof{}, err
	}
	if err := d.execute(ctx, "demo/data.sql"); err != nil {
		return demoProof{}, err
	}
	before, err := d.read(ctx)
	if err != nil {
		return demoProof{}, err
	}

	d.say("\n2. Release v1.1 brings a migration that drops a column, rewrites phone numbers, deletes orders and drops a table.\n   What would it destroy, and what would be captured first?")
	if err := d.command(ctx, "plan"); err != nil {
		return demoProof{}, err
	}
	d.say("\n   It goes live. With any other tool this data would be gone now.")
	if err := d.command(ctx, "up", "--release", "v1.1"); err != nil {
		return demoProof{}, err
	}

	d.say("\n3. Business goes on, on the new schema: a customer signs up and orders, one marries, and customer 7\n   changes the very phone number that the migration had rewritten.")
	if err := d.execute(ctx, "demo/writes.sql"); err != nil {
		return demoProof{}, err
	}

	d.say("\n4. The release turns out to be bad. Back:")
	if err := d.command(ctx, "rollback"); err != nil {
		return demoProof{}, err
	}

	d.say("\n5. Proof. The demo kept every row as it was before the release, and compares by itself:")
	proof, err := d.compare(ctx, before)
	if err != nil {
		return proof, err
	}
	d.end(proof)
	if proof.Lost > 0 {
		return proof, fmt.Errorf("%d rows did not come back; please report it", proof.Lost)
	}
	return proof, nil
}

func (d *demo) end(p demoProof) {
	d.say("\n   %s rows before the release: %s byte for byte the same again,", count(int64(p.Rows)), count(int64(p.Equal)))
	d.say("   %d differ because the application wrote them since (it keeps its values), %d lost.", p.Written, p.Lost)
	d.say("   Rows that came after the release are still there: %d.", p.NewRows)
	d.say("\nThe database is %s. Look around:\n", d.db)
	d.say("   cd %s", d.dir)
	d.say("   dbrollback status            what is applied")
	d.say("   dbrollback log               who ran what")
	d.say("   dbrollback snapshot list     what was captured")
	d.say("   dbrollback up                the bad release once more; dbrollback rollback takes it back again")
	if _, err := exec.LookPath("dbrollback"); err != nil {
		d.say("\n   To have the program: go install ./cmd/dbrollback puts it into $(go env GOPATH)/bin")
	}
	d.say("\nOn a database of your own: dbrollback init")
}

// execute runs a file of statements as the application would, behind dbrollback's back.
func (d *demo) execute(ctx context.Context, file string) error {
	text, err := demoFiles.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the demo: %w", err)
	}
	db, err := engine.Open(ctx, "sqlite:"+d.db, engine.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	for _, statement := range strings.Split(string(text), ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("write the demo's data: %w", err)
		}
	}
	return nil
}

// demoTables are read as whole rows, the key first.
var demoTables = map[string]string{
	"customers": "SELECT id, quote(name) || quote(phone) || quote(points) FROM customers",
	"orders":    "SELECT id, quote(customer_id) || quote(cents) FROM orders",
	"coupons":   "SELECT code, quote(percent) FROM coupons",
}

// demoWritten are the rows that demo/writes.sql changes.
var demoWritten = map[string]bool{"customers 7": true, "customers 10": true}

func (d *demo) read(ctx context.Context) (map[string]string, error) {
	db, err := engine.Open(ctx, "sqlite:"+d.db, engine.Options{})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	out := map[string]string{}
	for table, query := range demoTables {
		if err := readInto(ctx, db, table, query, out); err != nil {
			return nil, fmt.Errorf("read the demo's data: %w", err)
		}
	}
	return out, nil
}

func readInto(ctx context.Context, db *engine.DB, table, query string, out map[string]string) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key, row string
		if err := rows.Scan(&key, &row); err != nil {
			return err
		}
		out[table+" "+key] = row
	}
	return rows.Err()
}

func (d *demo) compare(ctx context.Context, before map[string]string) (demoProof, error) {
	after, err := d.read(ctx)
	if err != nil {
		return demoProof{}, err
	}
	p := demoProof{Rows: len(before)}
	for key, row := range before {
		switch {
		case after[key] == row:
			p.Equal++
		case demoWritten[key] && after[key] != "":
			p.Written++
		default:
			p.Lost++
		}
	}
	for key := range after {
		if _, old := before[key]; !old {
			p.NewRows++
		}
	}
	return p, nil
}
