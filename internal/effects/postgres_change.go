package effects

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// alterNode: statements that drop, rename or alter an object that exists.
func (s *pgStatement) alterNode(n *pg.Node) bool {
	switch v := n.GetNode().(type) {
	case *pg.Node_DropStmt:
		s.drop(v.DropStmt)
	case *pg.Node_RenameStmt:
		s.rename(v.RenameStmt)
	case *pg.Node_AlterObjectSchemaStmt:
		s.setSchema(v.AlterObjectSchemaStmt)
	case *pg.Node_AlterOwnerStmt:
		s.alterObject(s.objectOf(v.AlterOwnerStmt.ObjectType, v.AlterOwnerStmt.Object), "OWNER TO "+v.AlterOwnerStmt.Newowner.GetRolename())
	case *pg.Node_AlterEnumStmt:
		detail := "ADD VALUE"
		if v.AlterEnumStmt.OldVal != "" {
			detail = "RENAME VALUE"
		}
		s.alterObject(Object{Kind: "type", Name: pgName(pgStrings(v.AlterEnumStmt.TypeName))}, detail)
		s.effects[len(s.effects)-1].IfExists = v.AlterEnumStmt.SkipIfNewValExists
	case *pg.Node_AlterTypeStmt:
		s.alterObject(Object{Kind: "type", Name: pgName(pgStrings(v.AlterTypeStmt.TypeName))}, "")
	case *pg.Node_AlterDomainStmt:
		s.alterObject(Object{Kind: "domain", Name: pgName(pgStrings(v.AlterDomainStmt.TypeName))}, "")
		s.effects[len(s.effects)-1].Cascade = pgCascade(v.AlterDomainStmt.Behavior)
	case *pg.Node_AlterSeqStmt:
		detail := ""
		if o := v.AlterSeqStmt.Options; len(o) == 1 && o[0].GetDefElem().GetDefname() == "restart" {
			detail = "RESTART" // the value, not the definition
		}
		s.alterObject(Object{Kind: "sequence", Name: pgRange(v.AlterSeqStmt.Sequence)}, detail)
		s.effects[len(s.effects)-1].IfExists = v.AlterSeqStmt.MissingOk
	case *pg.Node_AlterFunctionStmt:
		s.alterObject(pgRoutine(pgObjectKind(v.AlterFunctionStmt.Objtype), v.AlterFunctionStmt.Func), "")
	case *pg.Node_AlterPolicyStmt:
		s.alterObject(Object{Kind: "policy", Name: Name{Name: v.AlterPolicyStmt.PolicyName}}, "")
		s.effects[len(s.effects)-1].Table = pgRange(v.AlterPolicyStmt.Table)
	case *pg.Node_DropdbStmt:
		s.autocommit = true
		s.add(Effect{Kind: DropSchema, Object: Object{Kind: "database", Name: Name{Name: v.DropdbStmt.Dbname}},
			IfExists: v.DropdbStmt.MissingOk, Cascade: true})
	case *pg.Node_DropOwnedStmt:
		s.effects = append(s.effects, opaque("", "DROP OWNED BY "+pgRoles(v.DropOwnedStmt.Roles))...)
	case *pg.Node_ReassignOwnedStmt:
		s.alterObject(Object{Kind: "objects owned by", Name: Name{Name: pgRoles(v.ReassignOwnedStmt.Roles)}}, "REASSIGN OWNED")
	default:
		return s.rareChange(n)
	}
	return true
}

func (s *pgStatement) alterObject(o Object, detail string) {
	if detail == "" {
		detail = firstWords(s.src)
	}
	s.add(Effect{Kind: Alter, Object: o, Detail: detail})
}

