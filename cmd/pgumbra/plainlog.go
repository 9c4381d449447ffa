package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/pgumbra/pgumbra/internal/human"
)

// plainLog writes log lines as somebody at a terminal reads them: the time of
// day, the level where it is not info, the message and its values.
type plainLog struct {
	out   io.Writer // takes whole lines from several goroutines
	level slog.Level
	with  string // of WithAttrs, written already
	group string
}

func (p *plainLog) Enabled(_ context.Context, level slog.Level) bool { return level >= p.level }

func (p *plainLog) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Time.Format("15:04:05 "))
	if r.Level != slog.LevelInfo {
		b.WriteString(strings.ToLower(r.Level.String()) + ": ")
	}
	b.WriteString(human.OneLine(r.Message) + p.with)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == r.Message { // phase: building
			b.WriteString(" " + human.OneLine(a.Value.Resolve().String()))
			return true
		}
		b.WriteString(p.attr(a))
		return true
	})
	_, err := io.WriteString(p.out, b.String()+"\n")
	return err
}

func (p *plainLog) attr(a slog.Attr) string {
	if a.Equal(slog.Attr{}) {
		return ""
	}
	value := a.Value.Resolve()
	text := human.OneLine(value.String())
	if value.Kind() == slog.KindFloat64 {
		text = fmt.Sprintf("%.1f", value.Float64())
	}
	if text == "" {
		return ""
	}
	return fmt.Sprintf("  %s%s: %s", p.group, strings.ReplaceAll(a.Key, "_", " "), text)
}

func (p *plainLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *p
	for _, a := range attrs {
		next.with += p.attr(a)
	}
	return &next
}

func (p *plainLog) WithGroup(name string) slog.Handler {
	next := *p
	next.group += name + "."
	return &next
}
