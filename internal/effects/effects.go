// Package effects turns the SQL text of a migration into statements, and each statement into its
// effects: what it does to which object. It is pure: no database, no files, no clock.
//
// Statements are read by a real grammar of the engine. What a grammar does not know is an Opaque
// effect, never "no effect". The text that runs is always a slice of the user's own text: nothing
// is ever deparsed.
package effects

// Dialect names the SQL that a text is written in; the values are those of engine.Kind.
type Dialect string

// The dialects.
const (
	Postgres Dialect = "postgres"
	MySQL    Dialect = "mysql"
	MariaDB  Dialect = "mariadb"
	SQLite   Dialect = "sqlite"
)

// Name is an object's name, unquoted and folded as the engine folds it. Schema is empty when the
// text does not say.
type Name struct {
	Schema string `json:"schema,omitempty"`
	Name   string `json:"name"`
}

// String gives "schema.name", for people; never for SQL.
func (n Name) String() string {
	if n.Schema == "" {
		return n.Name
	}
	return n.Schema + "." + n.Name
}

// Kind says what an effect does. The values are part of the JSON of `plan` and do not change.
type Kind string

// The kinds. "Table" effects name the table in Effect.Table; the others name their object in
// Effect.Object and, where the object belongs to a table (index, trigger, constraint, policy),
// the table as well when the text says it.
const (
	CreateTable        Kind = "create_table"
	DropTable          Kind = "drop_table"
	RenameTable        Kind = "rename_table"
	SetSchema          Kind = "set_schema"
	Truncate           Kind = "truncate"
	AddColumn          Kind = "add_column"
	DropColumn         Kind = "drop_column"
	RenameColumn       Kind = "rename_column"
	AlterColumnType    Kind = "alter_column_type"
	SetDefault         Kind = "set_default"
	DropDefault        Kind = "drop_default"
	SetNotNull         Kind = "set_not_null"
	DropNotNull        Kind = "drop_not_null"
	AlterColumn        Kind = "alter_column" // anything else about a column: statistics, storage, identity, comment
	DropExpression     Kind = "drop_expression"
	AddConstraint      Kind = "add_constraint"
	DropConstraint     Kind = "drop_constraint"
	ValidateConstraint Kind = "validate_constraint"
	AlterTable         Kind = "alter_table" // anything else about a table: owner, options, row security, replica identity
	AttachPartition    Kind = "attach_partition"
	DetachPartition    Kind = "detach_partition"
	DropPartition      Kind = "drop_partition" // MySQL
	Insert             Kind = "insert"
	Update             Kind = "update"
	Delete             Kind = "delete"
	Upsert             Kind = "upsert"  // ON CONFLICT DO UPDATE, ON DUPLICATE KEY UPDATE
	Replace            Kind = "replace" // REPLACE, INSERT OR REPLACE, UPDATE OR REPLACE
	Merge              Kind = "merge"
	Create             Kind = "create" // any other object: see Effect.Object
	Alter              Kind = "alter"
	Drop               Kind = "drop" // of any object that is no table; Cascade says that more may go
	Rename             Kind = "rename"
	DropSchema         Kind = "drop_schema" // and DROP DATABASE
	Comment            Kind = "comment"
	Grant              Kind = "grant"       // and REVOKE
	Session            Kind = "session"     // SET, PRAGMA, LOCK: changes nothing that lasts
	Read               Kind = "read"        // SELECT, EXPLAIN: changes nothing, functions with side effects excepted (Opaque)
	Maintenance        Kind = "maintenance" // VACUUM, ANALYZE, REINDEX, CLUSTER
	Transaction        Kind = "transaction" // BEGIN, COMMIT, ROLLBACK, SAVEPOINT: refused inside a migration
	External           Kind = "external"    // leaves the database: NOTIFY, COPY TO PROGRAM/file, dblink, LOAD DATA, SELECT INTO OUTFILE
	Opaque             Kind = "opaque"      // DO, CALL, unparsable, dynamic SQL: counts as destroying all that it could reach
)

