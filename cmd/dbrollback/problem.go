package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/dbrollback/dbrollback/internal/checkpoint"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/guard"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// The exit codes. They are a contract: docs/exit-codes.md.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitRefused     = 3
	exitConflict    = 4
	exitLocked      = 5
	exitInterrupted = 130
)

// usageError is a mistake in the command line or the environment. Exit code 2.
type usageError struct{ message, hint string }

func (e *usageError) Error() string { return e.message }

// refusedError is a decision not to go on: declined at the prompt, findings. Exit code 3.
type refusedError struct {
	message, hint string
	details       []string
}

func (e *refusedError) Error() string { return e.message }

// problem is an error as it is shown: what, where, and what to type next.
type problem struct {
	Message string   `json:"message"`
	Hint    string   `json:"hint"`
	File    *string  `json:"file"`
	Line    *int     `json:"line"`
	Column  *int     `json:"column"`
	Exit    int      `json:"exit"`
	Details []string `json:"details,omitempty"`
}

// line is the problem in one line, its place first.
func (p *problem) line() string {
	return p.place() + p.Message
}

func (p *problem) place() string {
	switch {
	case p.File == nil:
		return ""
	case p.Line == nil:
		return *p.File + ": "
	}
	return fmt.Sprintf("%s:%d:%d: ", *p.File, *p.Line, *p.Column)
}

func (p *problem) at(file string, line, column int) *problem {
	if file != "" {
		p.File = &file
		if line > 0 {
			p.Line, p.Column = &line, &column
		}
	}
	return p
}

func (p *problem) redact(dsn string) {
	p.Message, p.Hint = redact(p.Message, dsn), redact(p.Hint, dsn)
	for i := range p.Details {
		p.Details[i] = redact(p.Details[i], dsn)
	}
}

// explain decides how an error is told and which exit code it has.
func explain(ctx context.Context, err error) *problem {
	if ctx.Err() != nil {
		return interrupted(err)
	}
	p := &problem{Message: oneLine(err.Error()), Exit: exitFailed}
	for _, known := range []func(error) *problem{explainOwn, explainFolder, explainRepair, explainStatement, explainDecision, explainServer} {
		if k := known(err); k != nil {
			p = k
			break
		}
	}
	p = partly(p, err)
	p.Hint = orElse(p.Hint, "dbrollback status shows where things stand")
	return p
}

func interrupted(err error) *problem {
	p := &problem{Message: "interrupted: the open transaction was rolled back", Hint: "dbrollback status shows where things stand", Exit: exitInterrupted}
	var partial *migrate.PartialError
	if errors.As(err, &partial) && partial.Unfinished {
		p.Message, p.Hint = fmt.Sprintf("interrupted within migration %d", partial.Failed), "dbrollback recover"
	}
	return partly(p, err)
}

// recoverFilling is what to do about a rollback --online that was cut off.
const recoverFilling = "dbrollback recover goes on with it; dbrollback recover --abort leaves the rest in the snapshot"

// What leads on from a run that was cut off: see recoverUnfinished.
const (
	recoverEither = "dbrollback recover finishes it, dbrollback recover --abort undoes it"
	recoverOnly   = "dbrollback recover finishes it; its rows are back, so that it cannot be undone before that"
)

// recoverUnfinished is what to do about a run that was cut off.
func recoverUnfinished(back bool) string {
	if back {
		return recoverOnly
	}
	return recoverEither
}

