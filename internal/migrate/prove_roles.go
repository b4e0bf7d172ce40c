package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// makingRoles runs f and lists the roles that the migration under judgement made meanwhile: they belong to the server, and stay when the
// database goes. On a server that is not ours alone somebody else may make roles, too: those that the migration does not name are not its own.
func (p *prover) makingRoles(ctx context.Context, f func() error) (made []string, err error) {
	if !slices.ContainsFunc(slices.Concat(p.current.Up, p.current.Down), touchesServer) {
		return nil, f()
	}
	before, err := p.o.Scratch.Roles(ctx)
	if err != nil {
		return nil, err
	}
	err = f()
	after, rerr := p.o.Scratch.Roles(context.WithoutCancel(ctx))
	text := strings.ToLower(p.current.Text)
	for _, name := range after {
		if !slices.Contains(before, name) && (p.o.Scratch.Owned() || strings.Contains(text, strings.ToLower(name))) {
			made = append(made, name)
		}
	}
	return made, errors.Join(err, rerr)
}

// dropRoles drops roles of databases that are gone.
func (p *prover) dropRoles(names []string) {
	ctx, cancel := context.WithTimeout(context.Background(), dropWait)
	defer cancel()
	for _, name := range names {
		if err := p.o.Scratch.DropRole(ctx, name); err != nil && !p.o.Scratch.Owned() {
			p.o.Events(ProofEvent{Text: fmt.Sprintf("%v: it stays on the scratch server", err)})
		}
	}
}
