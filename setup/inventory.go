package setup

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
)

// The inventory's keys.
const (
	KeyUse       = "use_checkpoint_sync"
	KeyURL       = "checkpoint_sync_url"
	KeyConsensus = "cl_extra_opts"
	KeyExecution = "el_extra_opts"
)

// InventoryRequest is what an inventory is to say.
type InventoryRequest struct {
	File string
	// Text is what is there.
	Text []byte
	// Host is the host's name; Exact tells that it was named, and no other will do.
	Host  string
	Exact bool
	// URL is the provider's; "" leaves URL and use_checkpoint_sync as they are.
	URL string
	// Network, and the clients with their versions.
	Network                            string
	Consensus, Execution               string
	ConsensusVersion, ExecutionVersion Version
	// Settings tells that the performance settings are wanted.
	Settings bool
	// TakeOut takes harmful options out; else they stay.
	TakeOut bool
}

// InventoryPlan is what becomes of an inventory.
type InventoryPlan struct {
	// After is the new text; equal to what is there if nothing is to be done.
	After []byte
	// Added are the settings that are added, by key, and Has those that were there already, with whatever value.
	Added, Has []KeyedSetting
	// Harmful are options that should not be there: taken out if that was asked for.
	Harmful []HarmAt
	// Notes are what could not be done, each with file and line.
	Notes []string
}

// KeyedSetting is a setting and the key that it is written to.
type KeyedSetting struct {
	Key string
	Setting
}

// HarmAt is a harmful option and where it stands.
type HarmAt struct {
	Place string
	Harm
	Text string
}

// Read returns what an inventory says of a host's clients, and the URL that it has.
func (q InventoryRequest) Read() (consensus, execution, url string) {
	inv := source.NewInventory(q.File, q.Host, q.Exact, q.Text)
	get := func(key string) string {
		v, err := inv.Value(key)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(v.Text)
	}
	return strings.ToLower(get("cl")), strings.ToLower(get("el")), get(KeyURL)
}

// Plan works out the new text. It fails, with file and line, where it cannot be told what is the host's own, or where the client would not start with
// what would stand there.
func (q InventoryRequest) Plan() (InventoryPlan, error) {
	inv := source.NewInventory(q.File, q.Host, q.Exact, q.Text)
	var p InventoryPlan
	below := ""
	if q.URL != "" {
		if err := source.CheckURL(q.URL); err != nil {
			return p, err
		}
		if err := q.setURL(inv); err != nil {
			return p, err
		}
		below = KeyURL
	}
	for _, o := range []struct {
		key, client string
		version     Version
	}{{KeyConsensus, q.Consensus, q.ConsensusVersion}, {KeyExecution, q.Execution, q.ExecutionVersion}} {
		if o.client == "" {
			continue
		}
		if err := q.options(inv, &p, o.key, o.client, o.version, below); err != nil {
			return p, err
		}
	}
	p.After = inv.Text()
	return p, nil
}

// setURL writes the URL and switches its use on.
func (q InventoryRequest) setURL(inv *source.Inventory) error {
	v, err := inv.Value(KeyURL)
	use, useErr := inv.Value(KeyUse)
	switch {
	case errors.Is(err, source.ErrNoValue) && useErr == nil:
		err = inv.Insert(KeyURL, q.URL, false, KeyUse)
	case errors.Is(err, source.ErrNoValue):
		below := ""
		for _, key := range []string{"cl", "el", KeyConsensus, KeyExecution} {
			if _, err := inv.Value(key); err == nil {
				below = key
				break
			}
		}
		if below == "" {
			return fmt.Errorf("%s: host %q has neither %s nor cl, below which it could be written: %w", q.File, q.Host, KeyURL, err)
		}
		err = inv.Insert(KeyURL, q.URL, false, below)
	case err == nil && v.Text != q.URL:
		err = inv.Set(KeyURL, q.URL)
	}
	if err != nil {
		return err
	}
	switch {
	case errors.Is(useErr, source.ErrNoValue):
		return inv.Insert(KeyUse, "true", true, KeyURL)
	case useErr != nil:
		return useErr
	}
	switch strings.ToLower(use.Text) {
	case "true", "yes", "on", "y":
		return nil
	case "false", "no", "off", "n", "0":
		return inv.Set(KeyUse, "true")
	}
	return &source.PlaceError{File: q.File, Line: use.Line, Reason: fmt.Sprintf("%s is %.80q, neither true nor false", use.Path, use.Text), Mend: "write true there"}
}