// partly adds how far a run came.
func partly(p *problem, err error) *problem {
	var partial *migrate.PartialError
	if !errors.As(err, &partial) {
		return p
	}
	if n := len(partial.Applied); n > 0 {
		p.Details = append(p.Details, fmt.Sprintf("%s before it done and kept: %s", number(int64(n), "migration", "migrations"), versions(partial.Applied)))
	}
	if partial.Filling {
		p.Details = append(p.Details, fmt.Sprintf("migration %d is undone; values of its columns are still to be put back", partial.Failed))
		if p.Exit != exitRefused {
			p.Hint = recoverFilling
		}
		return p
	}
	if partial.Unfinished {
		p.Details = append(p.Details, fmt.Sprintf("migration %d ran in part: statements that were done are recorded", partial.Failed))
		own, _ := strings.CutSuffix(p.Hint, ", then run the same command again")
		p.Hint = recoverUnfinished(partial.Back)
		e, is := engine.AsError(err)
		switch {
		case own == "" || p.Exit != exitRefused && (!is || e.Class != engine.Privilege && e.Class != engine.DiskFull):
		case strings.Contains(own, "dbrollback recover"): // it says which of them
			p.Hint = own
		default:
			p.Hint = own + "; then: " + p.Hint
		}
		var drift *migrate.DriftError
		if errors.As(err, &drift) && drift.When == "after" { // all of it ran
			p.Hint = "accept what differs with: dbrollback recover --allow-drift; or make it as it was by hand, then: dbrollback recover"
			if !drift.Back {
				p.Hint = "take it back with: dbrollback recover --abort, and correct Down; or " + p.Hint
			}
		}
		var repair *migrate.RepairError
		if partial.Back && errors.As(err, &repair) {
			p.Hint = "make it by hand, or make room for it, then: dbrollback recover"
			if is && e.Class == engine.Constraint {
				p.Hint = "rows of now break it: delete or change them, then: dbrollback recover"
			}
		}
		var place *snapshot.PlaceError
		if errors.As(err, &place) { // going on would come to the same end
			p.Hint = "dbrollback recover --abort takes it back; then let the Down section of the migration make it again"
		}
		if migrate.Rejected(err) {
			// The text of a migration that was begun must stay: one that is to be mended is taken back first.
			p.Hint = "the server rejected the statement: dbrollback recover --abort takes back what ran before it, then mend the file and run again; dbrollback recover tries it once more as it is"
		}
	} else if p.Exit != exitRefused {
		p.Details = append(p.Details, fmt.Sprintf("migration %d had no effect", partial.Failed))
		if e, is := engine.AsError(err); is && e.Class == engine.Constraint && partial.Direction == migrate.Down && p.Hint == "" {
			p.Hint = "a row that goes back breaks a constraint that Down makes: leave it out of the Down section, which is read from the file as long as Up stays as it is, then: dbrollback rollback"
		}
	}
	return p
}

func explainOwn(err error) *problem {
	var usage *usageError
	if errors.As(err, &usage) {
		return &problem{Message: oneLine(usage.message), Hint: usage.hint, Exit: exitUsage}
	}
	var config *configError
	if errors.As(err, &config) {
		return (&problem{Message: oneLine(config.message), Hint: config.hint, Exit: exitUsage}).at(config.file, config.line, config.column)
	}
	var approval *guard.RefusedApproval
	if errors.As(err, &approval) {
		return &problem{Message: oneLine(approval.Error()), Exit: exitRefused, Hint: "nothing was done; docs/guard.md says how a plan is approved"}
	}
	if errors.Is(err, checkpoint.ErrLocked) {
		return &problem{Message: oneLine(err.Error()), Hint: "wait until it has ended; dbrollback checkpoint list shows what it does", Exit: exitLocked}
	}
	var checked *checkpoint.RefusedError
	if errors.As(err, &checked) {
		return &problem{Message: oneLine(err.Error()), Hint: checked.Hint, Details: checked.Details, Exit: exitRefused}
	}
	var conflict *checkpoint.ConflictError
	if errors.As(err, &conflict) {
		return &problem{Message: oneLine(err.Error()), Hint: "nothing was changed in the repository; revert it by hand, or leave --commit out to go back all the way", Details: conflict.Files, Exit: exitConflict}
	}
	var command *checkpoint.CommandError
	if errors.As(err, &command) {
		return &problem{Message: oneLine(err.Error()), Hint: "mend the cause, then run the same command again: it goes on here", Exit: exitFailed}
	}
	var many *fleetError
	if errors.As(err, &many) {
		return &problem{Message: many.message, Hint: many.hint, Details: many.details, Exit: many.exit}
	}
	var refused *refusedError
	if errors.As(err, &refused) {
		return &problem{Message: refused.message, Hint: refused.hint, Details: refused.details, Exit: exitRefused}
	}
	return nil
}

// explainDecision tells why a run did not start.
func explainDecision(err error) *problem {
	var refused *migrate.RefusedError
	if errors.As(err, &refused) && len(refused.Reasons) > 0 {
		return explainRefusal(refused.Reasons)
	}
	var drift *migrate.DriftError
	if errors.As(err, &drift) {
		p := &problem{Message: drift.Error(), Details: differences(drift.Differences), Exit: exitConflict,
			Hint: "take the change back, or accept it with --allow-drift; dbrollback status lists it"}
		if drift.When == "after" {
			p.Hint = "correct the Down section of the migration, or accept what differs with --allow-drift; nothing was changed"
		}
		return p
	}
	var conflict *snapshot.ConflictError
	if errors.As(err, &conflict) {
		return &problem{Message: oneLine(conflict.Error()), Exit: exitConflict, Details: conflictLines(conflict.Conflicts, conflictsDone),
			Hint: "--on-conflict keep leaves the application's values, --on-conflict restore writes the captured ones; nothing was changed"}
	}
	if p := explainCapture(err); p != nil {
		return p
	}
	if p := explainRestore(err); p != nil {
		return p
	}
	switch {
	case errors.Is(err, migrate.ErrFilling):
		return &problem{Message: oneLine(err.Error()), Exit: exitRefused, Hint: recoverFilling}
	case errors.Is(err, migrate.ErrUnfinished):
		return &problem{Message: oneLine(err.Error()), Exit: exitRefused, Hint: recoverUnfinished(errors.Is(err, migrate.ErrBack))}
	case errors.Is(err, migrate.ErrNothing), errors.Is(err, migrate.ErrNothingToDrill):
		return &problem{Message: oneLine(err.Error()), Exit: exitRefused, Hint: "dbrollback status shows what is applied"}
	}
	return nil
}

