package engine

// network has the network store look through its own. What a dying monitor or the
// kernel is just about to take away is no leak.
func (c *check) network() error {
	look := func(repair bool) (map[[2]string]string, error) {
		found, err := c.networks.Check(repair, c.hasContainer, c.lives)
		reasons := map[[2]string]string{}
		for _, l := range found {
			reasons[[2]string{l.Kind, l.Object}] = l.Why
			if l.Err != nil {
				reasons[[2]string{l.Kind, l.Object}] += "; " + l.Err.Error()
			}
		}
		return reasons, err
	}
	lasting, err := stable(grace, func() (map[[2]string]string, error) { return look(false) })
	if err != nil || len(lasting) == 0 {
		return err
	}
	var left map[[2]string]string
	if c.repair {
		if _, err = look(true); err == nil {
			left, err = look(false)
		}
	}
	for object, reason := range lasting {
		still := left[object]
		leak := Leak{Kind: object[0], Object: object[1], Reason: reason, Repaired: c.repair && still == ""}
		if still != "" && still != reason {
			leak.Reason += "; " + still
		}
		c.leaks = append(c.leaks, leak)
	}
	return err
}

func (c *check) hasContainer(id string) bool {
	_, err := c.containers.State(id)
	return !isGone(err)
}

func (c *check) lives(id string) bool {
	alive, err := c.containers.Alive(id)
	return alive || err != nil
}
