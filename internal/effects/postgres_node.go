package effects

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// node adds the effects of one statement of the grammar. What no case knows adds nothing, and the
// caller makes it opaque.
func (s *pgStatement) node(n *pg.Node) {
	if s.tableNode(n) || s.dataNode(n) || s.objectNode(n) || s.alterNode(n) || s.accessNode(n) {
		return
	}
	s.otherNode(n)
}

// otherNode: statements that leave no object changed, or run something that cannot be read.
func (s *pgStatement) otherNode(n *pg.Node) {
	switch v := n.GetNode().(type) {
	case *pg.Node_TransactionStmt:
		s.add(Effect{Kind: Transaction, Detail: firstWords(s.src)})
	case *pg.Node_VariableSetStmt:
		s.setting(v.VariableSetStmt)
	case *pg.Node_VariableShowStmt:
		s.add(Effect{Kind: Read, Detail: firstWords(s.src)})
	case *pg.Node_ConstraintsSetStmt, *pg.Node_DeallocateStmt, *pg.Node_UnlistenStmt, *pg.Node_ClosePortalStmt:
		s.add(Effect{Kind: Session, Detail: firstWords(s.src)})
	case *pg.Node_DiscardStmt:
		s.autocommit = strings.EqualFold(s.word(1), "all")
		s.add(Effect{Kind: Session, Detail: firstWords(s.src)})
	case *pg.Node_LockStmt:
		for _, r := range v.LockStmt.Relations {
			s.add(Effect{Kind: Session, Table: pgRange(r.GetRangeVar()), Detail: "LOCK TABLE"})
		}
	case *pg.Node_DoStmt:
		s.effects = append(s.effects, opaque("", "DO block")...)
	case *pg.Node_CallStmt:
		s.effects = append(s.effects, opaque("", "CALL "+strings.Join(pgStrings(v.CallStmt.GetFunccall().GetFuncname()), ".")+"()")...)
	case *pg.Node_PrepareStmt, *pg.Node_ExecuteStmt:
		s.effects = append(s.effects, opaque(s.src, "")...)
	case *pg.Node_NotifyStmt:
		s.add(Effect{Kind: External, Detail: "NOTIFY " + v.NotifyStmt.Conditionname})
	case *pg.Node_ListenStmt:
		s.add(Effect{Kind: Session, Detail: "LISTEN " + v.ListenStmt.Conditionname})
	case *pg.Node_LoadStmt:
		s.add(Effect{Kind: External, Detail: "LOAD: code of a shared library runs in the server"})
	case *pg.Node_CheckPointStmt:
		s.add(Effect{Kind: Maintenance, Detail: "CHECKPOINT"})
	case *pg.Node_VacuumStmt:
		s.vacuum(v.VacuumStmt)
	case *pg.Node_ClusterStmt:
		s.autocommit = v.ClusterStmt.Relation == nil
		s.add(Effect{Kind: Maintenance, Table: pgRange(v.ClusterStmt.Relation), Detail: "CLUSTER"})
	case *pg.Node_ReindexStmt:
		s.reindex(v.ReindexStmt)
	case *pg.Node_RefreshMatViewStmt:
		r := v.RefreshMatViewStmt
		s.add(Effect{Kind: Maintenance, Object: Object{Kind: "materialized view", Name: pgRange(r.Relation)},
			Concurrently: r.Concurrent, Detail: "REFRESH MATERIALIZED VIEW"})
	}
}

func (s *pgStatement) setting(v *pg.VariableSetStmt) {
	e := Effect{Kind: Session, Detail: firstWords(s.src)}
	if v.Name != "" {
		e.Object = Object{Kind: "setting", Name: Name{Name: v.Name}}
	}
	if v.Name == "session_authorization" && (v.Kind == pg.VariableSetKind_VAR_SET_VALUE || v.Kind == pg.VariableSetKind_VAR_SET_CURRENT) {
		e.Refused = "a migration must stay the account that it began as: " + firstWords(s.src)
	}
	s.add(e)
}

func (s *pgStatement) vacuum(v *pg.VacuumStmt) {
	e := Effect{Kind: Maintenance, Detail: "ANALYZE"}
	if v.IsVacuumcmd {
		s.autocommit, e.Detail = true, "VACUUM"
		for _, o := range v.Options {
			if d := o.GetDefElem(); d.GetDefname() == "full" && pgTrue(d.Arg) {
				e.Detail = "VACUUM FULL"
			}
		}
	}
	if len(v.Rels) == 0 {
		s.add(e)
	}
	for _, r := range v.Rels {
		e.Table = pgRange(r.GetVacuumRelation().GetRelation())
		s.add(e)
	}
}

func (s *pgStatement) reindex(v *pg.ReindexStmt) {
	e := Effect{Kind: Maintenance, Detail: "REINDEX"}
	for _, p := range v.Params {
		if d := p.GetDefElem(); d.GetDefname() == "concurrently" && pgTrue(d.Arg) {
			e.Concurrently, s.autocommit = true, true
		}
	}
	switch v.Kind {
	case pg.ReindexObjectType_REINDEX_OBJECT_TABLE:
		e.Table = pgRange(v.Relation)
	case pg.ReindexObjectType_REINDEX_OBJECT_INDEX:
		e.Object = Object{Kind: "index", Name: pgRange(v.Relation)}
	case pg.ReindexObjectType_REINDEX_OBJECT_SCHEMA:
		e.Object, s.autocommit = Object{Kind: "schema", Name: Name{Name: v.Name}}, true
	default:
		e.Object, s.autocommit = Object{Kind: "database", Name: Name{Name: v.Name}}, true
	}
	s.add(e)
}

// pgTrue reads the value of an option; an option without a value is on.
func pgTrue(n *pg.Node) bool {
	switch v := n.GetNode().(type) {
	case nil:
		return true
	case *pg.Node_Boolean:
		return v.Boolean.Boolval
	case *pg.Node_Integer:
		return v.Integer.Ival != 0
	case *pg.Node_String_:
		switch strings.ToLower(v.String_.Sval) {
		case "false", "off", "0", "no":
			return false
		}
	}
	return true
}

func pgCascade(b pg.DropBehavior) bool { return b == pg.DropBehavior_DROP_CASCADE }