// rareChange: changes of objects that migrations seldom touch.
func (s *pgStatement) rareChange(n *pg.Node) bool {
	named := func(kind, name string) { s.alterObject(Object{Kind: kind, Name: Name{Name: name}}, "") }
	// The options of these may hold passwords.
	secret := func(kind, name string) {
		s.alterObject(Object{Kind: kind, Name: Name{Name: name}}, "ALTER "+strings.ToUpper(kind))
	}
	listed := func(kind string, name []*pg.Node) {
		s.alterObject(Object{Kind: kind, Name: pgName(pgStrings(name))}, "")
	}
	gone := func(kind, name string, missing bool) {
		s.add(Effect{Kind: Drop, Object: Object{Kind: kind, Name: Name{Name: name}}, IfExists: missing})
	}
	switch v := n.GetNode().(type) {
	case *pg.Node_AlterExtensionStmt:
		named("extension", v.AlterExtensionStmt.Extname)
	case *pg.Node_AlterExtensionContentsStmt:
		named("extension", v.AlterExtensionContentsStmt.Extname)
	case *pg.Node_AlterPublicationStmt:
		named("publication", v.AlterPublicationStmt.Pubname)
	case *pg.Node_AlterSubscriptionStmt:
		secret("subscription", v.AlterSubscriptionStmt.Subname)
		s.add(Effect{Kind: External, Detail: "ALTER SUBSCRIPTION may connect to another server"})
	case *pg.Node_DropSubscriptionStmt:
		s.autocommit = true
		gone("subscription", v.DropSubscriptionStmt.Subname, v.DropSubscriptionStmt.MissingOk)
		s.add(Effect{Kind: External, Detail: "DROP SUBSCRIPTION drops a slot on another server"})
	case *pg.Node_AlterStatsStmt:
		listed("statistics", v.AlterStatsStmt.Defnames)
	case *pg.Node_AlterEventTrigStmt:
		named("event trigger", v.AlterEventTrigStmt.Trigname)
	case *pg.Node_AlterFdwStmt:
		secret("foreign-data wrapper", v.AlterFdwStmt.Fdwname)
	case *pg.Node_AlterForeignServerStmt:
		secret("server", v.AlterForeignServerStmt.Servername)
	case *pg.Node_AlterUserMappingStmt:
		secret("user mapping", v.AlterUserMappingStmt.Servername)
		if found := pgPassword(v.AlterUserMappingStmt.Options); found != "" {
			s.effects[len(s.effects)-1].Detail = found
		}
	case *pg.Node_DropUserMappingStmt:
		gone("user mapping", v.DropUserMappingStmt.Servername, v.DropUserMappingStmt.MissingOk)
	case *pg.Node_AlterOpFamilyStmt:
		listed("operator family", v.AlterOpFamilyStmt.Opfamilyname)
	case *pg.Node_AlterOperatorStmt:
		s.alterObject(pgRoutine("operator", v.AlterOperatorStmt.Opername), "")
	case *pg.Node_AlterCollationStmt:
		listed("collation", v.AlterCollationStmt.Collname)
	case *pg.Node_AlterTsdictionaryStmt:
		listed("text search dictionary", v.AlterTsdictionaryStmt.Dictname)
	case *pg.Node_AlterTsconfigurationStmt:
		listed("text search configuration", v.AlterTsconfigurationStmt.Cfgname)
	case *pg.Node_AlterObjectDependsStmt:
		s.alterObject(s.objectOf(v.AlterObjectDependsStmt.ObjectType, v.AlterObjectDependsStmt.Object), "")
	case *pg.Node_AlterTableSpaceOptionsStmt:
		named("tablespace", v.AlterTableSpaceOptionsStmt.Tablespacename)
	case *pg.Node_DropTableSpaceStmt:
		s.autocommit = true
		gone("tablespace", v.DropTableSpaceStmt.Tablespacename, v.DropTableSpaceStmt.MissingOk)
	case *pg.Node_AlterDatabaseStmt:
		for _, o := range v.AlterDatabaseStmt.Options {
			s.autocommit = s.autocommit || o.GetDefElem().GetDefname() == "tablespace"
		}
		named("database", v.AlterDatabaseStmt.Dbname)
	case *pg.Node_AlterDatabaseSetStmt:
		named("database", v.AlterDatabaseSetStmt.Dbname)
	case *pg.Node_AlterDatabaseRefreshCollStmt:
		named("database", v.AlterDatabaseRefreshCollStmt.Dbname)
	case *pg.Node_AlterSystemStmt:
		s.autocommit = true
		s.add(Effect{Kind: External, Detail: firstWords(s.src)})
	default:
		return false
	}
	return true
}