// Statement is one statement of a migration.
type Statement struct {
	SQL     string   // a slice of the source, without its terminator
	Offset  int      // byte offset of SQL in the text given to Parse
	Effects []Effect // never empty
	// Autocommit: the engine does not let it run inside a transaction (CREATE INDEX CONCURRENTLY,
	// VACUUM, CREATE DATABASE, …).
	Autocommit bool
	// ImplicitCommit: MySQL and MariaDB commit the open transaction before and after it.
	ImplicitCommit bool
	// NotNullSpans are byte ranges [start,end) in SQL of the NOT NULL (and PRIMARY KEY / UNIQUE) of each
	// added column that cannot hold before its data is back; blanking them leaves a valid statement.
	NotNullSpans []Span
	// ParseError says why the statement is Opaque, when the grammar rejected it; ErrorOffset is where,
	// in bytes from the start of SQL.
	ParseError  string
	ErrorOffset int
}

// Span is a byte range [Start, End) and what stood there.
type Span struct {
	Start, End int
	Column     string
	Text       string
}

// Effect is what one statement does to one object.
type Effect struct {
	Kind    Kind     `json:"kind"`
	Table   Name     `json:"-"`                 // the table concerned, when there is one
	Object  Object   `json:"-"`                 // the object concerned, when it is no table
	NewName Name     `json:"-"`                 // of RenameTable, RenameColumn (Name only), SetSchema, Rename
	Columns []string `json:"columns,omitempty"` // dropped, added, altered or assigned columns
	// Of Update, Delete and Upsert: the columns of the target that expressions and predicate read; nil = unknown
	// (a whole-row reference). With a FROM or a subquery it may hold names that are no columns of the target.
	Reads        []string   `json:"-"`
	Column       *ColumnDef `json:"-"` // AddColumn, AlterColumnType: the definition
	Define       *TableDef  `json:"-"` // CreateTable: the definition
	Where        string     `json:"-"` // source text of the predicate; "" when none
	HasWhere     bool       `json:"-"`
	Cascade      bool       `json:"-"`
	IfExists     bool       `json:"-"` // IF EXISTS or IF NOT EXISTS
	IfTable      bool       `json:"-"` // ALTER TABLE IF EXISTS: where the table is not there, nothing happens
	Volatile     bool       `json:"-"` // calls functions that are, or may be, volatile or have side effects; LIMIT without ORDER BY
	Concurrently bool       `json:"-"`
	Detail       string     `json:"-"` // what a person should read: "DO block", "SELECT do_it()", the option altered

	Constraint *ConstraintDef `json:"-"` // AddConstraint: the definition
	Index      *IndexDef      `json:"-"` // Create of an index: the definition
	Replaces   bool           `json:"-"` // OR REPLACE: an object of that name loses its old definition
	Temporary  bool           `json:"-"` // the object lives in the session only
	// Of Update, Delete, Upsert and Merge, as source text, so that the rows can be asked for before the
	// statement runs: the alias of the target, what follows FROM (UPDATE) or USING (DELETE, MERGE), and the
	// whole WITH clause; "" when absent. RenameColumn and RenameTable leave them empty.
	Alias string `json:"-"`
	From  string `json:"-"`
	With  string `json:"-"`
	// Nested: it stands in a WITH, or beside one that writes, so that its Where and From may need what other
	// parts of the statement return.
	Nested bool `json:"-"`
	// Of Merge: which of "insert", "update", "delete" it may do.
	Actions []string `json:"-"`
	// Refused says why the statement can never run in a migration; "" when it can.
	Refused string `json:"-"`
	// Calls are the functions that the statement calls, lower case, schema-qualified when written so;
	// CURRENT_TIMESTAMP and the like appear as "current_timestamp".
	Calls []string `json:"-"`
	// Unordered: a LIMIT without ORDER BY, so that two runs may hit different rows. Volatile is set, too.
	Unordered bool `json:"-"`
	// Assigned are the assignments of an Update of one table, in their order. MySQL and MariaDB.
	Assigned []Assignment `json:"-"`
	// Clock: of what makes it Volatile, it is the clock alone. MySQL and MariaDB.
	Clock bool `json:"-"`
	// Of Insert with a query: the tables that the query reads, perhaps with names that are no tables, and what it makes the values of,
	// in the order of the columns; nil when that cannot be told (a star, a set operation, a WITH).
	Sources []Name `json:"-"`
	Fills   []Fill `json:"-"`
	// Joins are the columns that Update and Merge compare with one of another table for equality. PostgreSQL.
	Joins []Join `json:"-"`
}

