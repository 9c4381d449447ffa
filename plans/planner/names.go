package planner

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxName is the longest name PostgreSQL keeps, in bytes.
const maxName = 63

// fitName shortens a name that PostgreSQL would cut: two long names that begin
// alike must not become one.
func fitName(name string) string {
	if len(name) <= maxName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	cut := name[:maxName-9]
	for !utf8.ValidString(cut) {
		cut = cut[:len(cut)-1]
	}
	return cut + "_" + hex.EncodeToString(sum[:4])
}

// runWord is a run's name as a part of names in the database.
func runWord(run string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return '_'
	}, run)
}

// scratchName holds production's database too: run names are unique in a
// database, scratch databases in a whole server.
func scratchName(run, database string) string {
	return fitName("pgumbra_" + runWord(run) + "_" + database + "_scratch")
}

func shadowSchema(run, name string) string { return fitName("pgumbra_" + runWord(run) + "_" + name) }

// oldSchema is of the nth run of a name whose old side is kept; 1: of the first.
func oldSchema(run string, n int, name string) string {
	nth := ""
	if n > 1 {
		nth = strconv.Itoa(n)
	}
	return fitName("pgumbra_" + runWord(run) + "_old" + nth + "_" + name)
}
