package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// agentTest is a client of the built program, on a database of its own.
type agentTest struct {
	*testing.T
	dir, dsn string
	session  *mcp.ClientSession
	said     bytes.Buffer // the server's stderr
}

func newAgent(t *testing.T, dsn string, arguments ...string) *agentTest {
	t.Helper()
	a := &agentTest{T: t, dir: t.TempDir(), dsn: dsn}
	for name, text := range map[string]string{
		"00001_users.sql": "-- +goose Up\nCREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, score INTEGER NOT NULL DEFAULT 0);\n-- +goose Down\nDROP TABLE users;\n",
		"00002_calm.sql":  "-- +goose Up\nALTER TABLE users ADD COLUMN calm INTEGER;\n-- +goose Down\nALTER TABLE users DROP COLUMN calm;\n",
		"00003_score.sql": "-- +goose Up\nDELETE FROM users WHERE score < 3;\nALTER TABLE users DROP COLUMN score;\n-- +goose Down\nALTER TABLE users ADD COLUMN score INTEGER NOT NULL DEFAULT 0;\n",
	} {
		a.write(filepath.Join("migrations", name), text)
	}
	a.run(0, "up", "--to", "2")
	testdb.Exec(t, dsn, "INSERT INTO users (id, name, score) VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3), (4, 'd', 4)")
	a.run(0, "approve", "key", "approver.pem")
	server := exec.Command("dbrollback", append([]string{"mcp", "--approval-key", "approver.pem.pub"}, arguments...)...)
	if slices.Contains(arguments, "unapproved") {
		server.Args = []string{"dbrollback", "mcp"}
	}
	server.Dir, server.Env, server.Stderr = a.dir, a.env(), &a.said
	// An environment in which questions would be answered and words printed.
	server.Env = append(server.Env, "DBROLLBACK_YES=1", "DBROLLBACK_OUTPUT=text")
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.CommandTransport{Command: server}, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, a.said.String())
	}
	a.session = session
	t.Cleanup(func() {
		if err := session.Close(); err != nil {
			t.Errorf("the server's end: %v\n%s", err, a.said.String())
		}
	})
	return a
}

func (a *agentTest) env() []string {
	return append(os.Environ(), "DBROLLBACK_DSN="+a.dsn, "HOME="+a.dir, "NO_COLOR=1")
}

func (a *agentTest) write(name, text string) {
	a.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		a.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		a.Fatal(err)
	}
}

// run is a person at a terminal.
func (a *agentTest) run(exit int, arguments ...string) string {
	a.Helper()
	cmd := exec.Command("dbrollback", append(arguments, "--no-progress")...)
	cmd.Dir, cmd.Env = a.dir, a.env()
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != exit {
		a.Fatalf("%v: %v\n%s%s", arguments, err, out.String(), said.String())
	}
	return out.String()
}

// shell runs a command of the kind that a preview gives.
func (a *agentTest) shell(command string) string {
	a.Helper()
	cmd := exec.Command("sh", "-c", command+" --no-progress")
	cmd.Dir, cmd.Env = a.dir, a.env()
	out, err := cmd.Output()
	if err != nil {
		a.Fatalf("%s: %v", command, err)
	}
	return string(out)
}

type toolAnswer struct {
	Exit     int
	Result   map[string]any
	Messages string
	Approve  string
	isError  bool
}

// tool calls a tool as an agent does.
func (a *agentTest) tool(name string, arguments map[string]any) toolAnswer {
	a.Helper()
	if arguments == nil {
		arguments = map[string]any{}
	}
	ctx, cancel := context.WithTimeout(a.Context(), 2*time.Minute)
	defer cancel()
	r, err := a.session.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: arguments})
	if err != nil {
		a.Fatalf("%s: %v\n%s", name, err, a.said.String())
	}
	text := r.Content[0].(*mcp.TextContent).Text
	structured, err := json.Marshal(r.StructuredContent)
	if err != nil {
		a.Fatal(err)
	}
	var out, same toolAnswer
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		a.Fatalf("%s: %v: %s", name, err, text)
	}
	if err := json.Unmarshal(structured, &same); err != nil || same.Exit != out.Exit || same.Messages != out.Messages {
		a.Errorf("%s: text and structured content differ: %s", name, structured)
	}
	out.isError = r.IsError
	return out
}

