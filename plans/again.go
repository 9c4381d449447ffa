package plans

// FollowAgain makes of the plan that of a run that was rolled back and whose shadow,
// which was production meanwhile, is followed again. What clients wrote into columns
// that the migrations add is the shadow's own by now: rows that are there keep it,
// as the old side keeps columns that the new one does not hold, and new ones get
// what the plan says. Rows that no key tells apart cannot keep anything.
func (p *Plan) FollowAgain() {
	for i := range p.Tables {
		t := &p.Tables[i]
		if t.Feed != Copied || len(t.Key) == 0 {
			continue
		}
		for j := range t.Columns {
			if c := &t.Columns[j]; c.Origin == FromDefault && !c.Generated && !c.Looks && !t.keyed(c.Shadow) {
				c.Volatile = true
			}
		}
	}
}

func (t *Table) keyed(column string) bool {
	for _, k := range t.Key {
		if k.Shadow == column {
			return true
		}
	}
	return false
}

// ComesForth reports whether a table of the shadow equals what production makes of
// it after a rollback: its rows went back, all of them, so that there is nothing to
// copy when it is followed again. Rows that were derived or divided did not.
func (p *Plan) ComesForth(t *Table) bool {
	if t.Feed != Copied {
		return t.Feed != Derived
	}
	s := &p.Sources[t.Source]
	return s.Back != nil || p.feederOf(s) == t
}
