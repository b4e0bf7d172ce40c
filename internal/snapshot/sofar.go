package snapshot

import (
	"context"
	"fmt"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// SealSoFar seals what the last statement captured, in the transaction of that statement. It is for migrations whose statements
// commit one by one: what is written before the last of them ends is not the migration's. A capture whose table a later
// statement touches is sealed again by Seal.
func (c *Capturer) SealSoFar(ctx context.Context, tx engine.Querier, watch Watch) error {
	return c.s.pinned(ctx, tx, func() error {
		for i, x := range c.captures {
			if x.Kind == Definition || x.Kind == KeptColumns || x.Seal.Mode != "" {
				continue
			}
			x.Seal.After = c.statement
			if err := c.seal(ctx, tx, i, x, watch); err != nil {
				return fmt.Errorf("seal the capture of %s: %w", x.Home, err)
			}
			if err := c.s.finish(ctx, tx, x); err != nil {
				return err
			}
		}
		return nil
	})
}

// unseal takes back what SealSoFar did.
func (c *Capturer) unseal(ctx context.Context, tx engine.Querier, x *capture) error {
	if x.Seal.Mode == sealRows || x.Seal.Mode == sealBag || len(x.Seal.Rest) > 0 {
		if err := c.s.drop(ctx, tx, "seal again", c.s.own(x.companion())); err != nil {
			return err
		}
	}
	x.Seal, x.next, x.theirs, x.mixed = seal{}, "", 0, false
	for _, list := range [][]field{x.Key, x.Fields} {
		for i := range list {
			list[i].Seal, list[i].Watched = "", false
		}
	}
	return nil
}

// touched tells whether a statement after the one that made a capture did something to its table.
func (c *Capturer) touched(index int, x *capture) bool {
	if x.later {
		return true
	}
	for _, y := range c.captures[index+1:] {
		if y.Kind != Definition && (y.Identity == x.Identity || y.Home == x.Home) {
			return true
		}
	}
	return false
}

// note remembers which of the captures so far a statement concerns.
func (c *Capturer) note(st effects.Statement) {
	for _, x := range c.captures {
		for _, e := range st.Effects {
			x.later = x.later || c.concerns(e, x)
		}
	}
}

func (c *Capturer) concerns(e effects.Effect, x *capture) bool {
	switch e.Kind {
	case effects.Read, effects.Session, effects.Maintenance, effects.External, effects.Grant, effects.Comment:
		return false
	case effects.Create, effects.Drop, effects.Alter:
		if e.Object.Kind == "index" {
			return false
		}
	}
	if e.Table.Name == "" {
		return true
	}
	now := c.track.stands[strings.ToLower(x.Home.Name)].Name
	if e.Kind == effects.RenameTable && (strings.EqualFold(e.NewName.Name, x.Home.Name) || strings.EqualFold(e.NewName.Name, x.At.Name)) {
		return true // another table takes the place
	}
	return strings.EqualFold(e.Table.Name, x.At.Name) || strings.EqualFold(e.Table.Name, x.Home.Name) || now != "" && strings.EqualFold(e.Table.Name, now)
}