// refused expects that nothing was done, and why.
func (a *agentTest) refused(r toolAnswer, why string) {
	a.Helper()
	if !r.isError || r.Exit != exitRefused || !strings.Contains(r.Messages, why) {
		a.Errorf("refused? %+v, want: %s", r, why)
	}
}

func (a *agentTest) names(want string) {
	a.Helper()
	if got := testdb.Query(a.T, a.dsn, "SELECT name FROM users ORDER BY id"); strings.Join(got, ",") != want {
		a.Errorf("users: %v, want %s", got, want)
	}
}

// An agent looks and plans by itself; a rollback needs a person's approval of its very plan, once, in time.
func TestAgentRollsBack(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		a := newAgent(t, dsn)
		plan := a.tool("plan", nil)
		if plan.isError || plan.Result["direction"] != "up" || len(plan.Result["migrations"].([]any)) != 1 {
			t.Fatalf("%+v", plan)
		}
		a.run(0, "up")
		a.names("c,d")
		if s := a.tool("status", nil); s.isError || s.Result["current"] != float64(3) {
			t.Errorf("%+v", s)
		}

		preview := a.tool("preview_rollback", nil)
		if preview.isError || len(preview.Result["hash"].(string)) != 64 || preview.Approve != "dbrollback approve sign --rollback --key approver.pem" {
			t.Fatalf("%+v", preview)
		}
		a.refused(a.tool("rollback", nil), "there is no approval: preview first")
		a.refused(a.tool("rollback", map[string]any{"approval": "yes, please"}), "this is no approval")
		a.refused(a.tool("rollback", map[string]any{"approval": a.shell("dbrollback approve sign --rollback --steps 2 --key approver.pem")}), "the approval is for another plan")
		a.refused(a.tool("rollback", map[string]any{"approval": a.shell(preview.Approve + " --expires 1ns")}), "the approval expired at")
		a.run(0, "approve", "key", "other.pem")
		a.refused(a.tool("rollback", map[string]any{"approval": a.shell(strings.ReplaceAll(preview.Approve, "approver.pem", "other.pem"))}), "the signature is not that of the key")
		if r := a.tool("rollback", map[string]any{"approval": a.shell(preview.Approve), "on_conflict": "restore"}); !r.isError || r.Exit != exitUsage {
			t.Errorf("%+v", r)
		}
		a.names("c,d")

		approval := a.shell(preview.Approve + " --by ada")
		a.refused(a.tool("rollback", map[string]any{"approval": strings.Replace(approval, `"by": "ada"`, `"by": "eve"`, 1)}), "the signature is not that of the key")
		done := a.tool("rollback", map[string]any{"approval": approval})
		if done.isError || done.Result["to"] != float64(2) || done.Result["verified"] != true {
			t.Fatalf("%+v", done)
		}
		a.names("a,b,c,d")
		history := a.tool("history", map[string]any{"limit": 1})
		entry := history.Result["entries"].([]any)[0].(map[string]any)
		if detail := entry["detail"].(map[string]any); history.Result["intact"] != true || entry["action"] != "rollback" || detail["approved"] != "ada" || detail["asked by"] != "mcp" {
			t.Errorf("%+v", history)
		}
		// The same plan comes up again; the answer of then was for then.
		a.run(0, "up")
		a.refused(a.tool("rollback", map[string]any{"approval": approval}), "the approval was used already")
		a.names("c,d")
	}, testdb.OnSQLite, testdb.OnPostgres)
}