// Join is a column of the target and the one of another table that it is to be equal to.
type Join struct{ Target, Source string }

// Fill is one value of an INSERT … SELECT: its column, "" when the statement does not name it, and the columns that it is made of.
type Fill struct {
	Column string
	Reads  []string
	Copies string // the column that it is, perhaps cast to another type; "" when it is made in another way
}

// Assignment is what an UPDATE sets a column to, as source text.
type Assignment struct{ Column, Value string }

// Object is something that is no table: an index, a view, a function, a type …
type Object struct {
	Kind string // index, view, materialized view, sequence, function, procedure, trigger, type, domain, extension, policy, rule, schema, role, constraint, …
	Name Name
	Args string // of a function: the types of its input arguments in brackets, "(integer, text)"; "" when not given
}

// String gives "function public.f(integer)", for people.
func (o Object) String() string {
	if o.Name.Name == "" {
		return o.Kind
	}
	return o.Kind + " " + o.Name.String() + o.Args
}

// ColumnDef is a column's definition as the text gives it.
type ColumnDef struct {
	Name       string
	Type       string // canonical type name, e.g. "varchar(20)"
	NotNull    bool
	PrimaryKey bool
	Unique     bool
	Default    string // source text; "" for none
	HasDefault bool
	Generated  bool
	Identity   bool
	Collation  string
	Using      string // AlterColumnType … USING expression
	Serial     bool   // serial types of PostgreSQL (Type is then integer …), AUTO_INCREMENT, AUTOINCREMENT
	Expression string // of a generated column
	Stored     bool   // of a generated column: its values lie in the table
	Comment    string // MySQL
	OnUpdate   string // MySQL: expression that every UPDATE of the row assigns
	// Constraints are those written with the column, NOT NULL and defaults excepted.
	Constraints []ConstraintDef
}

// TableDef is a table's definition as the text gives it.
type TableDef struct {
	Columns     []ColumnDef
	Constraints []ConstraintDef // of the table and, before them, of its columns
	Like        []Name          // LIKE: definitions taken from other tables
	Inherits    []Name
	Strict      bool // SQLite
	NoRowID     bool // SQLite: WITHOUT ROWID
	Temporary   bool
	AsSelect    bool
	Partitioned bool
	PartitionOf Name
}

// ConstraintDef is a table constraint as the text gives it.
type ConstraintDef struct {
	Name               string
	Kind               string // "primary key", "unique", "foreign key", "check", "exclude"; MySQL: "index" as well
	Columns            []string
	Parent             Name
	ParentColumns      []string
	OnDelete, OnUpdate string
	Expression         string
	NotValid           bool
	UsingIndex         string
	NullsNotDistinct   bool
	Deferrable         bool
	Deferred           bool
	NotEnforced        bool      // MySQL
	Inline             bool      // MySQL: REFERENCES written with its column, of which MySQL takes no notice before release 9
	Index              *IndexDef // MySQL: of "unique" and "index"
}

// IndexDef is an index's definition as the text gives it.
type IndexDef struct {
	Unique      bool
	Columns     []string // plain columns in order; an expression appears as its source text
	Expressions bool     // some of Columns are expressions
	Modes       []string // what stands behind each of Columns and is no default: "desc", "(10)", "nulls first", an operator class …; nil for nothing
	Include     []string
	Where       string
	Method      string // "btree" when not said on PostgreSQL, else as written

	NullsNotDistinct bool
}
