package effects

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// pgObjectKind names a kind of object as the catalog's functions do.
func pgObjectKind(t pg.ObjectType) string {
	switch t {
	case pg.ObjectType_OBJECT_MATVIEW:
		return "materialized view"
	case pg.ObjectType_OBJECT_FDW:
		return "foreign-data wrapper"
	case pg.ObjectType_OBJECT_FOREIGN_SERVER:
		return "server"
	case pg.ObjectType_OBJECT_STATISTIC_EXT:
		return "statistics"
	case pg.ObjectType_OBJECT_TABCONSTRAINT:
		return "constraint"
	case pg.ObjectType_OBJECT_DOMCONSTRAINT:
		return "domain constraint"
	case pg.ObjectType_OBJECT_TSCONFIGURATION:
		return "text search configuration"
	case pg.ObjectType_OBJECT_TSDICTIONARY:
		return "text search dictionary"
	case pg.ObjectType_OBJECT_TSPARSER:
		return "text search parser"
	case pg.ObjectType_OBJECT_TSTEMPLATE:
		return "text search template"
	case pg.ObjectType_OBJECT_OPCLASS:
		return "operator class"
	case pg.ObjectType_OBJECT_OPFAMILY:
		return "operator family"
	case pg.ObjectType_OBJECT_LARGEOBJECT:
		return "large object"
	case pg.ObjectType_OBJECT_PARAMETER_ACL:
		return "parameter"
	}
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(t.String(), "OBJECT_")), "_", " ")
}

func (s *pgStatement) create(kind string, name Name) *Effect {
	s.add(Effect{Kind: Create, Object: Object{Kind: kind, Name: name}})
	return &s.effects[len(s.effects)-1]
}

// objectNode: statements that create an object that is no table.
func (s *pgStatement) objectNode(n *pg.Node) bool {
	switch v := n.GetNode().(type) {
	case *pg.Node_IndexStmt:
		s.index(v.IndexStmt)
	case *pg.Node_ViewStmt:
		e := s.create("view", pgRange(v.ViewStmt.View))
		e.Replaces, e.Temporary = v.ViewStmt.Replace, v.ViewStmt.View.GetRelpersistence() == "t"
	case *pg.Node_CreateSeqStmt:
		e := s.create("sequence", pgRange(v.CreateSeqStmt.Sequence))
		e.IfExists, e.Temporary = v.CreateSeqStmt.IfNotExists, v.CreateSeqStmt.Sequence.GetRelpersistence() == "t"
	case *pg.Node_CreateFunctionStmt:
		s.function(v.CreateFunctionStmt)
	case *pg.Node_CreateTrigStmt:
		t := v.CreateTrigStmt
		e := s.create("trigger", Name{Name: t.Trigname})
		e.Table, e.Replaces = pgRange(t.Relation), t.Replace
	case *pg.Node_RuleStmt:
		e := s.create("rule", Name{Name: v.RuleStmt.Rulename})
		e.Table, e.Replaces = pgRange(v.RuleStmt.Relation), v.RuleStmt.Replace
	case *pg.Node_CreatePolicyStmt:
		s.create("policy", Name{Name: v.CreatePolicyStmt.PolicyName}).Table = pgRange(v.CreatePolicyStmt.Table)
	case *pg.Node_CreateSchemaStmt:
		c := v.CreateSchemaStmt
		s.create("schema", Name{Name: firstOf(c.Schemaname, c.Authrole.GetRolename())}).IfExists = c.IfNotExists
		for _, elt := range c.SchemaElts {
			from := len(s.effects)
			s.node(elt)
			for i := from; i < len(s.effects); i++ {
				s.effects[i].qualify(c.Schemaname)
			}
		}
	case *pg.Node_CreateEnumStmt:
		s.create("type", pgName(pgStrings(v.CreateEnumStmt.TypeName))).Detail = "enum"
	case *pg.Node_CompositeTypeStmt:
		s.create("type", pgRange(v.CompositeTypeStmt.Typevar)).Detail = "composite"
	case *pg.Node_CreateRangeStmt:
		s.create("type", pgName(pgStrings(v.CreateRangeStmt.TypeName))).Detail = "range"
	case *pg.Node_CreateDomainStmt:
		s.create("domain", pgName(pgStrings(v.CreateDomainStmt.Domainname))).Detail = pgType(v.CreateDomainStmt.TypeName)
	case *pg.Node_DefineStmt:
		d := v.DefineStmt
		e := s.create(pgObjectKind(d.Kind), pgName(pgStrings(d.Defnames)))
		e.Replaces, e.IfExists = d.Replace, d.IfNotExists
		if d.Kind == pg.ObjectType_OBJECT_AGGREGATE && len(d.Args) > 0 {
			e.Object.Args = "(" + strings.Join(pgTypes(d.Args[0].GetList().GetItems()), ", ") + ")"
		}
	default:
		return s.rareObject(n)
	}
	return true
}