func TestAgentRestores(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		a := newAgent(t, dsn)
		a.run(0, "snapshot", "create", "--table", "users", "--label", "it's safe")
		testdb.Exec(t, dsn, "DELETE FROM users WHERE id < 4")
		ask := map[string]any{"tables": []string{"users"}, "snapshot": "it's safe", "where": "name <> 'b'"}
		preview := a.tool("preview_restore", ask)
		if preview.isError || preview.Result["preview"] != true {
			t.Fatalf("%+v", preview)
		}
		if list := a.tool("snapshots", nil); list.isError || len(list.Result["snapshots"].([]any)) != 1 {
			t.Errorf("%+v", list)
		}
		with := func(approval string, more ...string) map[string]any {
			out := map[string]any{"approval": approval}
			for k, v := range ask {
				out[k] = v
			}
			for i := 0; i < len(more); i += 2 {
				out[more[i]] = more[i+1]
			}
			return out
		}
		a.names("d")
		a.refused(a.tool("restore", ask), "there is no approval")
		approval := a.shell(preview.Approve)
		a.refused(a.tool("restore", with(approval, "where", "1 = 1")), "the approval is for another plan")
		a.refused(a.tool("restore", with(approval, "mode", "replace")), "the approval is for another plan")
		a.refused(a.tool("restore", with(a.shell(preview.Approve+" --expires 1ns"))), "the approval expired at")
		a.names("d")
		// Rows that come and go meanwhile change numbers, not what was approved.
		testdb.Exec(t, dsn, "INSERT INTO users (id, name, score) VALUES (5, 'new', 9)")
		done := a.tool("restore", with(approval))
		if done.isError || done.Result["preview"] != false {
			t.Fatalf("%+v", done)
		}
		a.names("a,c,d,new")
		a.refused(a.tool("restore", with(approval)), "the approval was used already")
		if r := a.tool("preview_restore", map[string]any{"tables": []string{"users"}, "at": "10m ago"}); !r.isError || r.Exit != exitUsage {
			t.Errorf("%+v", r)
		}
		if r := a.tool("preview_restore", map[string]any{"tables": []string{"users"}}); !r.isError || r.Exit != exitUsage || !strings.Contains(r.Messages, "which moment") {
			t.Errorf("%+v", r)
		}
	}, testdb.OnSQLite, testdb.OnPostgres)
}

func TestAgentLooks(t *testing.T) {
	t.Parallel()
	a := newAgent(t, "sqlite:"+filepath.Join(t.TempDir(), "app.db"), "unapproved")
	tools, err := a.session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var reads, writes []string
	for _, tool := range tools.Tools {
		if tool.Annotations.ReadOnlyHint {
			reads = append(reads, tool.Name)
		} else {
			writes = append(writes, tool.Name)
		}
	}
	slices.Sort(reads)
	slices.Sort(writes)
	if got := strings.Join(reads, " ") + ": " + strings.Join(writes, " "); got != "history lint plan preview_restore preview_rollback snapshots status verify: restore rollback" {
		t.Error(got)
	}
	if r := a.tool("lint", nil); r.isError || r.Exit != 0 || r.Result["summary"] == nil {
		t.Errorf("%+v", r)
	}
	a.write("migrations/00004_bad.sql", "-- +goose Up\nDROP TABLE users;\n")
	// Findings are what was asked for, not a failure of the tool.
	if r := a.tool("lint", nil); r.isError || r.Exit != exitRefused || len(r.Result["findings"].([]any)) == 0 {
		t.Errorf("%+v", r)
	}
	if r := a.tool("verify", nil); r.isError || r.Exit != exitRefused || len(r.Result["migrations"].([]any)) != 4 {
		t.Errorf("%+v", r)
	}
	a.refused(a.tool("rollback", map[string]any{"approval": "{}"}), "this server was started without --approval-key")
	a.refused(a.tool("restore", map[string]any{"approval": "{}"}), "this server was started without --approval-key")
	// Nothing that an agent passes becomes a flag.
	if r := a.tool("preview_rollback", map[string]any{"to": "2 --dsn=sqlite:other.db"}); !r.isError || r.Exit != exitUsage {
		t.Errorf("%+v", r)
	}
	r, err := a.session.CallTool(t.Context(), &mcp.CallToolParams{Name: "status", Arguments: map[string]any{"dsn": "sqlite:other.db"}})
	if err == nil && !r.IsError {
		t.Errorf("an unknown argument was taken: %+v", r)
	}
	a.names("a,b,c,d")
}

// stdout carries the protocol alone, whatever is said; the server ends with its client, and at SIGTERM.
func TestAgentStreams(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("dbrollback", "mcp", "--dsn", "sqlite:nothing.db")
	cmd.Dir = t.TempDir()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"status","arguments":{}}}
`)); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for answers := 0; answers < 2 && lines.Scan(); {
		var m struct {
			JSONRPC string
			ID      *int
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil || m.JSONRPC != "2.0" {
			t.Fatalf("stdout has %q", lines.Text())
		}
		if m.ID != nil {
			answers++
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		t.Errorf("stdout has %q", lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	said, err := exec.Command("dbrollback", "mcp", "--approval-key", filepath.Join(cmd.Dir, "none.pub")).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitUsage {
		t.Errorf("%v: %s", err, said)
	}
}