// explainCapture tells what captures cannot do; the transaction is rolled back by then.
func explainCapture(err error) *problem {
	var loss *snapshot.LossError
	var uncaptured *snapshot.UncapturedError
	var place *snapshot.PlaceError
	var proof *snapshot.ProofError
	switch {
	case errors.As(err, &loss):
		return &problem{Message: oneLine(loss.Error()), Exit: exitRefused, Hint: orElse(loss.Hint, "dbrollback plan shows what can be captured")}
	case errors.As(err, &uncaptured):
		return &problem{Message: oneLine(uncaptured.Error()), Exit: exitRefused, Hint: "name these tables above the statement: -- +dbrollback affects: TABLE, TABLE"}
	case errors.As(err, &place):
		return &problem{Message: oneLine(place.Error()), Exit: exitConflict, Hint: "let the Down section of the migration make it again; nothing was changed"}
	case errors.As(err, &proof):
		return &problem{Message: "the proof failed, so nothing was changed: " + oneLine(proof.Error()), Exit: exitFailed,
			Hint: "dbrollback snapshot verify checks the captures; a trigger may be rewriting the rows"}
	}
	return nil
}

// explainRestore tells why rows cannot be put back, or cannot be found; nothing was written.
func explainRestore(err error) *problem {
	var ask *snapshot.AskError
	var table *snapshot.NoTableError
	var nothing *snapshot.NothingError
	var unsafe *snapshot.UnsafeError
	var incompatible *snapshot.IncompatibleError
	var damaged *snapshot.DamagedError
	var journalled *journal.RefusedError
	switch {
	case errors.As(err, &journalled):
		return &problem{Message: oneLine(journalled.Message), Hint: journalled.Hint, Exit: exitRefused}
	case errors.As(err, &ask):
		return &problem{Message: oneLine(ask.Message), Hint: ask.Hint, Exit: exitUsage}
	case errors.As(err, &table):
		return &problem{Message: oneLine(table.Error()), Hint: "names are as the catalog spells them, with the schema where there are several; dbrollback snapshot list shows what was captured", Exit: exitUsage}
	case errors.As(err, &nothing):
		return &problem{Message: oneLine(nothing.Message), Hint: nothing.Hint, Details: nothing.Have, Exit: exitRefused}
	case errors.As(err, &unsafe):
		return &problem{Message: oneLine(unsafe.Message), Hint: unsafe.Hint, Exit: exitRefused}
	case errors.As(err, &incompatible):
		return &problem{Message: oneLine(incompatible.Error()), Details: findingLines(incompatible.Findings), Hint: "nothing was written; --mode copy --into NAME puts the rows beside the table, whatever became of it", Exit: exitConflict}
	case errors.As(err, &damaged):
		return &problem{Message: oneLine(damaged.Error()), Hint: "nothing was written; dbrollback snapshot verify checks the others, dbrollback log shows who ran what", Exit: exitRefused}
	}
	return nil
}

func explainRefusal(reasons []migrate.Refusal) *problem {
	first := reasons[0]
	p := (&problem{Message: "refused: " + oneLine(first.Message), Hint: first.Hint, Exit: exitRefused}).at(first.File, first.Line, first.Column)
	for _, r := range reasons[1:] {
		d := (&problem{Message: oneLine(r.Message)}).at(r.File, r.Line, r.Column).line()
		if r.Hint != "" && r.Hint != first.Hint {
			d += " (" + r.Hint + ")"
		}
		p.Details = append(p.Details, d)
	}
	return p
}