func pgRoles(nodes []*pg.Node) string {
	var out []string
	for _, n := range nodes {
		if r := n.GetRoleSpec(); r.GetRolename() != "" {
			out = append(out, r.Rolename)
		} else {
			out = append(out, strings.ToLower(strings.TrimPrefix(r.GetRoletype().String(), "ROLESPEC_")))
		}
	}
	return strings.Join(out, ", ")
}

func pgRoutine(kind string, o *pg.ObjectWithArgs) Object {
	out := Object{Kind: kind, Name: pgName(pgStrings(o.GetObjname()))}
	if o == nil || o.ArgsUnspecified {
		return out
	}
	args := pgTypes(o.Objargs)
	if len(o.Objfuncargs) > 0 {
		args = pgTypes(o.Objfuncargs)
	}
	out.Args = "(" + strings.Join(args, ", ") + ")"
	return out
}

// objectOf names an object of any kind as the grammar gives it. Where the object belongs to a table
// (trigger, policy, rule, constraint, column) the list's last part is the object.
func (s *pgStatement) objectOf(t pg.ObjectType, n *pg.Node) Object {
	kind := pgObjectKind(t)
	switch v := n.GetNode().(type) {
	case *pg.Node_ObjectWithArgs:
		return pgRoutine(kind, v.ObjectWithArgs)
	case *pg.Node_String_:
		return Object{Kind: kind, Name: Name{Name: v.String_.Sval}}
	case *pg.Node_TypeName:
		return Object{Kind: kind, Name: pgName(pgStrings(v.TypeName.Names))}
	case *pg.Node_List:
		return pgListed(t, kind, v.List.Items)
	case *pg.Node_RangeVar:
		return Object{Kind: kind, Name: pgRange(v.RangeVar)}
	}
	return Object{Kind: kind, Name: Name{Name: firstWords(s.src)}}
}

func pgListed(t pg.ObjectType, kind string, items []*pg.Node) Object {
	names := pgStrings(items)
	switch t {
	case pg.ObjectType_OBJECT_CAST:
		if types := pgTypes(items); len(types) == 2 {
			return Object{Kind: kind, Name: Name{Name: "(" + types[0] + " AS " + types[1] + ")"}}
		}
	case pg.ObjectType_OBJECT_TRANSFORM:
		if types := pgTypes(items); len(types) == 1 && len(names) == 1 {
			return Object{Kind: kind, Name: Name{Name: "FOR " + types[0] + " LANGUAGE " + names[0]}}
		}
	case pg.ObjectType_OBJECT_OPCLASS, pg.ObjectType_OBJECT_OPFAMILY:
		if len(names) > 1 { // the access method comes first
			return Object{Kind: kind, Name: pgName(names[1:])}
		}
	case pg.ObjectType_OBJECT_DOMCONSTRAINT:
		if len(names) > 0 {
			return Object{Kind: kind, Name: Name{Name: names[len(names)-1]}}
		}
	}
	if pgOfTable(t) && len(names) > 0 {
		return Object{Kind: kind, Name: Name{Name: names[len(names)-1]}}
	}
	return Object{Kind: kind, Name: pgName(names)}
}

// pgOfTable: the kinds whose name is found within a table.
func pgOfTable(t pg.ObjectType) bool {
	switch t {
	case pg.ObjectType_OBJECT_TRIGGER, pg.ObjectType_OBJECT_POLICY, pg.ObjectType_OBJECT_RULE,
		pg.ObjectType_OBJECT_TABCONSTRAINT, pg.ObjectType_OBJECT_COLUMN:
		return true
	}
	return false
}

// pgTableOf is the table in front of such a name.
func pgTableOf(t pg.ObjectType, n *pg.Node) Name {
	names := pgList(n)
	if !pgOfTable(t) || len(names) < 2 {
		return Name{}
	}
	return pgName(names[:len(names)-1])
}

