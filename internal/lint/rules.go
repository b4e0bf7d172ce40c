package lint

import (
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// Rule is one rule. Codes are stable once released.
type Rule struct {
	Code     string
	Severity Severity
	Engines  string // P PostgreSQL, M MySQL and MariaDB, S SQLite
	Title    string

	milder    string        // engines on which it only warns
	effect    func(p *Pass) // asked about each effect of Up
	down      bool          // and of Down
	migration func(p *Pass) // asked once both directions are played
}

// letters are the engines in Rule.Engines.
var letters = map[effects.Dialect]string{effects.Postgres: "P", effects.MySQL: "M", effects.MariaDB: "M", effects.SQLite: "S"}

func (r *Rule) knows(d effects.Dialect) bool { return strings.Contains(r.Engines, letters[d]) }

func (r *Rule) severity(d effects.Dialect) Severity {
	if letter, ok := letters[d]; ok && strings.Contains(r.milder, letter) {
		return Warning
	}
	return r.Severity
}

// applies names the engines that a rule is about, when it is not about all.
func (r *Rule) applies() string {
	var names []string
	for _, e := range []struct{ letter, name string }{{"P", "PostgreSQL"}, {"M", "MySQL and MariaDB"}, {"S", "SQLite"}} {
		if strings.Contains(r.Engines, e.letter) {
			names = append(names, e.name)
		}
	}
	if len(names) == 0 || len(names) == 3 {
		return ""
	}
	return ", on " + strings.Join(names, " and ")
}

// Rules are all rules, sorted by code.
var Rules = []Rule{
	{Code: "BC101", Severity: Warning, Engines: "PMS", Title: "a table is renamed", effect: renamesTable},
	{Code: "BC102", Severity: Warning, Engines: "PMS", Title: "a column is renamed", effect: renamesColumn},
	{Code: "BC103", Severity: Warning, Engines: "PMS", Title: "NOT NULL without a default", effect: requiresColumn, migration: rebuiltNotNull},
	{Code: "BC104", Severity: Warning, Engines: "PMS", Title: "a column's type changes", effect: changesType, migration: rebuiltType},
	{Code: "BC105", Severity: Warning, Engines: "PMS", Title: "a constraint is added", effect: constrains},
	{Code: "BC106", Severity: Warning, Engines: "PMS", Title: "a column goes that the previous release may read", effect: dropsReadColumn, migration: rebuiltWithoutRead},
	{Code: "BC107", Severity: Warning, Engines: "PMS", Title: "a view or function changes", migration: changesSignatures},
	{Code: "BC108", Severity: Warning, Engines: "PMS", Title: "a default is removed", effect: removesDefault, migration: rebuiltDefault},
	{Code: "DS101", Severity: Warning, Engines: "PMS", Title: "a schema or database is dropped", effect: dropsSchema},
	{Code: "DS102", Severity: Warning, Engines: "PMS", Title: "a table is dropped", effect: dropsTable},
	{Code: "DS103", Severity: Warning, Engines: "PMS", Title: "a column is dropped", effect: dropsColumn, migration: rebuiltWithout},
	{Code: "DS104", Severity: Warning, Engines: "PMS", Title: "a table is truncated", effect: truncates},
	{Code: "DS105", Severity: Warning, Engines: "PM", Title: "a partition is dropped or detached", effect: dropsPartition},
	{Code: "DS106", Severity: Warning, Engines: "PMS", Title: "DELETE without WHERE", effect: deletesAll},
	{Code: "DS107", Severity: Warning, Engines: "PMS", Title: "UPDATE without WHERE", effect: updatesAll},
	{Code: "DS108", Severity: Warning, Engines: "PMS", Title: "a cascade reaches other objects", effect: cascades},
	{Code: "DS109", Severity: Warning, Engines: "PMS", Title: "a type is narrowed", effect: narrows, migration: rebuiltNarrower},
	{Code: "DS110", Severity: Warning, Engines: "PMS", Title: "a type, sequence or domain is dropped", effect: dropsType},
	{Code: "DS111", Severity: Warning, Engines: "M", Title: "values of an ENUM or SET are removed or reordered", effect: shrinksEnum},
	{Code: "DS112", Severity: Warning, Engines: "M", Title: "several tables are dropped by one statement", effect: dropsSeveral},
	{Code: "LK101", Severity: Warning, Engines: "P", Title: "an index is built without CONCURRENTLY", effect: buildsIndex},
	{Code: "LK102", Severity: Error, Engines: "P", Title: "CONCURRENTLY inside a transaction", effect: concurrentlyInTransaction, down: true},
	{Code: "LK103", Severity: Warning, Engines: "P", Title: "a foreign key or check is added without NOT VALID", effect: validatesAtOnce},
	{Code: "LK104", Severity: Warning, Engines: "PM", Title: "the whole table is rewritten", effect: rewrites},
	{Code: "LK105", Severity: Warning, Engines: "P", Title: "SET NOT NULL reads the whole table", effect: scansForNulls},
	{Code: "LK106", Severity: Warning, Engines: "P", Title: "a key is built under lock", effect: buildsKey},
	{Code: "LK107", Severity: Warning, Engines: "PS", Title: "a whole table is filled in the transaction of a DDL", effect: backfills},
	{Code: "LK108", Severity: Warning, Engines: "PMS", Title: "a primary key changes", effect: changesKey, migration: rebuiltKey},
	{Code: "LK109", Severity: Warning, Engines: "P", Title: "many tables are locked at once", migration: locksMany},
	{Code: "LK110", Severity: Warning, Engines: "P", Title: "VACUUM FULL, CLUSTER or REINDEX without CONCURRENTLY", effect: maintains},
	{Code: "LK111", Severity: Warning, Engines: "PMS", Title: "transaction control inside a migration", effect: controlsTransaction, down: true},
	{Code: "NM001", Severity: Warning, Engines: "PMS", Title: "a table without a primary key", migration: tableWithoutKey},
	{Code: "NM002", Severity: Warning, Engines: "PS", Title: "a foreign key without an index", migration: foreignKeyWithoutIndex},
	{Code: "RV001", Severity: Error, Engines: "PMS", Title: "no Down for an Up that changes something", migration: noDown},
	{Code: "RV002", Severity: Error, Engines: "PMS", Title: "Down does not undo an effect of Up", migration: notUndone},
	{Code: "RV003", Severity: Error, Engines: "PMS", Title: "Down brings something back in another form", migration: undoneDifferently},
	{Code: "RV004", Severity: Warning, Engines: "PMS", Title: "Down destroys more than Up made", migration: undoesTooMuch},
	{Code: "RV005", Severity: Error, Engines: "PMS", milder: "PS", Title: "a statement whose effect is not understood", effect: notUnderstood, down: true},
	{Code: "RV006", Severity: Error, Engines: "P", Title: "a value is added to an enum", migration: addsEnumValue},
	{Code: "RV007", Severity: Error, Engines: "PMS", Title: "data is lost and captures are switched off", effect: losesUncaptured},
	{Code: "RV008", Severity: Warning, Engines: "PMS", Title: "a statement that fails, mostly because Down runs in the wrong order", migration: willFail},
	{Code: "RV009", Severity: Error, Engines: "PM", Title: "an effect outside the database", effect: leavesDatabase, down: true},
	{Code: "RV010", Severity: Warning, Engines: "PMS", Title: "a data change on a table without a key", effect: changesUnkeyed},
	{Code: "RV011", Severity: Warning, Engines: "MS", Title: "a migration that cannot be all or nothing", migration: notAtomic},
	{Code: "RV012", Severity: Warning, Engines: "PMS", Title: "data that comes out different each time", effect: notDeterministic},
	{Code: "RV013", Severity: Error, Engines: "PMS", Title: "an annotation that means nothing", migration: badAnnotations},
	{Code: "SF001", Severity: Error, Engines: "PMS", Title: "a secret in the text", effect: writesSecret, down: true},
	{Code: "SF002", Severity: Error, Engines: "PMS", Title: "a version out of order, or twice", migration: versionOrder},
	{Code: "SF003", Severity: Error, Engines: "PMS", Title: "a migration changed after it was applied", migration: edited},
}
