package source

// Spliced is a file and the URL that is found in it.
type Spliced struct {
	Data []byte
	URL  string
}

// SpliceEnv replaces the value of key in data, without a file.
func SpliceEnv(data []byte, key, url string) (old, now Spliced, from string, start, end int, err error) {
	return spliceBy(envCodec{key: key}, data, url)
}

// SpliceUnit replaces the URL that counts for s in the unit file at path, without that file.
func SpliceUnit(s *SystemdSource, path string, data []byte, url string) (old, now Spliced, from string, start, end int, err error) {
	return spliceBy(unitCodec{s: s, real: path, kind: inUnit}, data, url)
}

func spliceBy(c codec, data []byte, url string) (old, now Spliced, from string, start, end int, err error) {
	if err = CheckURL(url); err != nil {
		return
	}
	p, err := c.find(data)
	if err != nil {
		return
	}
	after, err := c.splice(data, p, url)
	if err != nil {
		return
	}
	is, err := c.find(after)
	if err != nil {
		panic("what was written is not found: " + err.Error())
	}
	return Spliced{data, p.url}, Spliced{after, is.url}, p.url, p.start, p.end, nil
}

// UnitView is what we make of a unit, in systemd's words.
type UnitView struct {
	// Commands are the arguments of each ExecStart= command as they are written, specifiers and variables not replaced; the first begins
	// with the prefixes of the program.
	Commands    [][]string
	Fragment    string
	DropIns     []string
	Environment []string
}

// ViewUnit reads a unit of this machine.
func ViewUnit(name string) (UnitView, error) {
	u, err := loadUnit("", name, nil, "")
	if err != nil {
		return UnitView{}, err
	}
	v := UnitView{Fragment: u.fragment, DropIns: u.dropins}
	for _, c := range u.commands[execStart] {
		var args []string
		for _, w := range c.words {
			args = append(args, w.text)
		}
		v.Commands = append(v.Commands, args)
	}
	v.Environment = u.variables(func(_ partSetting, w word) string { return w.text })
	return v, nil
}
