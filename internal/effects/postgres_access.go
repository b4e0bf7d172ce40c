package effects

import (
	pg "github.com/pganalyze/pg_query_go/v6"
)

// accessNode: comments, privileges and roles.
func (s *pgStatement) accessNode(n *pg.Node) bool {
	switch v := n.GetNode().(type) {
	case *pg.Node_CommentStmt:
		s.comment(v.CommentStmt.Objtype, v.CommentStmt.Object, "")
	case *pg.Node_SecLabelStmt:
		s.comment(v.SecLabelStmt.Objtype, v.SecLabelStmt.Object, "SECURITY LABEL")
	case *pg.Node_GrantStmt:
		s.grant(v.GrantStmt)
	case *pg.Node_GrantRoleStmt:
		for _, r := range v.GrantRoleStmt.GrantedRoles {
			s.add(Effect{Kind: Grant, Object: Object{Kind: "role", Name: Name{Name: r.GetAccessPriv().GetPrivName()}}, Detail: firstWords(s.src)})
		}
	case *pg.Node_AlterDefaultPrivilegesStmt:
		s.add(Effect{Kind: Grant, Object: Object{Kind: "default privileges"}, Detail: firstWords(s.src)})
	case *pg.Node_AlterRoleStmt:
		detail := pgPassword(v.AlterRoleStmt.Options)
		s.alterObject(Object{Kind: "role", Name: Name{Name: v.AlterRoleStmt.Role.GetRolename()}}, firstOf(detail, "ALTER ROLE"))
	case *pg.Node_AlterRoleSetStmt:
		s.alterObject(Object{Kind: "role", Name: Name{Name: v.AlterRoleSetStmt.Role.GetRolename()}}, "")
	case *pg.Node_DropRoleStmt:
		for _, r := range v.DropRoleStmt.Roles {
			s.add(Effect{Kind: Drop, Object: Object{Kind: "role", Name: Name{Name: r.GetRoleSpec().GetRolename()}}, IfExists: v.DropRoleStmt.MissingOk})
		}
	default:
		return false
	}
	return true
}

func (s *pgStatement) comment(t pg.ObjectType, n *pg.Node, detail string) {
	e := Effect{Kind: Comment, Detail: detail}
	switch t {
	case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_FOREIGN_TABLE:
		e.Table = pgName(pgList(n))
	case pg.ObjectType_OBJECT_COLUMN:
		e.Table = pgTableOf(t, n)
		e.Columns = []string{s.objectOf(t, n).Name.Name}
	default:
		e.Object, e.Table = s.objectOf(t, n), pgTableOf(t, n)
	}
	s.add(e)
}

func (s *pgStatement) grant(v *pg.GrantStmt) {
	e := Effect{Kind: Grant, Cascade: pgCascade(v.Behavior), Detail: firstWords(s.src)}
	if v.Targtype == pg.GrantTargetType_ACL_TARGET_ALL_IN_SCHEMA {
		for _, o := range v.Objects {
			e.Object = Object{Kind: "all in schema", Name: Name{Name: o.GetString_().GetSval()}}
			s.add(e)
		}
		return
	}
	for _, o := range v.Objects {
		e.Table, e.Object = Name{}, Object{}
		switch r := o.GetRangeVar(); {
		case r != nil && v.Objtype == pg.ObjectType_OBJECT_TABLE:
			e.Table = pgRange(r)
		default:
			e.Object = s.objectOf(v.Objtype, o)
		}
		s.add(e)
	}
}
