package engine

// volumeStore has the volume store look through its own.
func (c *check) volumeStore() error {
	found, err := c.containers.Volumes.Check(c.repair, c.containers.VolumeUsers)
	for _, l := range found {
		leak := Leak{Kind: "volume", Object: l.Path, Reason: l.Why, Repaired: c.repair && l.Err == nil}
		if l.Err != nil {
			leak.Reason += "; " + l.Err.Error()
		}
		c.leaks = append(c.leaks, leak)
	}
	return err
}