// options looks at a client's extra options, and adds to them what is of use.
func (q InventoryRequest) options(inv *source.Inventory, p *InventoryPlan, key, client string, version Version, below string) error {
	v, err := inv.Value(key)
	missing := errors.Is(err, source.ErrNoValue)
	if err != nil && !missing {
		if !q.Settings {
			return nil
		}
		p.Notes = append(p.Notes, "nothing is added: "+err.Error())
		return nil
	}
	at := fmt.Sprintf("%s:%d", q.File, v.Line)
	looked, err := Look(v.Text, client, version, q.Network)
	if missing {
		at = q.File
	}
	taken, harmErr := q.harmful(inv, p, key, at, looked.Harmful)
	if harmErr != nil {
		return harmErr
	}
	if taken { // what stands there has moved
		if v, err = inv.Value(key); err != nil {
			return err
		}
		looked, err = Look(v.Text, client, version, q.Network)
	}
	if !q.Settings {
		return nil
	}
	if err != nil {
		p.Notes = append(p.Notes, fmt.Sprintf("%s: %s: %v: nothing is added", at, key, err))
		return nil
	}
	for _, s := range looked.Has {
		p.Has = append(p.Has, KeyedSetting{key, s})
	}
	if len(looked.Add) == 0 {
		return nil
	}
	var words []string
	for _, s := range looked.Add {
		words = append(words, s.String())
	}
	if missing {
		err = errors.New("there is no " + key)
		for _, other := range []string{below, KeyURL, KeyUse, KeyConsensus, "cl", "el"} {
			if _, has := inv.Value(other); other == "" || has != nil {
				continue
			}
			err = inv.Insert(key, strings.Join(words, " "), false, other)
			break
		}
	} else {
		err = inv.Append(key, words...)
	}
	if err != nil {
		p.Notes = append(p.Notes, fmt.Sprintf("%v: nothing is added. To be added by hand to %s: %s", err, key, strings.Join(words, " ")))
		return nil
	}
	for _, s := range looked.Add {
		p.Added = append(p.Added, KeyedSetting{key, s})
	}
	return nil
}

// harmful takes options out if that is wanted. One that the client would not start with is refused.
func (q InventoryRequest) harmful(inv *source.Inventory, p *InventoryPlan, key, at string, all []Present) (taken bool, err error) {
	for _, h := range slices.Backward(all) {
		p.Harmful = append(p.Harmful, HarmAt{Place: at, Harm: h.Harm, Text: h.Text})
		switch {
		case q.TakeOut:
			if err := inv.Cut(key, h.Start, h.End); err != nil {
				return taken, err
			}
			taken = true
		case h.Bars && h.Beside && q.URL != "":
			return taken, &source.PlaceError{File: q.File, Line: lineOf(at), Reason: fmt.Sprintf("%s has %s: %s", key, h.Text, h.Why),
				Mend: "take it out, or let setup do that: --take-out"}
		}
	}
	return taken, nil
}

func lineOf(place string) int {
	n := 0
	_, err := fmt.Sscanf(place[strings.LastIndexByte(place, ':')+1:], "%d", &n)
	if err != nil {
		return 0
	}
	return n
}

// Changed tells whether the plan changes the file.
func (p InventoryPlan) Changed(q InventoryRequest) bool { return !bytes.Equal(p.After, q.Text) }
