package setup

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is a client's: major, minor, patch. The zero value is one that is not known.
type Version [3]int

// ParseVersion reads what clients call their version: v8.0.1-abc, 1.17.4-stable, 25.4.0. It is the zero value for what is none.
func ParseVersion(s string) Version {
	s = strings.TrimPrefix(strings.TrimSpace(s), "v")
	var v Version
	for i := range v {
		digits := 0
		for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
			digits++
		}
		n, err := strconv.Atoi(s[:digits])
		if err != nil {
			if i == 0 {
				return Version{}
			}
			break
		}
		v[i] = n
		s = s[digits:]
		if !strings.HasPrefix(s, ".") {
			break
		}
		s = s[1:]
	}
	return v
}

// Known tells whether there is a version at all.
func (v Version) Known() bool { return v != Version{} }

// Before tells whether v is older than w.
func (v Version) Before(w Version) bool {
	for i := range v {
		if v[i] != w[i] {
			return v[i] < w[i]
		}
	}
	return false
}

func (v Version) String() string { return fmt.Sprintf("v%d.%d.%d", v[0], v[1], v[2]) }