func (s *pgStatement) drop(v *pg.DropStmt) {
	s.autocommit = s.autocommit || v.Concurrent
	for _, n := range v.Objects {
		e := Effect{Kind: Drop, IfExists: v.MissingOk, Cascade: pgCascade(v.Behavior), Concurrently: v.Concurrent}
		switch v.RemoveType {
		case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_FOREIGN_TABLE:
			e.Kind, e.Table = DropTable, pgName(pgList(n))
			if v.RemoveType == pg.ObjectType_OBJECT_FOREIGN_TABLE {
				e.Detail = "foreign table"
			}
		case pg.ObjectType_OBJECT_SCHEMA:
			e.Kind, e.Object = DropSchema, s.objectOf(v.RemoveType, n)
		default:
			e.Object, e.Table = s.objectOf(v.RemoveType, n), pgTableOf(v.RemoveType, n)
		}
		s.add(e)
	}
}

func (s *pgStatement) rename(v *pg.RenameStmt) {
	e := Effect{Kind: Rename, NewName: Name{Name: v.Newname}, IfExists: v.MissingOk, IfTable: v.MissingOk, Table: pgRange(v.Relation)}
	switch v.RenameType {
	case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_FOREIGN_TABLE:
		e.Kind, e.NewName.Schema = RenameTable, e.Table.Schema
	case pg.ObjectType_OBJECT_COLUMN:
		e.Columns = []string{v.Subname}
		if v.RelationType == pg.ObjectType_OBJECT_TABLE || v.RelationType == pg.ObjectType_OBJECT_FOREIGN_TABLE {
			e.Kind = RenameColumn
			break
		}
		e.Object, e.Table = Object{Kind: pgObjectKind(v.RelationType), Name: e.Table}, Name{}
	case pg.ObjectType_OBJECT_ATTRIBUTE:
		e.Columns = []string{v.Subname}
		e.Object, e.Table = Object{Kind: "type", Name: e.Table}, Name{}
	case pg.ObjectType_OBJECT_INDEX, pg.ObjectType_OBJECT_VIEW, pg.ObjectType_OBJECT_MATVIEW, pg.ObjectType_OBJECT_SEQUENCE:
		e.Object, e.Table = Object{Kind: pgObjectKind(v.RenameType), Name: e.Table}, Name{}
		e.NewName.Schema = e.Object.Name.Schema
	case pg.ObjectType_OBJECT_TABCONSTRAINT, pg.ObjectType_OBJECT_TRIGGER, pg.ObjectType_OBJECT_POLICY, pg.ObjectType_OBJECT_RULE:
		e.Object = Object{Kind: pgObjectKind(v.RenameType), Name: Name{Name: v.Subname}}
	case pg.ObjectType_OBJECT_DOMCONSTRAINT:
		e.Object = Object{Kind: "domain constraint", Name: Name{Name: v.Subname}}
	case pg.ObjectType_OBJECT_SCHEMA, pg.ObjectType_OBJECT_DATABASE, pg.ObjectType_OBJECT_ROLE, pg.ObjectType_OBJECT_TABLESPACE:
		e.Object = Object{Kind: pgObjectKind(v.RenameType), Name: Name{Name: v.Subname}}
	default:
		e.Object = s.objectOf(v.RenameType, v.Object)
		e.NewName.Schema = e.Object.Name.Schema
	}
	s.add(e)
}

func (s *pgStatement) setSchema(v *pg.AlterObjectSchemaStmt) {
	e := Effect{Kind: SetSchema, IfExists: v.MissingOk, IfTable: v.MissingOk}
	switch v.ObjectType {
	case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_FOREIGN_TABLE:
		e.Table = pgRange(v.Relation)
		e.NewName = Name{Schema: v.Newschema, Name: e.Table.Name}
	default:
		if v.Relation != nil {
			e.Object = Object{Kind: pgObjectKind(v.ObjectType), Name: pgRange(v.Relation)}
		} else {
			e.Object = s.objectOf(v.ObjectType, v.Object)
		}
		e.NewName = Name{Schema: v.Newschema, Name: e.Object.Name.Name}
	}
	s.add(e)
}