// qualify puts what has no schema of its own into one.
func (e *Effect) qualify(schema string) {
	if e.Table.Name != "" && e.Table.Schema == "" {
		e.Table.Schema = schema
	}
	switch e.Object.Kind {
	case "index", "view", "sequence", "materialized view":
		if e.Object.Name.Schema == "" {
			e.Object.Name.Schema = schema
		}
	}
}

// rareObject: the kinds of objects that migrations seldom create.
func (s *pgStatement) rareObject(n *pg.Node) bool {
	switch v := n.GetNode().(type) {
	case *pg.Node_CreateExtensionStmt:
		s.create("extension", Name{Name: v.CreateExtensionStmt.Extname}).IfExists = v.CreateExtensionStmt.IfNotExists
	case *pg.Node_CreatePublicationStmt:
		s.create("publication", Name{Name: v.CreatePublicationStmt.Pubname})
	case *pg.Node_CreateSubscriptionStmt:
		s.autocommit = s.autocommit || pgMakesSlot(v.CreateSubscriptionStmt.Options)
		s.create("subscription", Name{Name: v.CreateSubscriptionStmt.Subname})
		s.add(Effect{Kind: External, Detail: "CREATE SUBSCRIPTION connects to another server"})
	case *pg.Node_CreateStatsStmt:
		e := s.create("statistics", pgName(pgStrings(v.CreateStatsStmt.Defnames)))
		e.IfExists = v.CreateStatsStmt.IfNotExists
		if len(v.CreateStatsStmt.Relations) > 0 {
			e.Table = pgRange(v.CreateStatsStmt.Relations[0].GetRangeVar())
		}
	case *pg.Node_CreateEventTrigStmt:
		s.create("event trigger", Name{Name: v.CreateEventTrigStmt.Trigname})
	case *pg.Node_CreateRoleStmt:
		s.create("role", Name{Name: v.CreateRoleStmt.Role}).Detail = pgPassword(v.CreateRoleStmt.Options)
	case *pg.Node_CreateFdwStmt:
		s.create("foreign-data wrapper", Name{Name: v.CreateFdwStmt.Fdwname})
	case *pg.Node_CreateForeignServerStmt:
		s.create("server", Name{Name: v.CreateForeignServerStmt.Servername}).IfExists = v.CreateForeignServerStmt.IfNotExists
	case *pg.Node_CreateUserMappingStmt:
		e := s.create("user mapping", Name{Name: v.CreateUserMappingStmt.Servername})
		e.IfExists, e.Detail = v.CreateUserMappingStmt.IfNotExists, pgPassword(v.CreateUserMappingStmt.Options)
	case *pg.Node_ImportForeignSchemaStmt:
		s.create("foreign tables of schema", Name{Name: v.ImportForeignSchemaStmt.LocalSchema}).Detail = "IMPORT FOREIGN SCHEMA"
	case *pg.Node_CreateAmStmt:
		s.create("access method", Name{Name: v.CreateAmStmt.Amname})
	case *pg.Node_CreatePlangStmt:
		s.create("language", Name{Name: v.CreatePlangStmt.Plname}).Replaces = v.CreatePlangStmt.Replace
	case *pg.Node_CreateCastStmt:
		c := v.CreateCastStmt
		s.create("cast", Name{Name: "(" + pgType(c.Sourcetype) + " AS " + pgType(c.Targettype) + ")"})
	case *pg.Node_CreateConversionStmt:
		s.create("conversion", pgName(pgStrings(v.CreateConversionStmt.ConversionName)))
	case *pg.Node_CreateTransformStmt:
		c := v.CreateTransformStmt
		s.create("transform", Name{Name: "FOR " + pgType(c.TypeName) + " LANGUAGE " + c.Lang}).Replaces = c.Replace
	case *pg.Node_CreateOpClassStmt:
		s.create("operator class", pgName(pgStrings(v.CreateOpClassStmt.Opclassname)))
	case *pg.Node_CreateOpFamilyStmt:
		s.create("operator family", pgName(pgStrings(v.CreateOpFamilyStmt.Opfamilyname)))
	case *pg.Node_CreateTableSpaceStmt:
		s.autocommit = true
		s.create("tablespace", Name{Name: v.CreateTableSpaceStmt.Tablespacename})
	case *pg.Node_CreatedbStmt:
		s.autocommit = true
		s.create("database", Name{Name: v.CreatedbStmt.Dbname})
	default:
		return false
	}
	return true
}

