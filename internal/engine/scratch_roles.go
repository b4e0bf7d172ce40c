package engine

import (
	"context"
	"fmt"
)

// roleKeeper is a place whose databases share roles, which outlive them.
type roleKeeper interface {
	roles(ctx context.Context) ([]string, error)
	dropRole(ctx context.Context, name string) error
}

// roleKeeper is the place, when it is one; nil when it is not.
func (s *Scratch) roleKeeper() roleKeeper {
	k, _ := s.inner().(roleKeeper)
	return k
}

// Roles lists the roles of the server, where there are any that all of its databases share.
func (s *Scratch) Roles(ctx context.Context) ([]string, error) {
	k := s.roleKeeper()
	if k == nil {
		return nil, nil
	}
	names, err := k.roles(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the roles of the scratch server: %w", err)
	}
	return names, nil
}

// DropRole drops a role that a scratch database brought. The server refuses while anything depends on it.
func (s *Scratch) DropRole(ctx context.Context, name string) error {
	k := s.roleKeeper()
	if k == nil {
		return nil
	}
	if err := k.dropRole(ctx, name); err != nil {
		return fmt.Errorf("drop role %s: %w", name, err)
	}
	return nil
}

func (p *postgresScratch) roles(ctx context.Context) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Texts(ctx, p.s, "SELECT rolname FROM pg_catalog.pg_roles ORDER BY 1")
}

func (p *postgresScratch) dropRole(ctx context.Context, name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.s.ExecContext(ctx, "DROP ROLE IF EXISTS "+p.db.Ident(name))
	return err
}
