package container

// ShouldRestart tells whether the restart policy wants the container, which ended
// as the state says, started again. That it was stopped by hand is a matter for
// unless-stopped here, as at boot; to restart it at once it must not have been.
// Source: Docker, "Start containers automatically".
func (r *Record) ShouldRestart(s *State) bool {
	policy := r.HostConfig.RestartPolicy
	most := policy.MaximumRetryCount // 0: any number
	switch {
	case policy.IsAlways():
		return true
	case policy.IsUnlessStopped():
		return !s.StopRequested
	case policy.IsOnFailure():
		return !s.StopRequested && s.ExitCode != 0 && (most == 0 || s.RestartCount < most)
	}
	return false
}
