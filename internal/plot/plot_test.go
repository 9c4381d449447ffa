package plot

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func TestPlotIsOneDrawingThatTellsItselfInWords(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 26, 16, 0, 0, 0, time.UTC)
	p := Plot{Title: "Changes <waiting>", Text: func(v float64) string { return fmt.Sprintf("%.0f rows", v) },
		Points: []Point{{began, 0}, {began.Add(time.Minute), 90}, {began.Add(2 * time.Minute), 10}},
		Marks:  []Mark{{began.Add(time.Minute), "following"}, {began.Add(time.Hour), "never"}}}
	svg := p.SVG()
	decoder := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
	}
	for _, want := range []string{"at most 90 rows, at 16:01:00; 10 rows at the end", ">following<", "&lt;waiting&gt;", "M2.0 126.0L180.0 28.0L358.0 115.1"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %q in %s", want, svg)
		}
	}
	if strings.Contains(svg, "never") || strings.Contains(svg, "NaN") {
		t.Error(svg)
	}
	rest := Point{began, 0}
	if got := Busy([]Point{rest, rest, {began, 3}, {began, 1}, rest, rest}); len(got) != 4 || got[0] != rest || got[3] != rest {
		t.Errorf("the busy part is %v", got)
	}
	if got := (Plot{Points: p.Points[:1], Text: p.Text}).SVG(); got != "" {
		t.Errorf("one point is no line: %s", got)
	}
}
