package main

import "regexp"

// restrict are lines of pg_dump that differ each time.
var restrict = regexp.MustCompile(`(?m)^\\(un)?restrict .*$`)
