package client

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNoFlag is wrapped by FindFlag's error when the arguments do not have the flag at all.
var ErrNoFlag = errors.New("no checkpoint flag")

// FlagError says why the checkpoint URL among arguments cannot be worked with, and the mend. No argument is quoted in it, because
// there may be secrets among them.
type FlagError struct {
	// Arg is the argument's index; -1: the arguments as a whole.
	Arg    int
	Reason string
	Mend   string
	err    error
}

func (e *FlagError) Error() string {
	if e.Mend == "" {
		return e.Reason
	}
	return e.Reason + ": " + e.Mend
}

// Unwrap returns ErrNoFlag where it applies.
func (e *FlagError) Unwrap() error { return e.err }

// grammar is how a client reads its command line.
type grammar struct {
	// flags are the spellings of the flag, the client's own first.
	flags []string
	// join are the bytes that may stand between flag and value in one argument.
	join string
	// apart tells whether the value may be an argument of its own.
	apart bool
	// other is a flag that is mistaken for it, and otherMend what to write.
	other, otherMend string
}

// The six consensus clients take their checkpoint URL by these flags.
//
//   - Lighthouse: beacon_node/src/cli.rs, by clap, which refuses a flag given twice.
//   - Teku: teku/src/main/java/tech/pegasys/teku/cli/options/Eth2NetworkOptions.java, by picocli, which refuses a flag given twice.
//     Its --initial-state names the state itself, a file or the full URL of one, and cannot stand beside --checkpoint-sync-url.
//   - Prysm: cmd/beacon-chain/sync/checkpoint/options.go, by urfave/cli, which takes one dash as well as two, and of a flag given twice the last.
//   - Nimbus: beacon_chain/conf.nim, by confutils (confutils/cli_parser.nim), which takes = or : between flag and value but no space.
//     --trusted-node-url belongs to the command trustedNodeSync, --external-beacon-api-url to the beacon node.
//   - Lodestar: packages/cli/src/cmds/beacon/options.ts, by yargs (packages/cli/src/cli.ts), which takes a name in camel case in
//     dashes, too, and makes a list, which nothing expects, of a flag given twice.
//   - Grandine: grandine/src/grandine_args.rs, by clap.
var grammars = map[string]grammar{
	"lighthouse": {flags: []string{"--checkpoint-sync-url"}, join: "=", apart: true},
	"teku": {flags: []string{"--checkpoint-sync-url"}, join: "=", apart: true,
		other: "--initial-state", otherMend: "that names one state, not a provider: write --checkpoint-sync-url=URL in its place"},
	"prysm":    {flags: []string{"--checkpoint-sync-url", "-checkpoint-sync-url"}, join: "=", apart: true},
	"nimbus":   {flags: []string{"--trusted-node-url", "--external-beacon-api-url"}, join: "=:"},
	"lodestar": {flags: []string{"--checkpointSyncUrl", "--checkpoint-sync-url"}, join: "=", apart: true},
	"grandine": {flags: []string{"--checkpoint-sync-url"}, join: "=", apart: true},
}

// CheckpointFlags are the flags, dashes included, by which a consensus client (lighthouse, teku, prysm, nimbus, lodestar, grandine)
// takes its checkpoint URL, its own spelling first; nil for a client that is not known.
func CheckpointFlags(name string) []string { return slices.Clone(grammars[name].flags) }

// Place is where a flag's value stands in a list of arguments.
type Place struct {
	// Flag is the flag as it is spelled there.
	Flag string
	// Arg is the index of the argument that holds the value.
	Arg int
	// Start is the byte at which the value begins in that argument: 0 if it is the whole of it, as in --flag URL.
	Start int
	// Value is the value.
	Value string
}

// FindFlag returns the place of the checkpoint URL of the client called name among arguments, which may begin with the program and
// whatever it is wrapped in. A flag that is there more than once is refused: most clients refuse it as well, and the others differ in
// which one counts. So is one within an argument, which only a shell would find. Errors are *FlagError, with ErrNoFlag if there is none.
func FindFlag(args []string, name string) (Place, error) {
	g, ok := grammars[name]
	if !ok {
		return Place{}, &FlagError{Arg: -1, Reason: fmt.Sprintf("the flags of client %q are not known", name), Mend: "name the consensus client"}
	}
	var found []Place
	for i := 0; i < len(args); i++ {
		flag, value, joined := g.split(args[i])
		switch {
		case flag == "":
		case joined:
			found = append(found, Place{Flag: flag, Arg: i, Start: len(args[i]) - len(value), Value: value})
		case !g.apart:
			return Place{}, &FlagError{Arg: i, Reason: flag + " is not joined to its value", Mend: "write " + flag + "=URL"}
		case i+1 == len(args) || strings.HasPrefix(args[i+1], "-"):
			return Place{}, &FlagError{Arg: i, Reason: flag + " has no value", Mend: "write " + flag + "=URL"}
		default:
			i++
			found = append(found, Place{Flag: flag, Arg: i, Value: args[i]})
		}
	}
	switch {
	case len(found) == 0:
		return Place{}, g.missing(args)
	case len(found) > 1:
		return Place{}, &FlagError{Arg: found[1].Arg, Reason: fmt.Sprintf("%s is there more than once", g.named(found)), Mend: "leave one"}
	case found[0].Value == "" && !g.apart:
		return Place{}, &FlagError{Arg: found[0].Arg, Reason: found[0].Flag + " has no value", Mend: "write " + found[0].Flag + "=URL"}
	}
	return found[0], nil
}

// split takes an argument apart if it begins with one of the flags. joined: it has a value, perhaps an empty one.
func (g grammar) split(arg string) (flag, value string, joined bool) {
	for _, f := range g.flags {
		rest, ok := strings.CutPrefix(arg, f)
		switch {
		case !ok:
		case rest == "":
			return f, "", false
		case strings.IndexByte(g.join, rest[0]) >= 0:
			return f, rest[1:], true
		}
	}
	return "", "", false
}

func (g grammar) named(found []Place) string {
	var names []string
	for _, p := range found {
		if !slices.Contains(names, p.Flag) {
			names = append(names, p.Flag)
		}
	}
	return strings.Join(names, " or ")
}

func (g grammar) missing(args []string) error {
	for i, a := range args {
		for _, f := range g.flags {
			if at := strings.Index(a, f); at > 0 && strings.ContainsAny(a[:at], " \t\n;&|'\"") {
				return &FlagError{Arg: i, Reason: f + " is inside a longer argument, which a shell or a wrapper takes apart",
					Mend: "run the client without it, or keep the URL in a variable and name that one", err: ErrNoFlag}
			}
		}
		if g.other != "" && (a == g.other || strings.HasPrefix(a, g.other+"=")) {
			return &FlagError{Arg: i, Reason: "has " + g.other, Mend: g.otherMend, err: ErrNoFlag}
		}
	}
	return &FlagError{Arg: -1, Reason: "has no " + strings.Join(g.flags, " or "), Mend: "give the client that flag", err: ErrNoFlag}
}

// SetFlag returns a copy of args in which the checkpoint flag of the client called name has another value, and nothing else differs.
func SetFlag(args []string, name, url string) ([]string, error) {
	p, err := FindFlag(args, name)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(args)
	out[p.Arg] = args[p.Arg][:p.Start] + url
	now, err := FindFlag(out, name)
	if err != nil {
		return nil, err
	}
	if want := (Place{Flag: p.Flag, Arg: p.Arg, Start: p.Start, Value: url}); now != want {
		return nil, &FlagError{Arg: p.Arg, Reason: "the new value would be read as something else"}
	}
	return out, nil
}
