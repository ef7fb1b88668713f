package container

import (
	"path/filepath"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/network"
	"minidocker/mydocker/security"
)

// UserNamespace says whose user and group IDs a container's are, from create to rm.
type UserNamespace struct {
	// Mode is Private: IDs of its own, First to First+Size-1 on the host; or host, as it was
	// for all of older records, where it is "".
	Mode string
	security.IDRange
	Container string `json:",omitempty"` // ID of the container whose user namespace it joins; "": it has one of its own
	Reason    string `json:",omitempty"` // why the mode is host
}

// Private is the mode of a container with a user namespace.
const Private = "private"

// ranges are the leases of ID ranges, beside those of other roots.
func (s *Store) ranges() security.Ranges {
	return security.Ranges{Dir: filepath.Join(network.HostDir, "ids"), Root: s.root, Exists: func(id string) bool {
		found, err := filepath.Glob(s.Dir("*" + id + "*")) // or new-ID, or removing-ID
		return err != nil || len(found) > 0
	}}
}

// leaseIDs gives a container that is being made the IDs its record asks for: a range that
// is free, or that of the container it joins.
func (s *Store) leaseIDs(r *Record) (err error) {
	u := &r.UserNamespace
	if u.Mode == Private && u.Container == "" {
		u.IDRange, err = s.ranges().Lease(s.IDPool, r.ID)
		return err
	}
	return s.RenewIDs(r)
}

// RenewIDs leases a container's IDs again: leases go with a reboot, records do not. An
// error says that a container of another root has them now.
func (s *Store) RenewIDs(r *Record) error {
	if r.UserNamespace.Mode != Private {
		return nil
	}
	return s.ranges().Renew(r.UserNamespace.IDRange, r.ID)
}

// RenewAllIDs leases the IDs of all containers again, so that no new one gets them.
func (s *Store) RenewAllIDs() error {
	ids, err := s.IDs()
	for _, id := range ids {
		if r, rerr := s.Record(id); rerr == nil { // a damaged one does not start either
			s.RenewIDs(r) // what another root has now it keeps: the start tells
		}
	}
	return err
}

// releaseIDs ends the lease of a container that is being removed, or was never finished.
func (s *Store) releaseIDs(aside, id string) error {
	r := new(Record)
	if err := disk.ReadJSON(s.file(aside, configFile), r); err == nil && r.UserNamespace.Mode != Private {
		return nil
	}
	return s.ranges().Release(r.UserNamespace.IDRange, id)
}

// ids finds leases of containers that are gone.
func (c *checker) ids() error {
	gone, err := c.ranges().Sweep(c.repair)
	for _, id := range gone {
		c.report("user ids of container "+id, "leased, and there is no such container", func() error { return nil })
	}
	return err
}
