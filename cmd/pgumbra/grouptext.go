package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/upgrade"
	"github.com/pgumbra/pgumbra/upgrade/group"
)

// groupText is a line a database, and what to type last.
func (a *app) groupText(s *group.Status, width int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s %s, %s\n", "group", s.Run, human.Plural(len(s.Members), "database"))
	if s.Divided != "" {
		fmt.Fprintf(&b, "%-8s %s\n", "DIVIDED", s.Divided)
	}
	b.WriteString("\n")
	c := human.Columns{Heads: []string{"DATABASE", "PHASE", "PENDING", "VERIFIED", "STANDS"}, Spare: []string{"VERIFIED", "PENDING"}}
	for _, m := range s.Members {
		phase, verified := "-", 0
		if m.Phase != nil {
			phase = strings.ReplaceAll(string(*m.Phase), "_", " ")
		}
		for _, t := range m.Tables {
			if t.VerifiedAt != nil {
				verified++
			}
		}
		says := stands(m)
		if slices.Contains(s.Behind, m.Member) {
			says = "behind the others: the next pgumbra run sees to it before all else"
		}
		c.Add(m.Member, phase, human.Count(m.Journal.Pending), fmt.Sprintf("%d of %d", verified, len(m.Tables)), human.OneLine(says))
	}
	c.Fit(width)
	_ = c.Write(&b)
	fmt.Fprintf(&b, "\npgumbra status --database %s%s shows all of one.\nNext: %s", s.Members[0].Member, a.planFlag(), a.nextOfGroup(s))
	return b.String()
}

// stands is what there is to say of a database in a few words.
func stands(s *upgrade.Status) string {
	switch {
	case s.PlanningSince != nil:
		return "being planned"
	case s.Phase == nil && s.Away != "":
		return "cannot be asked: " + s.Away
	case s.Phase == nil:
		return "no run"
	case s.Failure != "":
		return "stopped: " + s.Failure
	case s.Suspended != "":
		return "suspended with the group: " + s.Suspended
	case s.Away != "":
		return "away: " + s.Away
	case isBack(s) && s.Phase.Over():
		return strings.TrimSuffix(rollbackText(s), ".")
	case s.Phase.Over():
		return "over"
	case s.Phase.Swapped():
		return cutoverText(s)
	case s.Throttled != "":
		return "paused: " + s.Throttled
	case s.Work != nil:
		return workText(s.Work)
	case s.Ready:
		return "ready"
	case len(s.Blockers) > 0:
		return "not ready: " + s.Blockers[0]
	}
	return "not ready"
}

// nextOfGroup is the command that fits the database that is least far.
func (a *app) nextOfGroup(s *group.Status) string {
	if errors.Is(s.Err(), group.ErrAhead) {
		return a.nextOfGroupError(s.Err())
	}
	if s.Divided != "" {
		return "pgumbra run" + a.planFlag() + " takes the other databases over at once, before all else"
	}
	if s.Phase == nil && slices.ContainsFunc(s.Members, func(m *upgrade.Status) bool { return m.Away != "" }) {
		return "pgumbra status" + a.planFlag() + " again, once all databases answer; until then the others wait, and what is written is recorded"
	}
	if s.Phase == nil {
		return "pgumbra run" + a.planFlag()
	}
	for _, m := range s.Members {
		if m.Phase != nil && *m.Phase == *s.Phase && (!m.Ready || s.Ready) {
			return a.nextOf(m)
		}
	}
	return a.nextOf(s.Members[0])
}

// whereGroupStands is what a command that failed says of each database.
func (a *app) whereGroupStands() string {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	var all []string
	for _, m := range a.file.Members {
		s, err := upgrade.ReadStatus(ctx, m)
		switch {
		case err != nil:
			all = append(all, m.Member+": not known")
		case s.Phase == nil:
			all = append(all, m.Member+": has not begun")
		case s.Failure != "":
			all = append(all, fmt.Sprintf("%s: phase %s, stopped: %s", m.Member, *s.Phase, s.Failure))
		default:
			all = append(all, fmt.Sprintf("%s: phase %s", m.Member, *s.Phase))
		}
	}
	return "The databases of the group:\n  " + strings.Join(all, "\n  ")
}

// nextOfGroupError is what to type after an error that is the group's alone.
func (a *app) nextOfGroupError(err error) string {
	p := a.planFlag()
	switch {
	case errors.Is(err, group.ErrDivided):
		return "pgumbra run" + p + " takes the other databases over at once, before all else; nothing is lost until then"
	case errors.Is(err, group.ErrAhead):
		return "pgumbra rollback" + p + " takes those back that are swapped, with what was written to them"
	case errors.Is(err, upgrade.ErrInGroup):
		return "the same command with the plan file that the run was begun with: --plan FILE"
	}
	return ""
}
