package demo

import "strings"

// news tells what has changed since the last look.
func (s *story) news(seen sighting) {
	if seen.incidents.Journal != "" {
		s.journalPath = seen.incidents.Journal
	}
	if p := seen.provider(dying); s.stalledAt > 0 && p.Asked && !p.Usable {
		s.once("dead", "Seen: %-8s NOT usable any more, %s", p.Name, brief(p.Reasons))
	}
	if n := seen.node(stalling); n.Phase == "stalled" && n.SinceProgress != nil {
		s.once("stalled", "Seen: %-8s stalled: its head %s has not moved for %.0f s", n.Name, number(n.HeadSlot), *n.SinceProgress)
	}
	for _, a := range seen.alerts {
		state := ""
		if a.Status.State != "active" {
			state = " (" + a.Status.State + ")"
		}
		s.once("alert "+a.Fingerprint+a.Status.State, "Alert: %s %s, %s%s. %s",
			a.Labels["alertname"], a.subject(), a.Labels["severity"], state, a.Annotations["summary"])
	}
	for _, i := range seen.incidents.Incidents {
		for _, e := range i.Story {
			s.once("incident "+i.ID+e.At.String()+e.Text, "Journal: %s: %s", i.Node, s.readable(e.Text))
		}
	}
}

// readable puts names beside addresses, and leaves out the folder that all of the demo's files are in.
func (s *story) readable(text string) string {
	for _, p := range s.scene.sim.Providers() {
		text = strings.ReplaceAll(text, p.URL(), p.Name()+" ("+p.URL()+")")
	}
	return strings.ReplaceAll(text, s.place.dir+"/", "")
}
