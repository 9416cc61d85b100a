package simulate

import "fmt"

// Client is the software that a provider or a node pretends to be.
type Client string

// The clients. A provider can be any of them; a node is a consensus client.
const (
	Checkpointz Client = "checkpointz"
	Lighthouse  Client = "lighthouse"
	Teku        Client = "teku"
	Prysm       Client = "prysm"
	Nimbus      Client = "nimbus"
	Lodestar    Client = "lodestar"
	Grandine    Client = "grandine"
)

// Clients are all of them, Checkpointz first.
func Clients() []Client {
	return []Client{Checkpointz, Lighthouse, Teku, Prysm, Nimbus, Lodestar, Grandine}
}

// version is what /eth/v1/node/version says by default. Those of Checkpointz, Prysm and Lodestar are recorded.
func (c Client) version() string {
	switch c {
	case Checkpointz:
		return "Checkpointz/dev-dev/linux"
	case Lighthouse:
		return "Lighthouse/v8.0.1-1a2b3c4/x86_64-linux"
	case Teku:
		return "teku/v25.11.0/linux-x86_64/-eclipseadoptium-openjdk64bitservervm-java-21"
	case Prysm:
		return "Prysm/Unknown (linux amd64)"
	case Nimbus:
		return "Nimbus/v25.11.0-1a2b3c-stateofus"
	case Lodestar:
		return "Lodestar/v1.5.1/2115aa7"
	case Grandine:
		return "Grandine/2.0.0-1a2b3c4/x86_64-linux"
	}
	return string(c)
}

func (c Client) check() error {
	for _, known := range Clients() {
		if c == known {
			return nil
		}
	}
	return fmt.Errorf("unknown client %q; one of %v", c, Clients())
}
