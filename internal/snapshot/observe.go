package snapshot

// seen gives the values that an observer writes for one row that a statement hit, as a SELECT list: what happened to it, the key under
// which it is now, its key and values from before and, of a row that later statements may hit again, a hash of each image. read gives the
// expression of one field in the image old or now, as the engine's observers call them; "" is an image that there is not.
func (s *Store) seen(x *capture, op, old, now string, read func(image string, f field) string) string {
	of := func(image string, f field) string {
		if image == "" {
			return "NULL"
		}
		return read(image, f)
	}
	out := []string{"'" + op + "'"}
	place := now
	if place == "" {
		place = old
	}
	for _, f := range x.Key {
		out = append(out, of(place, f))
	}
	if x.Moved {
		for _, f := range x.Key {
			out = append(out, of(old, f))
		}
	}
	for _, f := range x.Fields {
		out = append(out, of(old, f))
	}
	if x.chain {
		for _, image := range []string{old, now} {
			if image == "" {
				out = append(out, "NULL")
				continue
			}
			var exprs []string
			for _, f := range x.Fields {
				exprs = append(exprs, read(image, f))
			}
			out = append(out, s.hash(exprs))
		}
	}
	return list(out)
}