// explainStatement tells a server's refusal of a statement, at its place in the file.
func explainStatement(err error) *problem {
	var statement *migrate.StatementError
	if !errors.As(err, &statement) {
		return nil
	}
	var partial *migrate.PartialError
	run := errors.As(err, &partial)
	down := run && partial.Direction == migrate.Down
	p := &problem{Message: oneLine(statement.Err.Error()), Exit: exitFailed, Hint: "correct the file, then run the command again"}
	switch {
	case down:
		p.Hint = "correct its Down section, which is read from the file as long as Up stays as it is, then: dbrollback rollback"
	case run:
		p.Hint = "correct the migration, then: dbrollback up"
	}
	for _, known := range []func(error) *problem{explainDecision, explainServer} {
		if cause := known(statement.Err); cause != nil {
			p.Message, p.Exit, p.Details = cause.Message, cause.Exit, cause.Details
			if e, ok := engine.AsError(statement.Err); ok && e.Class == engine.Unknown && e.Hint != "" {
				// The server's words, as for a view that another one needs, say nothing of the file that has to change.
				p.Details = append(p.Details, "the server suggests: "+oneLine(e.Hint))
				break
			}
			p.Hint = orElse(cause.Hint, p.Hint)
			break
		}
	}
	if e, ok := engine.AsError(statement.Err); ok && e.Taken && down {
		p.Hint = "what it writes is taken by now: change the row that has it, or leave the statement out of the Down section (what Up captured goes back without it, and a row whose place is taken is listed), then: dbrollback rollback"
	}
	if s := firstWords(statement.SQL, 100); s != "" {
		p.Details = append(p.Details, "in: "+s)
	}
	return p.at(statement.File, statement.Line, statement.Column)
}

func explainRepair(err error) *problem {
	var repair *migrate.RepairError
	if !errors.As(err, &repair) {
		return nil
	}
	p := &problem{Message: oneLine(repair.Err.Error()), Exit: exitFailed}
	if cause := explainServer(repair.Err); cause != nil {
		p = cause
	}
	p.Details = append(p.Details, fmt.Sprintf("in what %s of migration %d left out: %s", repair.Direction, repair.Version, firstWords(repair.SQL, 200)))
	e, ok := engine.AsError(repair.Err)
	if ok && repair.Direction == migrate.Down && (e.Class == engine.Unknown || e.Class == engine.Syntax) {
		p.Hint = "it cannot be made again beside what Down leaves: let the Down section do it, which is read from the file as long as Up stays as it is, then: dbrollback rollback"
	}
	if ok && e.Class == engine.Constraint {
		p.Exit = exitConflict
		p.Hint = "rows of now break it: delete or change them, then: dbrollback " + map[migrate.Direction]string{migrate.Up: "up", migrate.Down: "rollback"}[repair.Direction]
	}
	return p
}

// classHints say what to do about a server's error when the server itself does not.
var classHints = map[engine.Class]string{
	engine.LockTimeout:      "try again, or wait longer: --lock-timeout 30s",
	engine.StatementTimeout: "raise it with --statement-timeout, or run at a quieter time",
	engine.ReadOnly:         "point --dsn at the primary: this server takes no writes",
	engine.Unreachable:      "is the server running, and are host and port right?",
	engine.ConnectionLost:   "dbrollback status shows whether the run took effect",
	engine.Auth:             "check user and password of the database URL",
	engine.DiskFull:         "make room, then run the same command again",
}

func explainServer(err error) *problem {
	e, ok := engine.AsError(err)
	if !ok {
		return nil
	}
	p := &problem{Message: oneLine(e.Error()), Hint: e.Hint, Exit: exitFailed}
	if p.Hint == "" {
		p.Hint = classHints[e.Class]
	}
	switch e.Class {
	case engine.LockTimeout:
		p.Exit = exitLocked
	case engine.Usage, engine.Unsupported:
		p.Exit = exitUsage
	}
	return p
}

func differences(ds []verify.Difference) []string {
	var out []string
	for _, d := range ds {
		var what string
		switch {
		case d.Before == "":
			what = "is new: " + firstWords(d.After, 80)
		case d.After == "":
			what = "is missing: " + firstWords(d.Before, 80)
		default:
			what = fmt.Sprintf("was %s, is %s", firstWords(d.Before, 60), firstWords(d.After, 60))
		}
		out = append(out, fmt.Sprintf("%s %s %s", d.Kind, d.Object, what))
	}
	return out
}

// redact takes passwords out of a text: those in anything that looks like a URL or a setting, and that of the DSN.
func redact(text, dsn string) string {
	text = engine.Redact(text)
	u, err := url.Parse(dsn)
	if err != nil || u.User == nil {
		return text
	}
	if password, has := u.User.Password(); has && len(password) > 3 {
		_, written, _ := strings.Cut(u.User.String(), ":")
		for _, form := range []string{password, written} {
			text = strings.ReplaceAll(text, ":"+form+"@", ":xxxxx@")
		}
	}
	return text
}

// oneLine joins lines: an error is one line.
func oneLine(s string) string {
	return strings.Join(strings.Fields(s), " ")
}

// firstWords shortens a statement for a line of text.
func firstWords(s string, most int) string {
	s = oneLine(s)
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

func versions(vs []int64) string {
	out := make([]string, len(vs))
	for i, v := range vs {
		out[i] = fmt.Sprint(v)
	}
	return strings.Join(out, ", ")
}
