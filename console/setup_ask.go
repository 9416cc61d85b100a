package console

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxTyped bounds what is read of an answer, in bytes, and maxAsked how often a question is repeated.
const (
	maxTyped = 256
	maxAsked = 3
)

// typed reads one line of an answer; ok is false at the end of the input.
func (t *Terminal) typed() (text string, ok bool) {
	one := make([]byte, 1)
	var answer []byte
	for len(answer) < maxTyped {
		n, err := t.In.Read(one)
		if n == 1 && one[0] == '\n' {
			return strings.TrimSpace(string(answer)), true
		}
		answer = append(answer, one[:n]...)
		if err != nil {
			return strings.TrimSpace(string(answer)), len(answer) > 0
		}
	}
	return strings.TrimSpace(string(answer)), true
}

// pick is one of some options: the one that was given by a flag, or that a person picks, or the usual one where nobody is asked.
func (r *setupRun) pick(question, flag, given string, options []string, usual ...string) (string, error) {
	fallback := ""
	if len(usual) > 0 && usual[0] != "" {
		fallback = usual[0]
		if !slices.Contains(options, fallback) {
			options = append(slices.Clone(options), fallback)
		}
	}
	if given != "" {
		if !slices.Contains(options, given) {
			return "", &UsageError{fmt.Sprintf("%s %q makes no sense here", flag, given), "write one of " + strings.Join(options, ", ")}
		}
		return given, nil
	}
	if !r.Asks || r.q.Yes || r.q.DryRun {
		if fallback == "" {
			return "", &UsageError{strings.TrimSuffix(question, "?") + ": that has to be told", "say " + flag + " with one of " + strings.Join(options, ", ")}
		}
		return fallback, nil
	}
	if len(options) == 1 && options[0] == fallback {
		return fallback, nil
	}
	for range maxAsked {
		r.printf("%s\n", clean(question))
		for i, o := range options {
			mark := "  "
			if o == fallback {
				mark = "* "
			}
			r.printf("  %s%d %s\n", mark, i+1, clean(o))
		}
		r.printf("Number or name")
		if fallback != "" {
			r.printf(" [%s]", clean(fallback))
		}
		r.printf(": ")
		answer, ok := r.typed()
		switch n, err := strconv.Atoi(answer); {
		case answer == "" && fallback != "":
			return fallback, nil
		case !ok:
			return "", &UsageError{"there is no answer", "say " + flag}
		case err == nil && n >= 1 && n <= len(options):
			return options[n-1], nil
		case slices.Contains(options, answer):
			return answer, nil
		}
		r.printf("That is none of them.\n")
	}
	return "", &UsageError{"none of the answers makes sense", "say " + flag + " with one of " + strings.Join(options, ", ")}
}