// pgPassword says that the options hold a secret written out.
func pgPassword(options []*pg.Node) string {
	for _, o := range options {
		if d := o.GetDefElem(); d.GetDefname() == "password" && d.Arg.GetString_() != nil {
			return "PASSWORD"
		}
	}
	return ""
}

// pgMakesSlot: a subscription that makes its replication slot cannot be made in a transaction.
func pgMakesSlot(options []*pg.Node) bool {
	for _, o := range options {
		if d := o.GetDefElem(); (d.GetDefname() == "create_slot" || d.GetDefname() == "connect") && !pgTrue(d.Arg) {
			return false
		}
	}
	return true
}

func (s *pgStatement) index(v *pg.IndexStmt) {
	def := &IndexDef{Unique: v.Unique, Method: v.AccessMethod, NullsNotDistinct: v.NullsNotDistinct}
	from := s.afterName(s.at(int(v.Relation.GetLocation())))
	for from < len(s.tokens) && s.punct(from) != '(' {
		from++
	}
	i := from + 1
	for _, p := range v.IndexParams {
		to := s.end(i, true)
		elem := p.GetIndexElem()
		if elem.GetName() != "" {
			def.Columns = append(def.Columns, elem.Name)
		} else {
			def.Expressions = true
			def.Columns = append(def.Columns, s.span(i, to))
		}
		def.mode(pgMode(elem))
		i = to + 1
	}
	for _, p := range v.IndexIncludingParams {
		def.Include = append(def.Include, p.GetIndexElem().GetName())
	}
	if v.WhereClause != nil {
		if w := s.find(i, len(s.tokens), "WHERE"); w >= 0 {
			def.Where = s.span(w+1, len(s.tokens))
		}
	}
	// An index lies in the schema of its table.
	s.autocommit = s.autocommit || v.Concurrent
	s.add(Effect{Kind: Create, Table: pgRange(v.Relation), Index: def, Columns: pgIndexColumns(v.IndexParams),
		Object:       Object{Kind: "index", Name: Name{Schema: v.Relation.GetSchemaname(), Name: v.Idxname}},
		Concurrently: v.Concurrent, IfExists: v.IfNotExists})
}

// mode takes down what stands behind the last column.
func (d *IndexDef) mode(text string) {
	if text != "" && d.Modes == nil {
		d.Modes = make([]string, len(d.Columns)-1, len(d.Columns))
	}
	if d.Modes != nil {
		d.Modes = append(d.Modes, text)
	}
}

// pgMode is what an index says about a column, defaults left out.
func pgMode(e *pg.IndexElem) string {
	var out []string
	if n := pgName(pgStrings(e.GetCollation())).Name; n != "" {
		out = append(out, `COLLATE "`+strings.ReplaceAll(n, `"`, `""`)+`"`)
	}
	if n := pgName(pgStrings(e.GetOpclass())).Name; !strings.HasSuffix(n, "_ops") || slices.ContainsFunc([]string{"pattern", "trgm", "path", "vector"}, func(s string) bool {
		return strings.Contains(n, s)
	}) { // the others are the defaults of their types
		out = append(out, n)
	}
	desc := e.GetOrdering() == pg.SortByDir_SORTBY_DESC
	if desc {
		out = append(out, "desc")
	}
	switch nulls := e.GetNullsOrdering(); {
	case nulls == pg.SortByNulls_SORTBY_NULLS_FIRST && !desc:
		out = append(out, "nulls first")
	case nulls == pg.SortByNulls_SORTBY_NULLS_LAST && desc:
		out = append(out, "nulls last")
	}
	return strings.TrimSpace(strings.Join(out, " "))
}

func pgIndexColumns(params []*pg.Node) []string {
	var out []string
	for _, p := range params {
		if name := p.GetIndexElem().GetName(); name != "" {
			out = append(out, name)
		}
	}
	return out
}

func (s *pgStatement) function(v *pg.CreateFunctionStmt) {
	kind := "function"
	if v.IsProcedure {
		kind = "procedure"
	}
	e := s.create(kind, pgName(pgStrings(v.Funcname)))
	e.Replaces = v.Replace
	e.Object.Args = "(" + strings.Join(pgTypes(v.Parameters), ", ") + ")"
}
