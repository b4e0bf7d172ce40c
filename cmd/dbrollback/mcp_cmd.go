package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/guard"
)

// mcpOptions are the options of `mcp`.
type mcpOptions struct {
	Key    string
	global []string // the global flags of the server's own command line: each tool gets them, too
}

// Validate has nothing to refuse: the key is read when the server starts.
func (mcpOptions) Validate() error { return nil }

func (p *program) mcpCommand() *cli.Command {
	return &cli.Command{
		Name:  "mcp",
		Usage: "serve an agent over stdin and stdout (Model Context Protocol): it looks and plans; what writes needs a person's approval",
		Description: `The tools are status, plan, lint, verify, snapshots, history, preview_rollback and preview_restore, which change
nothing, and rollback and restore, which want an approval that a person made at a terminal for exactly that plan:
dbrollback approve sign --rollback, dbrollback approve restore. docs/agents.md tells how.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "approval-key", Usage: "`FILE` of the public key that approvals are checked with; without it nothing is ever written"},
		},
		Action: action(p, func(c *cli.Context) (mcpOptions, error) {
			o := mcpOptions{Key: c.String("approval-key")}
			for _, f := range globalFlags() {
				if name := f.Names()[0]; c.IsSet(name) && !slices.Contains([]string{"output", "yes", "no-progress", "metrics-file"}, name) {
					o.global = append(o.global, "--"+name+"="+c.String(name))
				}
			}
			return o, noArguments(c)
		}, runMCP),
	}
}

func runMCP(ctx context.Context, s *session, o mcpOptions) error {
	a := &agent{s: s, global: o.global}
	file := o.Key
	if v := s.Guard["approval-key"]; file == "" && len(v) > 0 {
		file = v[0].text
	}
	if file != "" {
		var err error
		if a.key, err = guard.ReadPublicKey(file); err != nil {
			return &usageError{message: err.Error(), hint: "--approval-key FILE; dbrollback approve key makes a pair"}
		}
	}
	s.out.printed = true // stdout is the protocol's
	in, ok := s.In.(io.ReadCloser)
	if !ok {
		in = io.NopCloser(s.In)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "dbrollback", Version: build().Release}, &mcp.ServerOptions{Instructions: instructions})
	a.offer(server)
	err := server.Run(ctx, &mcp.IOTransport{Reader: in, Writer: unclosed{s.Out}})
	if ctx.Err() != nil || errors.Is(err, io.EOF) {
		return nil // the client, or whoever started us, is done
	}
	return err
}

// unclosed keeps stdout open when the protocol ends.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

const instructions = `dbrollback undoes database migrations with their data. Look before you propose: status, history, then preview_rollback (a bad
release) or preview_restore (rows that are lost or wrong). Both give a hash. You cannot write by yourself: show the preview to a person, and ask for an approval
of that hash, made with the command in "approve". Pass what it prints to rollback or restore, with the very arguments of the preview. An approval is good for one run
of one plan, until it expires. When anything is refused, say so and stop.`

// agent serves one client.
type agent struct {
	s      *session
	global []string
	key    ed25519.PublicKey // nil: nothing is written
}

// answer is what a tool gives.
type answer struct {
	Exit     int             `json:"exit"`               // as the command's exit code
	Result   json.RawMessage `json:"result"`             // the command's JSON document
	Messages string          `json:"messages,omitempty"` // what it says to people
	Approve  string          `json:"approve,omitempty"`  // of a preview: the command with which a person approves exactly that
}

// call runs a command of the program as the command line would, in JSON, and asks nobody: what would have been a question is a refusal.
func (a *agent) call(ctx context.Context, asked *consent, arguments ...string) (*mcp.CallToolResult, answer) {
	var out, said bytes.Buffer
	quiet := streams{In: strings.NewReader(""), Out: &out, Err: &said, Getenv: func(name string) string {
		switch name {
		case variable("yes"), variable("output"), variable("metrics-file"): // those of the server, not of its tools
			return ""
		}
		return a.s.Getenv(name)
	}}
	line := append([]string{"dbrollback"}, arguments...)
	line = append(line, a.global...)
	line = append(line, "--output=json", "--no-progress")
	w := answer{Exit: runWith(ctx, line, quiet, asked)}
	w.Messages = strings.TrimSpace(said.String())
	w.Result = json.RawMessage(bytes.TrimSpace(out.Bytes()))
	if !json.Valid(w.Result) {
		w.Result = json.RawMessage("null")
	}
	return a.result(w, failed(w)), w
}

// failed tells a command that did not work from one that found something.
func failed(w answer) bool {
	var d struct{ Error json.RawMessage }
	if w.Exit == 0 {
		return false
	}
	return json.Unmarshal(w.Result, &d) != nil || len(d.Error) > 0 && string(d.Error) != "null"
}

func (a *agent) result(w answer, isError bool) *mcp.CallToolResult {
	text, err := json.Marshal(w)
	if err != nil {
		panic(err) // its parts are JSON already
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(text)}}, StructuredContent: json.RawMessage(text), IsError: isError}
}

// consent reads the approval that a tool was given. It is an error of the tool, not of the protocol, when there is none.
func (a *agent) consent(text string) (*consent, error) {
	if a.key == nil {
		return nil, &guard.RefusedApproval{Reason: "this server was started without --approval-key, so it never writes"}
	}
	if strings.TrimSpace(text) == "" {
		return nil, &guard.RefusedApproval{Reason: "there is no approval: preview first, and let a person sign its hash with the command in \"approve\""}
	}
	approval := &guard.Approval{}
	if err := json.Unmarshal([]byte(text), approval); err != nil {
		return nil, &guard.RefusedApproval{Reason: "this is no approval: pass what dbrollback approve printed, as it is"}
	}
	return &consent{key: a.key, approval: approval}, nil
}

// refuse is the answer to a run that does not start.
func (a *agent) refuse(ctx context.Context, err error) *mcp.CallToolResult {
	p := explain(ctx, err)
	document, merr := json.Marshal(errorDocument{Version: 1, Error: p})
	if merr != nil {
		panic(merr) // plain fields
	}
	return a.result(answer{Exit: p.Exit, Result: document, Messages: p.Message}, true)
}
