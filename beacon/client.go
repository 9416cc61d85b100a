package beacon

// Limits of the answers, in bytes. The largest real ones seen: 44 kB (spec), 1 kB (checkpointz with one upstream), below 700 bytes
// for the others.
const (
	smallLimit  = 64 << 10
	specLimit   = 512 << 10
	statusLimit = 512 << 10
)

// Client asks one consensus node or checkpoint provider over the Beacon API. Every method fails with an *Error. It is safe for
// concurrent use; CloseIdle lets go of its connections.
type Client struct{ door *door }

// NewClient makes a client for a base URL such as http://127.0.0.1:5052; a path in it is kept in front of the routes.
func NewClient(base string, o Options) (*Client, error) {
	d, err := newDoor(base, o)
	if err != nil {
		return nil, err
	}
	return &Client{door: d}, nil
}

// String is the base URL without a password.
func (c *Client) String() string { return c.door.String() }

// CloseIdle closes connections that wait for another request.
func (c *Client) CloseIdle() { c.door.closeIdle() }
