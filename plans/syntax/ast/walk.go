package ast

import (
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Visit calls f on a message and all messages in it, outer first; f returning
// false keeps it from looking inside.
func Visit(m proto.Message, f func(proto.Message) bool) {
	if m == nil || !m.ProtoReflect().IsValid() {
		return
	}
	visitMessage(m.ProtoReflect(), f)
}

func visitMessage(m protoreflect.Message, f func(proto.Message) bool) {
	if !f(m.Interface()) {
		return
	}
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if field.Message() == nil {
			return true
		}
		if field.IsList() {
			for i := range v.List().Len() {
				visitMessage(v.List().Get(i).Message(), f)
			}
			return true
		}
		visitMessage(v.Message(), f)
		return true
	})
}

// Rewrite replaces nodes in place, outer first: a nil answer of f means to
// look inside.
func Rewrite(n *pgq.Node, f func(*pgq.Node) (*pgq.Node, error)) (*pgq.Node, error) {
	if n == nil {
		return nil, nil
	}
	replaced, err := f(n)
	if replaced != nil || err != nil {
		return replaced, err
	}
	return n, rewriteInside(n.ProtoReflect(), f)
}

type slot struct {
	field protoreflect.FieldDescriptor
	value protoreflect.Value
}

func rewriteInside(m protoreflect.Message, f func(*pgq.Node) (*pgq.Node, error)) error {
	var slots []slot
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if field.Message() != nil {
			slots = append(slots, slot{field, v})
		}
		return true
	})
	for _, s := range slots {
		if err := rewriteSlot(m, s, f); err != nil {
			return err
		}
	}
	return nil
}

func rewriteSlot(m protoreflect.Message, s slot, f func(*pgq.Node) (*pgq.Node, error)) error {
	if !s.field.IsList() {
		v, err := rewriteValue(s.value, f)
		if err == nil {
			m.Set(s.field, v)
		}
		return err
	}
	list := s.value.List()
	for i := range list.Len() {
		v, err := rewriteValue(list.Get(i), f)
		if err != nil {
			return err
		}
		list.Set(i, v)
	}
	return nil
}

func rewriteValue(v protoreflect.Value, f func(*pgq.Node) (*pgq.Node, error)) (protoreflect.Value, error) {
	n, isNode := v.Message().Interface().(*pgq.Node)
	if !isNode {
		return v, rewriteInside(v.Message(), f)
	}
	replaced, err := Rewrite(n, f)
	if err != nil {
		return v, err
	}
	return protoreflect.ValueOfMessage(replaced.ProtoReflect()), nil
}

// Clone copies a tree; nil stays nil.
func Clone(n *pgq.Node) *pgq.Node {
	if n == nil {
		return nil
	}
	return proto.CloneOf(n)
}

// Strings are the parts of a qualified name.
func Strings(nodes []*pgq.Node) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.GetString_().GetSval())
	}
	return out
}

// Last is the name itself of a qualified one.
func Last(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[len(names)-1]
}

// Same compares trees without the places in the text.
func Same(a, b *pgq.Node) bool {
	x, y := Clone(a), Clone(b)
	clearLocations(x)
	clearLocations(y)
	return proto.Equal(x, y)
}

func clearLocations(n *pgq.Node) {
	Visit(n, func(m proto.Message) bool {
		r := m.ProtoReflect()
		fields := r.Descriptor().Fields()
		for i := range fields.Len() {
			if field := fields.Get(i); strings.HasSuffix(string(field.Name()), "location") {
				r.Clear(field)
			}
		}
		return true
	})
}
