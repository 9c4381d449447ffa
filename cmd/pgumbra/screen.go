package main

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/pgumbra/pgumbra/internal/human"
)

// screen is stderr, shared by log lines and by the bars below them: what is
// logged takes the bars away first, so that neither overwrites the other.
type screen struct {
	mu    sync.Mutex
	file  *os.File
	drawn int // lines of bars on it
}

// Write puts log text where the bars were; the next redraw puts them below it.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	if _, err := s.file.WriteString(human.Fold(string(p), widthOf(s.file))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// show puts lines in place of those shown before. Each stays on one line of the
// terminal: a wrapped one would be left behind by the next redraw.
func (s *screen) show(lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	if len(lines) == 0 {
		return
	}
	width, height, err := term.GetSize(int(s.file.Fd()))
	if err != nil || width < 20 {
		width, height = 80, 24
	}
	lines = lines[:min(len(lines), max(height-1, 1))]
	for i, line := range lines {
		if r := []rune(line); len(r) >= width {
			lines[i] = string(r[:width-1])
		}
	}
	fmt.Fprint(s.file, strings.Join(lines, "\n")+"\n")
	s.drawn = len(lines)
}

// clear begins at the first column: the terminal echoes ^C and whatever is typed meanwhile.
func (s *screen) clear() {
	if s.drawn > 0 {
		fmt.Fprintf(s.file, "\r\x1b[%dA\x1b[J", s.drawn)
		s.drawn = 0
	}
}
