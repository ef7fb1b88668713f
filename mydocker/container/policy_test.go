package container

import (
	"testing"

	api "github.com/moby/moby/api/types/container"
)

func TestShouldRestart(t *testing.T) {
	failed, stopped, fine := State{ExitCode: 1}, State{ExitCode: 137, StopRequested: true}, State{}
	often := State{ExitCode: 1, RestartCount: 3}
	for _, test := range []struct {
		policy api.RestartPolicyMode
		most   int
		state  State
		want   bool
	}{
		{"", 0, failed, false}, {"no", 0, failed, false}, {"no", 0, fine, false},
		{"always", 0, fine, true}, {"always", 0, failed, true}, {"always", 0, stopped, true},
		{"unless-stopped", 0, fine, true}, {"unless-stopped", 0, failed, true}, {"unless-stopped", 0, stopped, false},
		{"on-failure", 0, fine, false}, {"on-failure", 0, failed, true}, {"on-failure", 0, often, true}, {"on-failure", 0, stopped, false},
		{"on-failure", 4, often, true}, {"on-failure", 3, often, false},
	} {
		r := record("web")
		r.HostConfig.RestartPolicy = api.RestartPolicy{Name: test.policy, MaximumRetryCount: test.most}
		if got := r.ShouldRestart(&test.state); got != test.want {
			t.Errorf("%s:%d after %+v: %v", test.policy, test.most, test.state, got)
		}
	}
}
